"""Errors that only the HTTP service has; each is a problem type that ``docs/api.md`` explains."""

from assistant.core.errors import DeskmateError


class Forbidden(DeskmateError):
    """The caller's key does not allow it."""

    status = 403
    slug = "forbidden"


class Conflict(DeskmateError):
    """What is there does not let it be done."""

    status = 409
    slug = "conflict"


class PreconditionFailed(DeskmateError):
    """What was to be changed is not what the caller saw."""

    status = 412
    slug = "precondition-failed"


class PayloadTooLarge(DeskmateError):
    """The request's body is larger than the service takes."""

    status = 413
    slug = "request-entity-too-large"


class IdempotencyReused(DeskmateError):
    """An ``Idempotency-Key`` came before with another request."""

    status = 422
    slug = "idempotency-key-reused"


class IdempotencyRunning(DeskmateError):
    """The request with this ``Idempotency-Key`` is still being worked on."""

    status = 409
    slug = "idempotency-key-in-use"
    retry_after = 1


class TooManyRequests(DeskmateError):
    """The caller asks more than its key may.

    Args:
        message: which limit was reached.
        retry_after: seconds to wait.
    """

    status = 429
    slug = "too-many-requests"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after
