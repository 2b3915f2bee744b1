"""A job's progress: counted in memory by the work, read by whoever keeps the job's row."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

import msgspec

from assistant.jobs.records import JobStage

Interruption = Literal["cancelled", "stopped", "lost"]


class JobInterrupted(BaseException):
    """The work shall end at once; like Ctrl-C, no ``except Exception`` of the work may stop it.

    Args:
        reason: ``cancelled`` by a person, ``stopped`` with its worker, or ``lost`` to another worker.
    """

    def __init__(self, reason: Interruption) -> None:
        self.reason = reason
        super().__init__(reason)


class JobProgress:
    """Counts the steps of a job and ends its work at the next step when asked to.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._ended: list[JobStage] = []
        self._stage: JobStage | None = None
        self._began = 0.0
        self._interruption: Interruption | None = None

    def start(self, stage: str, total: int | None = None) -> None:
        """Begin a stage; ends the one before.

        Raises:
            JobInterrupted: the work shall end.
        """
        self._check()
        with self._lock:
            self._end_stage()
            self._stage = JobStage(name=stage, total=total)
            self._began = self._clock()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Tell that ``count`` more steps are done.

        Raises:
            JobInterrupted: the work shall end.
        """
        with self._lock:
            if self._stage is not None:
                done, current = self._stage.done + count, note or self._stage.current
                self._stage = msgspec.structs.replace(self._stage, done=done, current=current)
        self._check()

    def finish(self) -> None:
        """End the current stage; never raises, because stages end while errors are on their way."""
        with self._lock:
            self._end_stage()

    def interrupt(self, reason: Interruption) -> None:
        """Let the next step of the work raise ``JobInterrupted``; the first reason counts."""
        self._interruption = self._interruption or reason

    def stages(self) -> tuple[JobStage, ...]:
        """Return the stages as they stand, with speed and remaining time."""
        with self._lock:
            return (*self._ended, *([self._measured(self._stage)] if self._stage else []))

    def _check(self) -> None:
        if self._interruption is not None:
            raise JobInterrupted(self._interruption)

    def _end_stage(self) -> None:
        if self._stage is not None:
            ended = msgspec.structs.replace(
                self._measured(self._stage), has_ended=True, remaining_seconds=None
            )
            self._ended.append(ended)
            self._stage = None

    def _measured(self, stage: JobStage) -> JobStage:
        seconds = self._clock() - self._began
        speed = stage.done / seconds if stage.done and seconds > 0 else None
        remaining = (stage.total - stage.done) / speed if speed and stage.total is not None else None
        return msgspec.structs.replace(
            stage,
            seconds=round(seconds, 3),
            speed=round(speed, 3) if speed else None,
            remaining_seconds=round(remaining, 1) if remaining is not None else None,
        )
