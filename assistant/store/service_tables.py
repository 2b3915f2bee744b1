"""The tables of the service: keys, the audit log, answers and what people made of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import DDL, JSON, BigInteger, LargeBinary, String, Text, event
from sqlalchemy.orm import Mapped, mapped_column

from assistant.store.tables import Table


class ApiKeyRow(Table):
    """An API key by its hash; a key that was rotated is known by its former one until ``former_until``."""

    __tablename__ = "api_keys"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(16))
    scopes: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    collections: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    filters: Mapped[dict[str, Any]] = mapped_column(JSON)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    former_digest: Mapped[str | None] = mapped_column(String(64), index=True)
    former_until: Mapped[float] = mapped_column(default=0.0)
    requests_per_minute: Mapped[int | None]
    created: Mapped[str] = mapped_column(String(32))
    expires: Mapped[str | None] = mapped_column(String(32))
    revoked: Mapped[str | None] = mapped_column(String(32))


class AuditRow(Table):
    """An entry of the audit log; each one's digest covers that of the entry before."""

    __tablename__ = "audit_log"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    time: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(64), index=True)
    target: Mapped[str] = mapped_column(Text)
    status: Mapped[int]
    request_id: Mapped[str] = mapped_column(String(64))
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))


class AnswerRow(Table):
    """An answer as it was given, with what it was made from."""

    __tablename__ = "answers"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    created: Mapped[str] = mapped_column(String(32), index=True)
    key_id: Mapped[str] = mapped_column(String(64), index=True)
    collection: Mapped[str] = mapped_column(String(64), index=True)
    conversation_id: Mapped[str | None] = mapped_column(String(40), index=True)
    question: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    arm: Mapped[str] = mapped_column(String(16))
    language: Mapped[str] = mapped_column(String(8))
    abstained: Mapped[bool]
    seconds: Mapped[float]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    citations: Mapped[list[Any]] = mapped_column(JSON)
    passages: Mapped[list[Any]] = mapped_column(JSON)
    lineage: Mapped[dict[str, Any]] = mapped_column(JSON)


class FeedbackRow(Table):
    """What a person said of an answer."""

    __tablename__ = "answer_feedback"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    answer_id: Mapped[str] = mapped_column(String(40), index=True)
    key_id: Mapped[str] = mapped_column(String(64))
    collection: Mapped[str] = mapped_column(String(64), index=True)
    created: Mapped[str] = mapped_column(String(32), index=True)
    rating: Mapped[str | None] = mapped_column(String(8))
    is_resolved: Mapped[bool | None]
    comment: Mapped[str] = mapped_column(Text)
    correction: Mapped[str] = mapped_column(Text)


class ConversationRow(Table):
    """A conversation; its turns are the answers that name it."""

    __tablename__ = "conversations"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    key_id: Mapped[str] = mapped_column(String(64), index=True)
    collection: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(String(200))
    created: Mapped[str] = mapped_column(String(32))


class HandoverRow(Table):
    """A question that was passed to a person."""

    __tablename__ = "handovers"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    key_id: Mapped[str] = mapped_column(String(64), index=True)
    collection: Mapped[str] = mapped_column(String(64), index=True)
    conversation_id: Mapped[str | None] = mapped_column(String(40))
    answer_id: Mapped[str | None] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(16))
    note: Mapped[str] = mapped_column(Text)
    assignee: Mapped[str] = mapped_column(String(100))
    summary: Mapped[dict[str, Any]] = mapped_column(JSON)
    created: Mapped[str] = mapped_column(String(32), index=True)
    changed: Mapped[str] = mapped_column(String(32))


class IdempotencyRow(Table):
    """A request with an ``Idempotency-Key``: what was asked, and once it is done, what was answered."""

    __tablename__ = "idempotency_keys"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    begun: Mapped[float] = mapped_column(index=True)
    status: Mapped[int | None]
    headers: Mapped[list[Any]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class JobOriginRow(Table):
    """Whose request queued a job."""

    __tablename__ = "job_origins"

    job_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(64), index=True)


def audit_guards(dialect: str) -> list[tuple[str, str]]:
    """Return the statements that drop and make what refuses to change or delete an entry of the audit log."""
    made: list[tuple[str, str]] = []
    for verb in ("UPDATE", "DELETE"):
        name = f"audit_no_{verb.lower()}"
        if dialect == "sqlite":
            message = "'the audit log is append-only'"
            create = f"CREATE TRIGGER {name} BEFORE {verb} ON audit_log"
            made.append((f"DROP TRIGGER {name}", f"{create} BEGIN SELECT RAISE(ABORT, {message}); END"))
        elif dialect == "postgresql":
            create = f"CREATE RULE {name} AS ON {verb} TO audit_log DO INSTEAD NOTHING"
            made.append((f"DROP RULE {name} ON audit_log", create))
    return made


def _refuse_changes() -> None:
    """Let the database itself refuse to change or delete an entry of the audit log."""
    for dialect in ("sqlite", "postgresql"):
        for _, statement in audit_guards(dialect):
            guard = DDL(statement).execute_if(dialect=dialect)  # type: ignore[no-untyped-call]
            event.listen(AuditRow.__table__, "after_create", guard)


_refuse_changes()
