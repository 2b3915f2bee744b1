"""Smaller answers for clients that take gzip; streams go out as they are, so that nothing waits for more."""

import gzip
from functools import partial

import anyio.to_thread
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from assistant.service.layer import Layer

LEAST_BYTES = 1024
_LEVEL = 5
_AT_ONCE_BYTES = 64 << 10  # takes about 2 ms; what is longer must not hold up the others
_KINDS = (b"application/json", b"application/problem+json", b"text/", b"image/svg")
_STREAM = b"text/event-stream"


class Compression(Layer):
    """Compresses answers that are sent in one piece.

    Left alone are streams, what must not be stored (secrets beside what a client sent could be guessed by
    its size), and what is small.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Compress one answer where the client takes that."""
        if not _takes_gzip(scope):
            await next_app(scope, receive, send)
            return
        start: HTTPResponseStartEvent | None = None

        async def smaller(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _fits(message):
                start = message
                return
            if start is not None:
                begin, start = start, None
                if message["type"] == "http.response.body" and not message.get("more_body", False):
                    body = message.get("body", b"")
                    if len(body) >= LEAST_BYTES:
                        begin, message["body"] = await _compressed(begin, body)
                await send(begin)
            await send(message)

        await next_app(scope, receive, smaller)


def _takes_gzip(scope: Scope) -> bool:
    values = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding")
    for part in values.lower().split(b","):
        name, _, quality = part.replace(b" ", b"").partition(b";q=")
        if name == b"gzip":
            return quality.strip(b"0.") != b"" if quality else True
    return False


def _fits(message: HTTPResponseStartEvent) -> bool:
    headers = {name.lower(): value.lower() for name, value in message.get("headers", ())}
    kind = headers.get(b"content-type", b"")
    return (
        kind.startswith(_KINDS)
        and not kind.startswith(_STREAM)
        and b"content-encoding" not in headers
        and b"no-store" not in headers.get(b"cache-control", b"")
    )


async def _compressed(begin: HTTPResponseStartEvent, body: bytes) -> tuple[HTTPResponseStartEvent, bytes]:
    work = partial(gzip.compress, body, compresslevel=_LEVEL, mtime=0)
    small = work() if len(body) <= _AT_ONCE_BYTES else await anyio.to_thread.run_sync(work)
    headers = [(name, _weak(name, value)) for name, value in begin["headers"] if name != b"content-length"]
    headers += [
        (b"content-length", str(len(small)).encode()),
        (b"content-encoding", b"gzip"),
        (b"vary", b"Accept-Encoding"),
    ]
    changed: HTTPResponseStartEvent = {**begin, "headers": headers}
    return changed, small


def _weak(name: bytes, value: bytes) -> bytes:
    """Return an ETag as a weak one: other bytes go out than without compression."""
    return b"W/" + value if name == b"etag" and not value.startswith(b"W/") else value
