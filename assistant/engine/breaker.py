"""Stops asking a server that fails, so that nobody waits for it, and tries again after a pause."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from assistant.core.errors import EngineUnavailable


class CircuitBreaker:
    """Counts failures in a row. Safe to use from several threads.

    Args:
        failures: after which it opens.
        pause_seconds: for which it stays open.
        clock: seconds, never going back.
    """

    def __init__(
        self, failures: int, pause_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._pause = pause_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0
        self._reason = ""

    def check(self) -> None:
        """Let a request through, or refuse it.

        Once the pause is over one request goes through as a trial; the others wait for its outcome or for
        another pause.

        Raises:
            EngineUnavailable: the server has failed too often just now.
        """
        with self._lock:
            if self._failures < self._limit:
                return
            left = self._open_until - self._clock()
            if left > 0:
                raise EngineUnavailable(
                    f"the engine failed {self._failures} times in a row ({self._reason}); it is asked "
                    f"again in {left:.0f} s",
                    next_command="deskmate engine status",
                )
            self._open_until = self._clock() + self._pause

    def succeeded(self) -> None:
        """Note that the server answered."""
        with self._lock:
            self._failures = 0

    def failed(self, reason: str) -> None:
        """Note that the server did not answer."""
        with self._lock:
            self._failures += 1
            self._reason = reason
            if self._failures >= self._limit:
                self._open_until = self._clock() + self._pause
