"""A request on its way through the local engine, and how its caller hears of it."""

from __future__ import annotations

import queue
from collections.abc import Callable, Collection, Generator
from typing import TYPE_CHECKING

from assistant.core.errors import EngineError
from assistant.core.records import Usage
from assistant.engine.protocol import Completion, FinishReason, GenerationRequest, StreamEnd, TextDelta
from assistant.engine.sampling import make_generator
from assistant.engine.text_stream import StopFilter, TokenText

if TYPE_CHECKING:
    import torch

Event = TextDelta | StreamEnd | EngineError


class Row:
    """One request: the worker feeds it tokens, it tells its caller events.

    Args:
        request: what to generate.
        prompt: its token ids.
        limit: most tokens to generate.
        decode: from token ids to text.
        ends: token ids that end a text.
        tell: called with each event, from the worker's thread.
    """

    def __init__(
        self,
        request: GenerationRequest,
        prompt: list[int],
        *,
        limit: int,
        decode: Callable[[list[int]], str],
        ends: Collection[int],
        tell: Callable[[Event], None],
    ) -> None:
        self.request = request
        self.prompt = prompt
        self.generator: torch.Generator | None = make_generator(request)
        self.last_token = -1
        self.is_cancelled = False
        self.is_ended = False
        self._limit = limit
        self._ends = ends
        self._tell = tell
        self._text = TokenText(decode)
        self._stop = StopFilter(request.stop)
        self._count = 0

    def accept(self, token: int) -> None:
        """Take the next token."""
        self.last_token = token
        if token in self._ends:
            self.finish("stop")
            return
        self._count += 1
        self._show(self._stop.feed(self._text.feed(token)))
        if self._stop.is_stopped:
            self.finish("stop")
        elif self._count >= self._limit:
            self.finish("length")

    def finish(self, reason: FinishReason) -> None:
        """End the row."""
        self._show(self._stop.feed(self._text.flush()) + self._stop.flush())
        self.is_ended = True
        usage = Usage(prompt_tokens=len(self.prompt), completion_tokens=self._count)
        self._tell(StreamEnd(finish_reason=reason, usage=usage))

    def cancel(self) -> None:
        """Give up the row's place at the next token."""
        self.is_cancelled = True

    def fail(self, error: EngineError) -> None:
        """End the row with an error."""
        self.is_ended = True
        self._tell(error)

    def _show(self, text: str) -> None:
        if text:
            self._tell(TextDelta(text=text))


def read_events(
    events: queue.SimpleQueue[Event], timeout_seconds: float
) -> Generator[TextDelta | StreamEnd, None, None]:
    """Yield a row's events as they arrive.

    Raises:
        EngineError: the row failed, or nothing came in time.
    """
    while True:
        try:
            event = events.get(timeout=timeout_seconds)
        except queue.Empty:
            raise EngineError(f"no token came within {timeout_seconds:g} seconds") from None
        if isinstance(event, EngineError):
            raise event
        yield event
        if isinstance(event, StreamEnd):
            return


class Collector:
    """Gathers the events of one row of a batch.

    Args:
        ended: told the collector when the row has ended.
    """

    def __init__(self, ended: Callable[[Collector], None]) -> None:
        self._ended = ended
        self._pieces: list[str] = []
        self._last: StreamEnd | EngineError | None = None

    def take(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, TextDelta):
            self._pieces.append(event.text)
        else:
            self._last = event
            self._ended(self)

    def completion(self) -> Completion:
        """Return the whole text.

        Raises:
            EngineError: the row failed or has not ended.
        """
        if isinstance(self._last, StreamEnd):
            end = self._last
            return Completion(text="".join(self._pieces), finish_reason=end.finish_reason, usage=end.usage)
        raise self._last or EngineError("the generation has not ended")
