"""``Idempotency-Key``: a POST that is sent twice is done once, and answered the same."""

import hashlib
import re
import time

import msgspec
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler
from litestar.types import (
    ASGIApp,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    Message,
    Receive,
    Scope,
    Send,
)

from assistant.core.access import Caller
from assistant.core.access import Scope as Access
from assistant.core.ids import content_id
from assistant.service.bodies import give_again, read_body
from assistant.service.kept import Kept
from assistant.service.layer import Layer
from assistant.service.refusals import Conflict, IdempotencyReused, IdempotencyRunning
from assistant.store.idempotency import Idempotency, Replay

HEADER = b"idempotency-key"
_GOOD = re.compile(rb"[\x21-\x7e]{1,128}")
SHOWN_ONCE = "shown once"
_KEPT_HEADERS = {b"content-type", b"content-location", b"location", b"etag"}
_REFUSED, _FAILED = 400, 500
_ANOTHER_TIME = (408, 429)
_MOST_KEPT = 4 << 20


class IdempotentPosts(Layer):
    """Remembers answers by key, caller, method and path; only for routes marked ``idempotent``.

    Of routes marked ``idempotent=SHOWN_ONCE`` the answer itself is not kept: it is shown once.

    Args:
        kept: the answers.
        kept_seconds: how long.
        max_body: of a request, bytes.
    """

    def __init__(self, kept: Kept, kept_seconds: float, max_body: int) -> None:
        self._kept = kept
        self._kept_seconds = kept_seconds
        self._max_body = max_body

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Do one request, or give the answer that it had before."""
        values = [value for name, value in scope["headers"] if name == HEADER]
        options = scope["route_handler"].opt
        if not values or not options.get("idempotent") or not _may(scope["user"], options.get("needs")):
            await next_app(scope, receive, send)  # the guard refuses who may not, before a body is read
            return
        if len(values) > 1 or not _GOOD.fullmatch(values[0]):
            raise ClientException("Idempotency-Key must be one word of at most 128 printable letters")
        handler = scope["route_handler"]
        limit = handler.resolve_request_max_body_size() if isinstance(handler, HTTPRouteHandler) else None
        body = await read_body(scope, receive, min(self._max_body, limit or self._max_body))
        name = _name(scope, values[0])
        fingerprint = await self._kept.run(lambda: _fingerprint(scope, body))
        before = await self._kept.write(
            lambda session: Idempotency(session, time.time()).begin(name, fingerprint, self._kept_seconds)
        )
        if before is not None:
            await _replay(before, fingerprint, send)
            return
        recorder = _Recorder(send, is_secret=options["idempotent"] == SHOWN_ONCE)
        await self._do(name, recorder, give_again(body, receive), scope, next_app)

    async def _do(
        self, name: str, recorder: "_Recorder", receive: Receive, scope: Scope, next_app: ASGIApp
    ) -> None:
        """Do the request; an answer that can be given again is kept before its last byte goes out."""

        async def keep() -> None:
            status, headers, body = recorder.status, recorder.headers, bytes(recorder.body)
            if _may_end_otherwise(status, headers, body) or len(body) > _MOST_KEPT:
                await self._kept.write(lambda session: Idempotency(session, time.time()).forget(name))
            else:
                await self._kept.write(
                    lambda session: Idempotency(session, time.time()).finish(name, status, headers, body)
                )

        recorder.when_complete = keep
        try:
            await next_app(scope, receive, recorder)
        finally:
            if not recorder.is_complete:
                await self._kept.write(lambda session: Idempotency(session, time.time()).forget(name))


class _Recorder:
    """Passes an answer on and keeps a copy."""

    def __init__(self, send: Send, *, is_secret: bool) -> None:
        self._send = send
        self._is_secret = is_secret
        self.status = 0
        self.headers: tuple[tuple[str, str], ...] = ()
        self.body = bytearray()
        self.is_complete = False
        self.when_complete = _nothing

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = tuple(
                (key.decode("latin-1"), value.decode("latin-1"))
                for key, value in message.get("headers", ())
                if key.lower() in _KEPT_HEADERS
            )
        elif message["type"] == "http.response.body":
            if len(self.body) <= _MOST_KEPT and not (self._is_secret and self.status < _REFUSED):
                self.body += message.get("body", b"")
            if not message.get("more_body", False):
                await self.when_complete()
                self.is_complete = True
        await self._send(message)


def _may(caller: object, needs: Access | None) -> bool:
    return needs is None or (isinstance(caller, Caller) and caller.may(needs))


def _may_end_otherwise(status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> bool:
    """Tell whether a request is worth sending again: it failed, or came at a bad moment."""
    if dict(headers).get("content-type", "").startswith("text/event-stream"):
        return body.rstrip().rpartition(b"\n\n")[2].startswith(b"event: error")
    return status >= _FAILED or status in _ANOTHER_TIME


async def _nothing() -> None:
    """Stand for what is done once an answer is complete."""


def _name(scope: Scope, key: bytes) -> str:
    caller = scope["user"]
    who = caller.id if isinstance(caller, Caller) else ""
    if isinstance(caller, Caller) and caller.is_restricted:  # an answer is given again within its rights only
        who += msgspec.json.encode([caller.collections, caller.filters], order="sorted").decode()
    return content_id(who, str(scope.get("method", "")), scope["path"], key.decode("latin-1"), length=64)


def _fingerprint(scope: Scope, body: bytes) -> str:
    """Return a hash of what is asked; a multipart border is new each time and says nothing."""
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    border = kinds[0].partition(b"boundary=")[2].strip(b'"') if kinds else b""
    said = body.replace(border, b"") if border else body
    return hashlib.sha256(scope["query_string"] + b"\n" + said).hexdigest()


async def _replay(before: Replay, fingerprint: str, send: Send) -> None:
    if before.fingerprint != fingerprint:
        raise IdempotencyReused("this Idempotency-Key came before with another request")
    if before.status is None:
        raise IdempotencyRunning("the request with this Idempotency-Key is still being worked on")
    if not before.body and dict(before.headers).get("location"):
        raise Conflict(
            f"this Idempotency-Key made {dict(before.headers)['location']} before; its secret was shown then "
            "and is not kept: rotate it, or delete it and make another"
        )
    headers = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in before.headers]
    headers += [(b"content-length", str(len(before.body)).encode()), (b"idempotent-replayed", b"true")]
    start: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": before.status,
        "headers": headers,
    }
    await send(start)
    end: HTTPResponseBodyEvent = {"type": "http.response.body", "body": before.body, "more_body": False}
    await send(end)
