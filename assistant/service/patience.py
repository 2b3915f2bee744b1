"""Clients that send or take nothing for too long: they are turned away, so that they hold no place."""

import asyncio
import logging

from litestar.types import (
    ASGIApp,
    HTTPDisconnectEvent,
    HTTPReceiveMessage,
    Message,
    Receive,
    Scope,
    Send,
    WebSocketReceiveMessage,
)
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from assistant.service.layer import Layer
from assistant.service.refusals import TooSlow

HEAD_SECONDS = 15.0
MOST_HEAD_BYTES = 64 << 10
_HEAD_TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)
_log = logging.getLogger(__name__)


class Patience(Layer):
    """Ends a request whose client sends no more of its body, or takes no more of the answer.

    Args:
        seconds: the longest wait for the next part.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Wait for the parts of one request."""
        waited = _Waited(receive, send, self._seconds)
        try:
            await next_app(scope, waited.receive, waited.send)
        finally:
            waited.end()


class _Waited:
    def __init__(self, receive: Receive, send: Send, seconds: float) -> None:
        self._receive = receive
        self._send = send
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._has_body = False
        self._is_listened = False
        self._sending_since: float | None = None
        self._gone = asyncio.Event()

    async def receive(self) -> HTTPReceiveMessage | WebSocketReceiveMessage:
        """Return the next part; once the body is whole, only the client's leaving is waited for.

        Raises:
            TooSlow: it did not come.
        """
        if self._has_body:
            return await self._leaving()
        try:
            async with asyncio.timeout(self._seconds):
                message = await self._receive()
        except TimeoutError as error:
            raise TooSlow(f"no more of the request body came for {self._seconds:g} seconds") from error
        self._has_body = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a part. Who takes none for too long has left: a stream is told so; else this is cancelled."""
        if self._timer is None:  # one for all parts: a time-out of its own for each costs a fifth of a stream
            self._timer = self._loop.call_later(self._seconds, self._look)
        self._sending_since = self._loop.time()
        await self._send(message)
        self._sending_since = None

    def end(self) -> None:
        """Wait for nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        since = now if self._sending_since is None else self._sending_since
        if now - since < self._seconds:
            self._timer = self._loop.call_later(since + self._seconds - now, self._look)
            return
        _log.warning("a client took nothing of its answer for %g seconds", self._seconds)
        if self._is_listened:
            self._gone.set()
        elif self._task is not None:
            self._task.cancel()

    async def _leaving(self) -> HTTPReceiveMessage | WebSocketReceiveMessage:
        self._is_listened = True
        left, gone = asyncio.ensure_future(self._receive()), asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait({left, gone}, return_when=asyncio.FIRST_COMPLETED)
            if left.done():
                return left.result()
            event: HTTPDisconnectEvent = {"type": "http.disconnect"}
            return event
        finally:
            self._is_listened = False
            left.cancel()
            gone.cancel()


class PatientProtocol(HttpToolsProtocol):
    """HTTP where the head of a request must come within a time and a size; uvicorn alone knows neither."""

    _timer: asyncio.TimerHandle | None = None
    _is_in_head = False
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        super().data_received(data)
        self._wait_for_head()
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_HEAD_TOO_LONG)
                self.transport.close()

    def on_message_begin(self) -> None:
        """Count the bytes of a request's head from here on."""
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one that stands behind the body comes too late to count."""
        if self._is_in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Count no more: what follows is the body, which has a limit of its own."""
        self._is_in_head = False
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        before: RequestResponseCycle | None = self.cycle
        if self._timer is None and (before is None or before.response_complete):
            self._timer = self.loop.call_later(HEAD_SECONDS, self._turn_away, before)

    def _turn_away(self, before: RequestResponseCycle | None) -> None:
        self._timer = None
        if self.cycle is before and not self.transport.is_closing():
            self.transport.close()
