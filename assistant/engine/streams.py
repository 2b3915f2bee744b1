"""The stream of events that a caller reads and may close at any time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from types import TracebackType

from assistant.engine.protocol import StreamEnd, TextDelta


class ClosingStream(Generator[TextDelta | StreamEnd, None, None]):
    """Events of a request that runs already; closing it, or losing the last reference to it, cancels.

    A plain generator would not do: one that was never started runs no code when it is closed.

    Args:
        events: the request's events.
        cancel: ends the request; called once or more, after the end too.
    """

    def __init__(self, events: Iterator[TextDelta | StreamEnd], cancel: Callable[[], None]) -> None:
        self._events = events
        self._cancel = cancel
        self._is_closed = False

    def send(self, value: None) -> TextDelta | StreamEnd:
        """Return the next event."""
        del value
        if self._is_closed:
            raise StopIteration
        return next(self._events)

    def throw(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
    ) -> TextDelta | StreamEnd:
        """Cancel the request and raise; ``close`` comes through here."""
        self._is_closed = True
        self._cancel()
        if isinstance(typ, BaseException):
            raise typ
        raise (val if isinstance(val, BaseException) else typ()).with_traceback(tb)

    def __del__(self) -> None:
        self._cancel()
