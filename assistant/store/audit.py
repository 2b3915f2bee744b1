"""The audit log: who did what, append-only, each entry chained to the one before by its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from assistant.core.records import Record
from assistant.store.meta import Meta
from assistant.store.service_tables import AuditRow, audit_guards

_COUNTER = "next_audit_number"
_HEAD = "audit_head"
_ANCHOR = "audit_anchor"
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
        pruned: number of the last entry that was taken out because of its age, 0 if none was.
        head: digest of the last one; kept elsewhere, it proves later that nothing was cut off.
        broken_at: number of the first entry that was changed, or that follows a missing one; None if good.
        reason: what is wrong there.
    """

    count: int
    head: str
    pruned: int = 0
    broken_at: int | None = None
    reason: str = ""


class AuditLog:
    """The log within one session.

    Args:
        session: of the database.
        clock: tells the time.
    """

    def __init__(self, session: Session, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._session = session
        self._clock = clock

    def append(self, event: AuditEvent) -> AuditEntry:
        """Write an entry behind the last one."""
        meta = Meta(self._session)
        number = meta.reserve(
            _COUNTER, 1
        )  # holds the counter's row: one writer at a time, whatever the database
        row = AuditRow(
            **msgspec.structs.asdict(event),
            number=number,
            time=self._clock().isoformat(timespec="milliseconds"),
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
        """Compute every digest anew and follow the chain from where it begins to its end."""
        pruned, expected = self.anchor()
        last, count = pruned, 0
        for entry in self.all():
            reason = ""
            if entry.number != last + 1:
                reason = f"entry {last + 1} is missing"
            elif entry.previous != expected:
                reason = "it does not follow the entry before"
            elif _digest(entry) != entry.digest:
                reason = "it was changed"
            if reason:
                return ChainReport(
                    count=count, head=expected, pruned=pruned, broken_at=entry.number, reason=reason
                )
            expected, last, count = entry.digest, entry.number, count + 1
        report = ChainReport(count=count, head=expected, pruned=pruned)
        if expected != (Meta(self._session).get(_HEAD) or START):
            return msgspec.structs.replace(report, broken_at=last + 1, reason="the end was cut off")
        return report

    def anchor(self) -> tuple[int, str]:
        """Return number and digest of the last entry that was pruned, 0 and the start where none was."""
        number, _, digest = (Meta(self._session).get(_ANCHOR) or f"0 {START}").partition(" ")
        return int(number), digest

    def older(self, before: str) -> list[AuditEntry]:
        """Return the entries in front of the first one that is not older than ``before``, ISO 8601 in UTC."""
        kept = self._session.scalar(select(func.min(AuditRow.number)).where(AuditRow.time >= before))
        query = select(AuditRow).order_by(AuditRow.number)
        return [
            _entry(row)
            for row in self._session.scalars(query if kept is None else query.where(AuditRow.number < kept))
        ]

    def prune(self, entries: Sequence[AuditEntry]) -> None:
        """Take out the oldest entries; the log itself says so, and the chain goes on from the last of them.

        Args:
            entries: as ``older`` gave them within this transaction.
        """
        if not entries:
            return
        last = entries[-1]
        dialect = self._session.get_bind().dialect.name
        for drop, _ in audit_guards(dialect):
            self._session.execute(text(drop))
        self._session.execute(delete(AuditRow).where(AuditRow.number <= last.number))
        for _, create in audit_guards(dialect):
            self._session.execute(text(create))
        Meta(self._session).put(_ANCHOR, f"{last.number} {last.digest}")
        target = f"entries up to {last.number}, {last.digest}"
        self.append(
            AuditEvent(actor="local", role="", action="pruneAudit", target=target, status=200, request_id="")
        )


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
