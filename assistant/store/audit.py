"""The audit log: who did what, append-only, each entry chained to the one before by its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from assistant.core.records import Record
from assistant.store.meta import Meta
from assistant.store.service_tables import AuditRow

_COUNTER = "next_audit_number"
_HEAD = "audit_head"
_PER_QUERY = 1000
START = "0" * 64


class AuditEvent(Record, frozen=True, kw_only=True):
    """What is noted.

    Attributes:
        actor: id of the key, ``local``, or ``unknown`` for a request without a good one.
        role: its role, empty where unknown.
        action: the operation.
        target: what it was done to, such as a path of the API.
        status: the HTTP status it was answered with.
        request_id: of the request.
    """

    actor: str
    role: str
    action: str
    target: str
    status: int
    request_id: str


class AuditEntry(Record, frozen=True, kw_only=True):
    """An event as it stands in the log; `previous` is the digest of the entry before."""

    number: int
    time: str
    actor: str
    role: str
    action: str
    target: str
    status: int
    request_id: str
    previous: str
    digest: str


class ChainReport(Record, frozen=True, kw_only=True):
    """What verifying found.

    Attributes:
        count: entries read.
        head: digest of the last one; kept elsewhere, it proves later that nothing was cut off.
        broken_at: number of the first entry that was changed, or that follows a missing one; None if good.
        reason: what is wrong there.
    """

    count: int
    head: str
    broken_at: int | None = None
    reason: str = ""


class AuditLog:
    """The log within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def append(self, event: AuditEvent) -> AuditEntry:
        """Write an entry behind the last one."""
        meta = Meta(self._session)
        number = meta.reserve(
            _COUNTER, 1
        )  # holds the counter's row: one writer at a time, whatever the database
        row = AuditRow(
            **msgspec.structs.asdict(event),
            number=number,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            previous=meta.get(_HEAD) or START,
        )
        row.digest = _digest(row)
        meta.put(_HEAD, row.digest)
        self._session.add(row)
        self._session.flush()
        return _entry(row)

    def entries(
        self, before: int | None = None, limit: int = 100, action: str | None = None
    ) -> list[AuditEntry]:
        """Return entries, newest first, from below the number ``before``."""
        query = select(AuditRow).order_by(AuditRow.number.desc()).limit(limit)
        if before is not None:
            query = query.where(AuditRow.number < before)
        if action is not None:
            query = query.where(AuditRow.action == action)
        return [_entry(row) for row in self._session.scalars(query)]

    def all(self) -> Iterator[AuditEntry]:
        """Yield every entry, oldest first, few of them held at a time."""
        last = 0
        while True:
            query = select(AuditRow).where(AuditRow.number > last).order_by(AuditRow.number).limit(_PER_QUERY)
            rows = self._session.scalars(query).all()
            if not rows:
                return
            yield from (_entry(row) for row in rows)
            last = rows[-1].number
            self._session.expunge_all()

    def verify(self) -> ChainReport:
        """Compute every digest anew and follow the chain to its end."""
        expected, count = START, 0
        for entry in self.all():
            reason = ""
            if entry.number != count + 1:
                reason = f"entry {count + 1} is missing"
            elif entry.previous != expected:
                reason = "it does not follow the entry before"
            elif _digest(entry) != entry.digest:
                reason = "it was changed"
            if reason:
                return ChainReport(count=count, head=expected, broken_at=entry.number, reason=reason)
            expected, count = entry.digest, count + 1
        if expected != (Meta(self._session).get(_HEAD) or START):
            return ChainReport(count=count, head=expected, broken_at=count + 1, reason="the end was cut off")
        return ChainReport(count=count, head=expected)


def to_ocsf(entry: AuditEntry) -> dict[str, object]:
    """Return an entry as an OCSF event of class API Activity."""
    failed = 400
    return {
        "class_uid": 6003,
        "category_uid": 6,
        "activity_id": 99,
        "type_uid": 600399,
        "time": int(datetime.fromisoformat(entry.time).timestamp() * 1000),
        "severity_id": 1,
        "status_id": 2 if entry.status >= failed else 1,
        "status_code": str(entry.status),
        "actor": {"user": {"uid": entry.actor, "groups": [{"name": entry.role}] if entry.role else []}},
        "api": {"operation": entry.action, "request": {"uid": entry.request_id}},
        "resources": [{"name": entry.target}],
        "metadata": {"version": "1.4.0", "product": {"name": "Deskmate"}, "sequence": entry.number},
        "unmapped": {"previous": entry.previous, "digest": entry.digest},
    }


def _digest(entry: AuditRow | AuditEntry) -> str:
    names = [name for name in AuditEntry.__struct_fields__ if name != "digest"]
    return hashlib.sha256(msgspec.json.encode([getattr(entry, name) for name in names])).hexdigest()


def _entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(**{name: getattr(row, name) for name in AuditEntry.__struct_fields__})
