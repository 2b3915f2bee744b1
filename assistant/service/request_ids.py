"""An id for every request, taken from the client or made here, in the answer and in the log."""

import contextvars
import re

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from assistant.core.ids import random_id
from assistant.service.layer import Layer

HEADER = b"x-request-id"
_GOOD = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


class RequestIds(Layer):
    """Lets the log know which request a line belongs to."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Name one request."""
        token = request_id.set(name_request(scope))
        try:
            await next_app(scope, receive, send)
        finally:
            request_id.reset(token)


async def answer_with_id(message: Message, scope: Scope) -> None:
    """Put the request's id into whatever is answered, errors of the routing itself included."""
    if message["type"] == "http.response.start":
        message["headers"] = [*message.get("headers", []), (HEADER, name_request(scope).encode())]


def name_request(scope: Scope) -> str:
    """Return a request's id: ``X-Request-ID`` where it is one word of at most 64 letters, else a new one."""
    state = scope.setdefault("state", {})
    if "request_id" not in state:
        given = next((value for name, value in scope["headers"] if name == HEADER), b"")
        state["request_id"] = given.decode() if _GOOD.fullmatch(given) else random_id("req")
    return str(state["request_id"])
