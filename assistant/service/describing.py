"""What the generated description of the API cannot know: headers that routes read and send, examples."""

from collections.abc import Callable, Mapping
from typing import Any

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import (
    Example,
    OpenAPIHeader,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    RequestBody,
    Schema,
)

from assistant.service.api_examples import EXAMPLES

_LONG_WORK, _MADE = "202", "201"
_NOT_MODIFIED = "304"
_PRECONDITION = "412"
_WAIT = ("429", "503")

Describe = Callable[..., Operation]


def describe(app: Litestar) -> None:
    """Let the description of every route name its headers and show its bodies; it is made when asked for."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler):
                made: Any = _described(handler.operation_class, handler.opt)
                handler.operation_class = made


def _described(make: Describe, options: Mapping[str, Any]) -> Describe:
    def described(**fields: Any) -> Operation:
        operation = make(**fields)
        responses = operation.responses or {}
        added = []
        if options.get("idempotent"):
            added.append(_IDEMPOTENCY_KEY)
        if _PRECONDITION in responses:
            added.append(_IF_MATCH)
        if options.get("etag"):
            added.append(_IF_NONE_MATCH)
            _add_header(responses.get("200"), "ETag", "What was shown; for If-Match and If-None-Match.")
            responses[_NOT_MODIFIED] = OpenAPIResponse(description="It is as the caller has seen it")
        for status, text in ((_MADE, "What was made."), (_LONG_WORK, "The job, `/v1/jobs/ID`.")):
            _add_header(responses.get(status), "Location", text)
        for status in _WAIT:
            _add_header(responses.get(status), "Retry-After", "Seconds to wait, where that is known.")
        operation.parameters = [*(operation.parameters or []), *added] or None
        _add_examples(operation)
        return operation

    return described


def _add_header(response: object, name: str, description: str) -> None:
    if isinstance(response, OpenAPIResponse):
        header = OpenAPIHeader(schema=Schema(type=OpenAPIType.STRING), description=description)
        response.headers = {**(response.headers or {}), name: header}


def _add_examples(operation: Operation) -> None:
    examples = EXAMPLES.get(operation.operation_id or "", {})
    body = operation.request_body
    if examples and isinstance(body, RequestBody):
        content = body.content["application/json"]
        content.examples = {name: Example(value=value) for name, value in examples.items()}


def _header(name: str, description: str, schema: Schema) -> Parameter:
    return Parameter(name=name, param_in="header", description=description, schema=schema)


_IDEMPOTENCY_KEY = _header(
    "Idempotency-Key",
    "Such as a UUID. What is sent again with it is not done again: the first answer is given once more.",
    Schema(
        type=OpenAPIType.STRING,
        min_length=1,
        max_length=128,
        pattern=r"^[!-~]+$",
    ),
)
_IF_MATCH = _header(
    "If-Match",
    "The ETag that was seen: what was changed since is not changed again.",
    Schema(type=OpenAPIType.STRING, examples=['"2f7c1f0e9b1d4c3a5e6f"']),
)
_IF_NONE_MATCH = _header(
    "If-None-Match",
    "The ETag that was seen: answers 304 where it holds.",
    Schema(type=OpenAPIType.STRING, examples=['"2f7c1f0e9b1d4c3a5e6f"']),
)
