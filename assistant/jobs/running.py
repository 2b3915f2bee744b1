"""Runs one claimed job: the work in the caller's thread, its row kept by another one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

from assistant.core.errors import CollectionBusy, DatabaseAway, DeskmateError, ResourceError
from assistant.jobs.job_queue import LEASE_SECONDS, JobQueue
from assistant.jobs.progress import JobInterrupted, JobProgress
from assistant.jobs.records import Job, JobError, Outcome

KEEP_SECONDS = 0.5
BUSY_SECONDS = 10.0
_LOG = logging.getLogger(__name__)
_Told = TypeVar("_Told")

Work = Callable[[Job, JobProgress], Outcome]


def run_job(queue: JobQueue, job: Job, work: Work, stop: threading.Event) -> None:
    """Do a job's work and store what came out; whatever the work raises ends this job only.

    Args:
        queue: that it was claimed from.
        job: as claimed.
        work: does it.
        stop: once set, the job is given back at its next step.
    """
    progress = JobProgress()
    outcome: Outcome | None = None
    reason = ""
    with _Keeper(queue, job, progress, stop):
        try:
            outcome = work(job, progress)
        except JobInterrupted as interruption:
            reason = interruption.reason
        except (CollectionBusy, DatabaseAway) as error:
            _LOG.warning("job %s waits: %s", job.id, error)
            reason = "busy"
        except DeskmateError as error:
            told = JobError(slug=error.slug, message=error.message, next_command=error.next_command)
            outcome = Outcome(result={}, error=told)
        except Exception as error:  # noqa: BLE001 - one job's defect must not end the worker; it is logged
            _LOG.exception("job %s failed", job.id)
            told = JobError(slug=DeskmateError.slug, message=f"{type(error).__name__}: {error}")
            outcome = Outcome(result={}, error=told)
        progress.finish()
    if reason in {"stopped", "busy"}:
        _patiently(lambda: queue.release(job, BUSY_SECONDS if reason == "busy" else 0.0))
    elif reason == "lost" or not _patiently(lambda: queue.finish(job, outcome, progress.stages())):
        _LOG.warning("job %s was taken over by another worker", job.id)


def _patiently(change: Callable[[], _Told]) -> _Told:
    """Change a job's row, waiting for a database that is away as long as the lease holds."""
    until = time.monotonic() + LEASE_SECONDS
    while True:
        try:
            return change()
        except ResourceError as error:
            if time.monotonic() > until:
                raise
            _LOG.warning("the database is waited for: %s", error)
            time.sleep(KEEP_SECONDS)


class _Keeper:
    """Renews the lease of a running job, stores its progress and hands on a cancellation."""

    def __init__(self, queue: JobQueue, job: Job, progress: JobProgress, stop: threading.Event) -> None:
        self._queue = queue
        self._job = job
        self._progress = progress
        self._stop = stop
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {job.id}", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._has_ended.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._has_ended.wait(KEEP_SECONDS):
            if self._stop.is_set():
                self._progress.interrupt("stopped")
            try:
                standing = self._queue.keep(self._job, self._progress.stages())
            except DeskmateError as error:  # the database may be back before the lease ends
                _LOG.warning("progress of job %s cannot be stored: %s", self._job.id, error)
                continue
            if standing != "running":
                self._progress.interrupt("cancelled" if standing == "cancelling" else "lost")
