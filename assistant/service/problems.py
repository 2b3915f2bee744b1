"""Errors as answers: RFC 9457 problem details, and OpenAI's error object on the routes of its shape."""

import http
import logging
from collections.abc import Mapping
from typing import Any

from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, NotAuthorizedException
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ExceptionHandlersMap

from assistant.core.errors import DeskmateError, EngineBusy, EngineUnavailable, InputError, NotFoundError
from assistant.service.schemas import FieldError, OpenAIError, OpenAIErrorBody, Problem

PROBLEM_JSON = "application/problem+json"
RETRY_SECONDS = 5
_log = logging.getLogger(__name__)

AnyRequest = Request[Any, Any, State]
UNREADABLE = "the request body is no JSON that can be read"
WENT_WRONG = "something went wrong inside the service; its log says what"


class RequestRefused(InputError):
    """A field of a request cannot be used.

    Args:
        message: what is wrong.
        param: the field.
    """

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


class NotOffered(RequestRefused):
    """The engine cannot do what a request asks for."""

    slug = "not-offered"


class NotReady(EngineUnavailable):
    """What answers is still being opened, or could not be opened.

    Args:
        reasons: why, for a person.
    """

    slug = "not-ready"

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("not ready: " + "; ".join(reasons))
        self.reasons = reasons


def to_problem(error: Exception) -> Problem:
    """Return the problem details of any error; nothing of an unforeseen one is told."""
    if isinstance(error, DeskmateError):
        return Problem(
            type=_type(error.slug),
            title=_title(error.slug),
            status=error.status,
            detail=error.message,
            next_command=error.next_command,
            reasons=error.reasons if isinstance(error, NotReady) else (),
            errors=_own_field_errors(error),
        )
    status, detail = _status_and_detail(error)
    slug = "bad-input" if status == http.HTTPStatus.BAD_REQUEST else _slug(status)
    return Problem(
        type=_type(slug),
        title=_title(slug),
        status=status,
        detail=detail,
        errors=_field_errors(error),
    )


def to_openai_error(error: Exception) -> tuple[int, OpenAIError]:
    """Return status and OpenAI's error object of any error."""
    problem = to_problem(error)
    param = problem.errors[0].field if problem.errors else None
    message = problem.detail
    if problem.errors and not isinstance(error, DeskmateError):
        message = "; ".join(f"{item.field}: {item.message}" for item in problem.errors)
    kind, code = _openai_kind(error, problem.status)
    if isinstance(error, NotFoundError):
        # who asks for a model elsewhere runs no command here, and often only left a name as it was
        param, message = "model", f"{message}; GET /v1/models lists what can be asked"
    elif problem.next_command:
        message = f"{message}; run: {problem.next_command}"
    body = OpenAIErrorBody(message=message, type=kind, param=param, code=code)
    return problem.status, OpenAIError(error=body)


def _openai_kind(error: Exception, status: int) -> tuple[str, str | None]:
    if isinstance(error, NotFoundError):
        return "invalid_request_error", "model_not_found"
    kinds: dict[int, tuple[str, str | None]] = {
        401: ("invalid_request_error", "invalid_api_key"),
        413: ("invalid_request_error", "request_too_large"),
        429: ("rate_limit_error", "rate_limit_exceeded"),
        503: ("server_error", "service_unavailable"),
    }
    if status in kinds:
        return kinds[status]
    is_server = status >= http.HTTPStatus.INTERNAL_SERVER_ERROR
    return ("server_error", _own_slug(error)) if is_server else ("invalid_request_error", _own_slug(error))


def _own_slug(error: Exception) -> str | None:
    return error.slug.replace("-", "_") if isinstance(error, DeskmateError) else None


def answer_with_problem(request: AnyRequest, error: Exception) -> Response[Problem]:
    """Handle an exception outside the OpenAI routes."""
    _note(error)
    problem = to_problem(error)
    headers = _headers(error, problem.status)
    return Response(
        _with_instance(problem, request),
        status_code=problem.status,
        media_type=PROBLEM_JSON,
        headers=headers,
    )


def answer_with_openai_error(request: AnyRequest, error: Exception) -> Response[OpenAIError]:
    """Handle an exception on the OpenAI routes."""
    del request
    _note(error)
    status, body = to_openai_error(error)
    return Response(body, status_code=status, media_type="application/json", headers=_headers(error, status))


PROBLEM_HANDLERS: ExceptionHandlersMap = {Exception: answer_with_problem, HTTPException: answer_with_problem}
OPENAI_HANDLERS: ExceptionHandlersMap = {
    Exception: answer_with_openai_error,
    HTTPException: answer_with_openai_error,
}


def problem_responses(*statuses: int) -> Mapping[int, ResponseSpec]:
    """Return the documentation of a route's error answers; one that takes a body may wait for it in vain."""
    if http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE in statuses:
        statuses = (*statuses, http.HTTPStatus.REQUEST_TIMEOUT)
    return {
        status: ResponseSpec(
            data_container=Problem,
            description=http.HTTPStatus(status).phrase,
            media_type=PROBLEM_JSON,
            generate_examples=False,
        )
        for status in statuses
    }


def openai_responses(*statuses: int) -> Mapping[int, ResponseSpec]:
    """Return the documentation of an OpenAI route's error answers, as ``problem_responses`` does."""
    if http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE in statuses:
        statuses = (*statuses, http.HTTPStatus.REQUEST_TIMEOUT)
    return {
        status: ResponseSpec(
            data_container=OpenAIError,
            description=http.HTTPStatus(status).phrase,
            generate_examples=False,
        )
        for status in statuses
    }


def _with_instance(problem: Problem, request: AnyRequest) -> Problem:
    values = {name: getattr(problem, name) for name in problem.__struct_fields__}
    return Problem(**(values | {"instance": request.url.path}))


def _status_and_detail(error: Exception) -> tuple[int, str]:
    if isinstance(error, HTTPException):
        if error.status_code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            return error.status_code, WENT_WRONG
        return error.status_code, _plain_detail(error)
    if isinstance(error, UnicodeDecodeError | RecursionError):
        return http.HTTPStatus.BAD_REQUEST, UNREADABLE
    return http.HTTPStatus.INTERNAL_SERVER_ERROR, WENT_WRONG


def _plain_detail(error: HTTPException) -> str:
    if error.status_code == http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return "the request body is larger than [service] max_body_mebibytes allows"
    if error.status_code == http.HTTPStatus.BAD_REQUEST:
        return "the request cannot be used as it is" if error.extra else f"{UNREADABLE}: {error.detail}"
    if error.status_code == http.HTTPStatus.NOT_FOUND:
        return "there is no such route; /docs shows those there are"
    return error.detail or http.HTTPStatus(error.status_code).phrase


def _field_errors(error: Exception) -> tuple[FieldError, ...]:
    extra = getattr(error, "extra", None)
    if not isinstance(extra, list):
        return ()
    return tuple(
        FieldError(field=_field(item), message=_message(item)) for item in extra if isinstance(item, dict)
    )


def _field(item: dict[str, object]) -> str:
    """Return a field's path; the whole body goes by the name of our handlers' parameter."""
    key = str(item.get("key", ""))
    return "body" if key in {"", "data"} else key


def _message(item: dict[str, object]) -> str:
    message = str(item.get("message", ""))
    return "is missing" if message.strip("'") == "data" else message


def _own_field_errors(error: DeskmateError) -> tuple[FieldError, ...]:
    if isinstance(error, RequestRefused):
        return (FieldError(field=error.param, message=error.message),)
    return ()


def _headers(error: Exception, status: int) -> dict[str, str]:
    wait = getattr(error, "retry_after", None)
    if (
        wait
        or isinstance(error, EngineBusy | EngineUnavailable)
        or status == http.HTTPStatus.TOO_MANY_REQUESTS
    ):
        return {"Retry-After": str(wait or RETRY_SECONDS)}
    if isinstance(error, NotAuthorizedException):
        return {"WWW-Authenticate": 'Bearer realm="deskmate"', **(error.headers or {})}
    if status == http.HTTPStatus.REQUEST_TIMEOUT:
        return {"Connection": "close"}
    return dict(getattr(error, "headers", None) or {})


def _note(error: Exception) -> None:
    """Log what nobody foresaw, with its trace; the client gets none of it."""
    foreseen = (DeskmateError, HTTPException, UnicodeDecodeError, RecursionError)
    status = getattr(error, "status_code", 0)
    if not isinstance(error, foreseen) or status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("unforeseen error", exc_info=error)


def _type(slug: str) -> str:
    return f"urn:deskmate:problem:{slug}"


def _slug(status: int) -> str:
    if status == http.HTTPStatus.INTERNAL_SERVER_ERROR:
        return "internal-error"
    return http.HTTPStatus(status).phrase.lower().replace(" ", "-")


def _title(slug: str) -> str:
    return slug.replace("-", " ").capitalize()
