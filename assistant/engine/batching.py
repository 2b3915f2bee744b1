"""One worker owns the model: it takes waiting rows in, advances all of them by a token, lets ended ones go.

Rows join and leave between tokens, whatever their adapter. Streams and batch jobs have a lane each,
oldest first, and as many places each, so that neither can hold up the other.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Literal, TypeVar

from assistant.core.errors import EngineBusy, EngineError, EngineUnavailable
from assistant.engine.decoding import Decoder
from assistant.engine.rows import Row
from assistant.engine.sampling import choose

_LOG = logging.getLogger(__name__)
# Prompt tokens computed between two tokens of the running rows: bounds how long a stream pauses while
# others join (about a second for a model of half a billion weights on two cores).
_PREFILL_TOKENS = 1024

Lane = Literal["stream", "job"]
Result = TypeVar("Result")


class Worker:
    """Runs rows through a decoder in one thread of its own.

    Args:
        decoder: the model's state; only the worker's thread touches it.
        places: rows of one lane that run together.
        queue_limit: streams that may wait.
        threads: processor threads of the model, 0 for all.
    """

    def __init__(self, decoder: Decoder, *, places: int, queue_limit: int, threads: int = 0) -> None:
        self._decoder = decoder
        self._places = places
        self._queue_limit = queue_limit
        self._threads = threads
        self._waiting: dict[Lane, deque[Row]] = {"stream": deque(), "job": deque()}
        self._errands: deque[Callable[[], None]] = deque()
        self._rows: list[tuple[Lane, Row]] = []
        self._wake = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="deskmate-engine", daemon=True)
        self._thread.start()

    @property
    def running_count(self) -> int:
        """Rows that hold a place now."""
        return sum(not row.is_ended for _, row in self._rows)

    @property
    def waiting_count(self) -> int:
        """Rows that wait for a place."""
        with self._wake:
            return sum(map(len, self._waiting.values()))

    def uses(self, adapter: str) -> bool:
        """Tell whether a row of an adapter runs or waits; called on the worker's thread."""
        with self._wake:
            waiting = [row for lane in self._waiting.values() for row in lane]
        rows = [*waiting, *(row for _, row in self._rows)]
        return any(row.request.adapter == adapter and not row.is_ended for row in rows)

    def submit(self, row: Row, lane: Lane) -> None:
        """Let a row wait for a place.

        Raises:
            EngineBusy: too many streams wait already.
            EngineUnavailable: the engine is closed.
        """
        with self._wake:
            self._check_open()
            waiting = len(self._waiting[lane])
            if lane == "stream" and waiting >= self._queue_limit:
                raise EngineBusy(
                    f"{waiting} requests wait already, the limit is {self._queue_limit}; try later"
                )
            self._waiting[lane].append(row)
            self._wake.notify()

    def call(self, work: Callable[[], Result]) -> Result:
        """Run something on the worker's thread between two tokens and return its result.

        Raises:
            EngineUnavailable: the engine is closed.
        """
        future: Future[Result] = Future()
        with self._wake:
            self._check_open()
            self._errands.append(lambda: _settle(future, work))
            self._wake.notify()
        return future.result()

    def close(self) -> None:
        """End all rows as cancelled and stop."""
        with self._wake:
            self._is_closed = True
            self._wake.notify()
        self._thread.join()

    def _check_open(self) -> None:
        if self._is_closed:
            raise EngineUnavailable("the engine is closed")

    def _run(self) -> None:
        import torch

        if self._threads:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            while self._wait_for_work():
                self._turn()
        self._end_all()

    def _wait_for_work(self) -> bool:
        with self._wake:
            while not (self._is_closed or self._rows or self._errands or any(self._waiting.values())):
                self._wake.wait()
            return not self._is_closed

    def _turn(self) -> None:
        while self._errands:
            self._errands.popleft()()
        try:
            self._drop_ended()
            if newcomers := self._take_newcomers():
                self._admit(newcomers)
                self._drop_ended()
            if self._rows:
                rows = [row for _, row in self._rows]
                self._advance(rows, self._decoder.step([row.last_token for row in rows]))
        except Exception as error:  # noqa: BLE001 - ends the rows with it, never the worker
            _LOG.exception("generation failed")
            self._fail_all(error)

    def _take_newcomers(self) -> list[tuple[Lane, Row]]:
        taken: list[tuple[Lane, Row]] = []
        longest = 0
        with self._wake:
            for lane, waiting in self._waiting.items():
                free = self._places - sum(lane == other for other, _ in self._rows)
                while waiting and free:
                    if waiting[0].is_cancelled:
                        waiting.popleft().finish("cancelled")
                        continue
                    longest = max(longest, len(waiting[0].prompt))
                    if taken and longest * (len(taken) + 1) > _PREFILL_TOKENS:
                        return taken
                    taken.append((lane, waiting.popleft()))
                    free -= 1
        return taken

    def _admit(self, newcomers: list[tuple[Lane, Row]]) -> None:
        rows = [row for _, row in newcomers]
        try:
            scores = self._decoder.add([row.prompt for row in rows], [row.request.adapter for row in rows])
        except Exception as error:  # noqa: BLE001 - a prompt too large for the machine ends itself only
            _LOG.exception("a prompt failed")
            _fail(rows, error)
            return
        self._rows += newcomers
        self._advance(rows, scores)

    def _advance(self, rows: list[Row], scores: object) -> None:
        tokens = choose(scores, [row.request for row in rows], [row.generator for row in rows])  # type: ignore[arg-type]
        for row, token in zip(rows, tokens, strict=True):
            row.accept(token)

    def _drop_ended(self) -> None:
        for _, row in self._rows:
            if row.is_cancelled and not row.is_ended:
                row.finish("cancelled")
        staying = [place for place, (_, row) in enumerate(self._rows) if not row.is_ended]
        if len(staying) < len(self._rows):
            self._rows = [self._rows[place] for place in staying]
            self._decoder.keep(staying)

    def _fail_all(self, error: Exception) -> None:
        _fail([row for _, row in self._rows], error)
        self._rows = []
        self._decoder.clear()

    def _end_all(self) -> None:
        with self._wake:
            rows = [row for _, row in self._rows] + [row for lane in self._waiting.values() for row in lane]
            errands = list(self._errands)
        for row in rows:
            row.finish("cancelled")
        for errand in errands:
            errand()


def _fail(rows: list[Row], error: Exception) -> None:
    for row in rows:
        row.fail(EngineError(f"generation failed: {type(error).__name__}: {error}"))


def _settle(future: Future[Result], work: Callable[[], Result]) -> None:
    try:
        future.set_result(work())
    except Exception as error:  # noqa: BLE001 - handed to the caller, who waits for it
        future.set_exception(error)
