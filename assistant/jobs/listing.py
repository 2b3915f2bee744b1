"""Jobs page by page, and whose request queued them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from assistant.jobs.records import Job, JobKind, JobState
from assistant.store.service_tables import JobOriginRow
from assistant.store.tables import JobRow


def page_of_jobs(
    session: Session,
    *,
    before: int | None = None,
    limit: int = 100,
    collections: Sequence[str] | None = None,
    state: JobState | None = None,
    key_id: str | None = None,
    kind: JobKind | None = None,
) -> list[tuple[int, Job]]:
    """Return jobs with their numbers, newest first, from below the number ``before``.

    Args:
        session: the transaction.
        before: where the page begins.
        limit: most jobs.
        collections: only of these.
        state: only in this state.
        key_id: only those that requests of this key queued.
        kind: only of this kind.
    """
    query = select(JobRow).order_by(JobRow.number.desc()).limit(limit)
    if before is not None:
        query = query.where(JobRow.number < before)
    if collections is not None:
        query = query.where(JobRow.collection.in_(collections))
    if state is not None:
        query = query.where(JobRow.state == state)
    if key_id is not None:
        query = query.where(JobRow.id.in_(select(JobOriginRow.job_id).where(JobOriginRow.key_id == key_id)))
    if kind is not None:
        query = query.where(JobRow.kind == kind)
    names = Job.__struct_fields__
    return [
        (row.number, msgspec.convert({name: getattr(row, name) for name in names}, Job))
        for row in session.scalars(query)
    ]


def count_waiting(session: Session) -> dict[str, int]:
    """Return how many jobs wait and how many run."""
    rows = session.execute(select(JobRow.state, func.count(JobRow.number)).group_by(JobRow.state))
    found = {str(state): int(count) for state, count in rows}
    return {state: found.get(state, 0) for state in ("queued", "running")}


def note_origin(session: Session, job_id: str, key_id: str) -> None:
    """Keep whose request queued a job."""
    session.merge(JobOriginRow(job_id=job_id, key_id=key_id))


def origin(session: Session, job_id: str) -> str | None:
    """Return the key whose request queued a job, None for one that came from the command line."""
    row = session.get(JobOriginRow, job_id)
    return row.key_id if row else None
