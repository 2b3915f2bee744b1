"""The durable queue of jobs: rows in the database, owned by one worker at a time through a lease.

``queued → running → succeeded | partly_failed | failed | cancelled``, and back to ``queued`` by a retry or
where the worker died. A partial unique index lets a collection have one running job at most, whoever asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased, object_session

from assistant.core.errors import InputError, NotFoundError
from assistant.core.home import Home
from assistant.core.ids import random_id
from assistant.core.settings_jobs import JobsSettings
from assistant.jobs.news import News, NoNews
from assistant.jobs.presence import Presence
from assistant.jobs.records import ENDED, Job, JobError, JobKind, JobStage, JobState, Outcome
from assistant.store.database import Database
from assistant.store.locking import locked
from assistant.store.tables import JobRow
from assistant.store.webhooks import Webhooks

LEASE_SECONDS = 30.0
LOST_ATTEMPTS = 5  # a job whose worker died that often is likely to be what killed it
_ID_LENGTH = len("job-") + 12
_SHOWN = 100

Standing = Literal["running", "cancelling", "lost"]


class JobQueue:
    """Enqueues, shows and steers jobs; workers claim and finish them. Safe to use from several threads.

    Args:
        database: the rows.
        home: data folder, for the locks that tell which workers live.
        clock: seconds since 1970; those of several machines must agree within the lease of 30 s.
        keeping: which ended jobs are kept.
        news: takes word of every job that changed.
    """

    def __init__(
        self,
        database: Database,
        home: Home,
        clock: Callable[[], float] = time.time,
        keeping: JobsSettings | None = None,
        news: News | None = None,
    ) -> None:
        self._database = database
        self._home = home
        self.presence = Presence(home.workers)
        self._clock = clock
        self.keeping = keeping or JobsSettings()
        self._news = news or NoNews()

    def enqueue(
        self,
        kind: JobKind,
        collection: str,
        arguments: Mapping[str, object],
        settings: Mapping[str, object] | None = None,
    ) -> Job:
        """Store a job for the next free worker.

        Args:
            kind: names the work.
            collection: that it changes.
            arguments: of the work, plain values.
            settings: ``section.key`` → value, over those of the worker.

        Raises:
            InputError: the collection's name is none.
        """
        self._home.collection(collection)
        row = JobRow(
            id=random_id("job")[:_ID_LENGTH],
            kind=kind,
            collection=collection,
            arguments=dict(arguments),
            settings=dict(settings or {}),
            state="queued",
            stages=[],
            created=self._now(),
        )
        self.prune()
        with self._database.write() as session:
            session.add(row)
            session.flush()
            return _job(row)

    def prune(self) -> int:
        """Forget ended jobs that are too old or too many, and return how many."""
        with self._database.read() as session:
            old = self._too_old(session)
            if not session.scalar(select(func.count()).where(old)):  # a look costs no write lock
                return 0
        with self._database.write() as session:
            gone = session.scalars(delete(JobRow).where(self._too_old(session)).returning(JobRow.number))
            return len(gone.all())

    def _too_old(self, session: Session) -> ColumnElement[bool]:
        ended = JobRow.state.in_(ENDED)
        first = session.scalar(
            select(JobRow.number)
            .where(ended)
            .order_by(JobRow.number.desc())
            .offset(self.keeping.kept)
            .limit(1)
        )
        day = _stamp(self._clock() - timedelta(days=self.keeping.kept_days).total_seconds())
        return ended & or_(JobRow.number <= (first or 0), JobRow.finished < day)

    def jobs(
        self, collection: str | None = None, state: JobState | None = None, limit: int = _SHOWN
    ) -> list[Job]:
        """Return jobs, newest first."""
        query = select(JobRow).order_by(JobRow.number.desc()).limit(limit)
        if collection is not None:
            query = query.where(JobRow.collection == collection)
        if state is not None:
            query = query.where(JobRow.state == state)
        with self._database.read() as session:
            return [_job(row) for row in session.scalars(query)]

    def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            NotFoundError: there is none.
        """
        with self._database.read() as session:
            return _job(self._find(session, job_id))

    def cancel(self, job_id: str) -> Job:
        """Cancel a queued job at once; ask a running one to end at its next step.

        Raises:
            NotFoundError: there is none.
            InputError: it has ended.
        """
        self.free_lost()
        with self._database.write() as session:
            row = self._find(session, job_id)
            if row.state in ENDED:
                raise InputError(f"job {job_id} has ended already: {row.state.replace('_', ' ')}")
            if row.state == "running":
                row.is_cancelling = True
            else:
                self._end(row, "cancelled")
            job = _job(row)
        self._news.tell(job_id)
        return job

    def retry(self, job_id: str) -> Job:
        """Queue a job again that failed or was cancelled.

        Raises:
            NotFoundError: there is none.
            InputError: it has not ended, or succeeded.
        """
        self.free_lost()
        with self._database.write() as session:
            row = self._find(session, job_id)
            if row.state not in ENDED or row.state == "succeeded":
                raise InputError(
                    f"job {job_id} is {row.state}; only a failed or cancelled one can be retried"
                )
            row.state, row.stages, row.lost_attempts, row.not_before = "queued", [], 0, 0.0
            row.result = row.error = row.finished = None
            job = _job(row)
        self._news.tell(job_id)
        return job

    def claim(self, worker: str) -> Job | None:
        """Take the oldest job whose collection has none running; None if there is nothing to do now.

        A worker runs one job at a time: whatever it seems to run when it asks for another was not finished.
        """
        self.free_lost(asking=worker)
        with self._database.read() as session:
            if self._next(session) is None:  # a look costs no write lock
                return None
        with self._database.write() as session:
            row = self._next(session)
            if row is None:
                return None
            row.state, row.stages, row.is_cancelling = "running", [], False
            row.worker, row.lease_until = worker, self._clock() + LEASE_SECONDS
            row.attempts += 1
            row.started = row.started or self._now()
            try:
                session.flush()
            except IntegrityError:  # another worker took a job of this collection in the same moment
                session.rollback()
                return None
            job = _job(row)
        self._news.tell(job.id)
        return job

    def keep(self, job: Job, stages: Sequence[JobStage]) -> Standing:
        """Renew the lease, store the progress and tell whether to go on."""
        with self._database.write() as session:
            row = _owned(session, job)
            if row is None:
                return "lost"
            row.lease_until = self._clock() + LEASE_SECONDS
            row.stages = _plain(stages)
            standing: Standing = "cancelling" if row.is_cancelling else "running"
        self._news.tell(job.id)
        return standing

    def finish(self, job: Job, outcome: Outcome | None, stages: Sequence[JobStage]) -> bool:
        """Store what came out, None for a cancelled job; False if the job is not this worker's any more."""
        with self._database.write() as session:
            row = _owned(session, job)
            if row is None:
                return False
            row.stages = _plain(stages)
            if outcome is not None:
                row.result = outcome.result
                row.error = msgspec.to_builtins(outcome.error)
            self._end(row, outcome.state if outcome else "cancelled")
        self._news.tell(job.id)
        return True

    def release(self, job: Job, wait_seconds: float = 0.0) -> None:
        """Give a job back that is to be run later, by whichever worker; the attempt does not count."""
        with self._database.write() as session:
            row = _owned(session, job)
            if row is not None:
                row.not_before = self._clock() + wait_seconds
                row.attempts -= 1
                self._requeue(row)

    def free_lost(self, asking: str | None = None) -> None:
        """Queue the jobs again whose worker died, or is the one that asks for another.

        A worker that shares the data folder is dead when its lock is free, and alive as long as it holds
        it, however busy; of any other the lease tells.
        """
        with self._database.read() as session:
            running = session.scalars(select(JobRow).where(JobRow.state == "running")).all()
        lost = [(row.number, row.worker) for row in running if row.worker == asking or self._is_lost(row)]
        for number, worker in lost:
            with self._database.write() as session:
                row = session.get(JobRow, number, with_for_update=True)
                if row is not None and (row.state, row.worker) == ("running", worker):
                    self._free(row)
        if lost:
            self.presence.forget_dead()

    def _is_lost(self, row: JobRow) -> bool:
        life = self.presence.life(row.worker or "")
        return life == "dead" or (life == "unknown" and row.lease_until < self._clock())

    def _free(self, row: JobRow) -> None:
        row.lost_attempts += 1
        if row.lost_attempts >= LOST_ATTEMPTS and not row.is_cancelling:
            error = JobError(
                slug="worker-lost",
                message=f"its worker died {row.lost_attempts} times in the middle of it",
                next_command=f"deskmate jobs retry {row.id}",
            )
            row.error = msgspec.to_builtins(error)
            self._end(row, "failed")
        else:
            self._requeue(row)

    def _requeue(self, row: JobRow) -> None:
        if row.is_cancelling:
            self._end(row, "cancelled")
        else:
            row.state = "queued"

    def _end(self, row: JobRow, state: JobState) -> None:
        row.state, row.is_cancelling, row.finished = state, False, self._now()
        session = object_session(row)
        if session is not None:  # told in the transaction that ends the job, or not at all
            error = (row.error or {}).get("slug")
            told = {"id": row.id, "kind": row.kind, "state": state, "error": error}
            Webhooks(session).emit("job.ended", row.collection, told)

    def missing(self, job_id: str) -> NotFoundError:
        """Return the error that says that there is no such job, or none for who asks."""
        return NotFoundError(
            f"no job {job_id[:64]!r}; of ended ones the newest {self.keeping.kept} "
            f"of {self.keeping.kept_days} days are kept",
            next_command="deskmate jobs list",
        )

    def _find(self, session: Session, job_id: str) -> JobRow:
        row = session.scalar(locked(session, select(JobRow).where(JobRow.id == job_id)))
        if row is None:
            raise self.missing(job_id)
        return row

    def _next(self, session: Session) -> JobRow | None:
        other = aliased(JobRow)
        busy = select(other.number).where(other.collection == JobRow.collection, other.state == "running")
        query = select(JobRow).where(
            JobRow.state == "queued", JobRow.not_before <= self._clock(), ~busy.exists()
        )
        return session.scalar(locked(session, query.order_by(JobRow.number).limit(1), skip_locked=True))

    def _now(self) -> str:
        return _stamp(self._clock())


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _owned(session: Session, job: Job) -> JobRow | None:
    query = select(JobRow).where(
        JobRow.id == job.id,
        JobRow.state == "running",
        JobRow.worker == job.worker,
        JobRow.attempts == job.attempts,
    )
    return session.scalar(query.with_for_update())


def _plain(stages: Sequence[JobStage]) -> list[object]:
    return [msgspec.to_builtins(stage) for stage in stages]


def _job(row: JobRow) -> Job:
    names = Job.__struct_fields__
    return msgspec.convert({name: getattr(row, name) for name in names}, Job)
