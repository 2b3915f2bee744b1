"""From tokens to streamed text: no split characters, no half of a stop text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_REPLACEMENT = "\ufffd"
# A character takes four bytes at most, so a longer run of undecodable tokens is broken for good.
_LONGEST_WAIT_TOKENS = 8


class StopFilter:
    """Ends a text at the first stop text and holds back what could become one.

    Args:
        stop: texts that end the generation; empty ones are ignored.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(text for text in stop if text)
        self._held = ""
        self.is_stopped = False

    def feed(self, text: str) -> str:
        """Take the next piece and return what may be shown of everything so far."""
        if not self._stop or self.is_stopped:
            return "" if self.is_stopped else text
        self._held += text
        starts = [start for stop in self._stop if (start := self._held.find(stop)) >= 0]
        if starts:
            self.is_stopped = True
            return self._release(min(starts))
        return self._release(len(self._held) - self._open_length())

    def flush(self) -> str:
        """Return what was held back; called when the generation ended otherwise."""
        return "" if self.is_stopped else self._release(len(self._held))

    def _open_length(self) -> int:
        """Return the length of the longest end of the held text that begins a stop text."""
        longest = min(len(self._held), max(map(len, self._stop)) - 1)
        for length in range(longest, 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stop):
                return length
        return 0

    def _release(self, end: int) -> str:
        shown, self._held = self._held[:end], self._held[end:]
        return shown


class TokenText:
    """Decodes tokens one by one; a character split over several tokens comes out whole or not at all.

    Args:
        decode: from token ids to text.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._start = 0  # decoding begins here: some tokenizers need the token before for its blank
        self._shown = 0

    def feed(self, token: int) -> str:
        """Take a token and return the text that it completes."""
        self._ids.append(token)
        before = self._decode(self._ids[self._start : self._shown])
        now = self._decode(self._ids[self._start :])
        is_open = now.endswith(_REPLACEMENT) and len(self._ids) - self._shown < _LONGEST_WAIT_TOKENS
        if is_open or len(now) <= len(before):
            return ""
        self._start, self._shown = self._shown, len(self._ids)
        return now[len(before) :]

    def flush(self) -> str:
        """Return the whole characters among what was held back at the end."""
        before = self._decode(self._ids[self._start : self._shown])
        now = self._decode(self._ids[self._start :])
        self._start = self._shown = len(self._ids)
        return now[len(before) :].rstrip(_REPLACEMENT)
