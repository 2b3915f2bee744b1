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


class RangeNotSatisfiable(DeskmateError):
    """The part of a file that is asked for lies behind its end.

    Args:
        size: bytes of the file.
    """

    status = 416
    slug = "range-not-satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size} bytes; the range that is asked for lies behind them")
        self.headers = {"Content-Range": f"bytes */{size}"}


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


class LoginRefused(DeskmateError):
    """The provider does not vouch for who wants in."""

    status = 401
    slug = "login-refused"


class LoginExpired(DeskmateError):
    """The browser does not bring what its login began with, or came back too late."""

    status = 400
    slug = "login-expired"


class LoginNotPermitted(DeskmateError):
    """The provider vouches for someone whose groups give no rights here."""

    status = 403
    slug = "login-not-permitted"


class LoginUnavailable(DeskmateError):
    """The provider cannot be reached, or does not say what a provider says."""

    status = 503
    slug = "login-unavailable"


class CsrfRefused(DeskmateError):
    """A session wants to change something and does not bring its token."""

    status = 403
    slug = "csrf-token-missing"


class TooSlow(DeskmateError):
    """The client sent no more of its request for too long."""

    status = 408
    slug = "request-timeout"
