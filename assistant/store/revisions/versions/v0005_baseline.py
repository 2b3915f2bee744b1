"""The schema as it was when Alembic took over: every table of version 5, made where it is not there yet.

Frozen: it names no table class, which describe the newest schema, and is never changed.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = None

_tables = sa.MetaData()


def _words(name: str, length: int, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), **({"nullable": False} | options))


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _whole(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, **({"nullable": False} | options))


def _large(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, **({"nullable": False} | options))


def _seconds(name: str, **options: Any) -> sa.Column[float]:
    return sa.Column(name, sa.Double, **({"nullable": False} | options))


def _flag(name: str, **options: Any) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, **({"nullable": False} | options))


def _json(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON, **({"nullable": False} | options))


def _number(name: str = "number") -> sa.Column[int]:
    return sa.Column(name, sa.Integer, primary_key=True)


def _parent(name: str, target: str, **options: Any) -> sa.Column[int]:
    key = sa.ForeignKey(target, ondelete="CASCADE")
    return sa.Column(name, sa.Integer, key, **({"nullable": False} | options))


def _table(name: str, *columns: Any) -> None:
    sa.Table(name, _tables, *columns)


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


_table("meta", _words("name", 64, primary_key=True), _text("value"))
_table(
    "collections", _number("id"), _words("name", 64, unique=True), _large("generation"), _words("created", 32)
)
_table(
    "documents",
    _number("id"),
    _parent("collection_id", "collections.id"),
    _text("path"),
    sa.UniqueConstraint("collection_id", "path"),
)
_table(
    "document_aliases",
    _parent("collection_id", "collections.id", primary_key=True, autoincrement=False),
    sa.Column("path", sa.Text, primary_key=True),
    _parent("document_id", "documents.id", primary_key=True, autoincrement=False),
)
_table(
    "document_versions",
    _number("id"),
    _parent("document_id", "documents.id"),
    _whole("number"),
    _words("state", 16),
    _words("sha256", 64),
    _words("recipe", 128),
    _large("size_bytes"),
    _words("added", 32),
    _text("title"),
    _whole("page_count", nullable=True),
    _json("warnings"),
    _json("metadata"),
    _json("stated_metadata"),
    _json("requested_metadata"),
    sa.UniqueConstraint("document_id", "number"),
    sa.Index("ix_versions_state", "state"),
)
_table(
    "chunks",
    _large("id", primary_key=True, autoincrement=False),
    _parent("version_id", "document_versions.id", index=True),
    _words("content_id", 64, index=True),
    _words("embedding_key", 64, index=True),
    _whole("position"),
    _text("text"),
    _json("heading_path"),
    _whole("page", nullable=True),
    _words("kind", 16),
    _words("language", 8),
    _seconds("confidence", nullable=True),
    _json("box", nullable=True),
)
_table(
    "embeddings",
    _words("key", 64, primary_key=True),
    _words("fingerprint", 64, primary_key=True),
    sa.Column("vector", sa.LargeBinary, nullable=False),
)
_table(
    "removals",
    _parent("collection_id", "collections.id", primary_key=True, autoincrement=False),
    sa.Column("path", sa.Text, primary_key=True),
    _large("generation"),
)
_table(
    "adapters",
    _words("name", 64, primary_key=True),
    _words("collection", 64, index=True),
    _text("folder"),
    _words("base_fingerprint", 64),
    _words("dataset_hash", 64),
    _words("created", 32),
    _flag("is_active"),
)
_table(
    "jobs",
    _number(),
    _words("id", 40, unique=True),
    _words("kind", 32),
    _words("collection", 64, index=True),
    _json("arguments"),
    _json("settings"),
    _words("state", 16),
    _flag("is_cancelling"),
    _json("stages"),
    _whole("attempts"),
    _whole("lost_attempts"),
    _seconds("not_before"),
    _words("created", 32),
    _words("started", 32, nullable=True),
    _words("finished", 32, nullable=True),
    _words("worker", 64, nullable=True),
    _seconds("lease_until"),
    _json("result", nullable=True),
    _json("error", nullable=True),
    sa.Index("ix_jobs_state", "state", "number"),
    sa.Index("ix_jobs_running", "collection", unique=True, **_where("state = 'running'")),
)
_table("job_origins", _words("job_id", 40, primary_key=True), _words("key_id", 64, index=True))
_table(
    "releases",
    _words("id", 40, primary_key=True),
    _words("collection", 64, index=True),
    _json("content"),
    _words("state", 16),
    _words("created", 32),
    sa.Index("ix_releases_active", "collection", unique=True, **_where("state = 'active'")),
)
_table(
    "release_events",
    _number(),
    _words("collection", 64, index=True),
    _words("release", 40),
    _words("action", 16),
    _words("before", 40, nullable=True),
    _words("time", 32),
    _words("actor", 64),
    _text("proof"),
)
_table(
    "api_keys",
    _number(),
    _words("id", 40, unique=True),
    _words("name", 100),
    _words("role", 16),
    _json("scopes", nullable=True),
    _json("collections", nullable=True),
    _json("filters"),
    _words("digest", 64, unique=True),
    _words("former_digest", 64, nullable=True, index=True),
    _seconds("former_until"),
    _whole("requests_per_minute", nullable=True),
    _words("created", 32),
    _words("expires", 32, nullable=True),
    _words("revoked", 32, nullable=True),
)
_table(
    "audit_log",
    _large("number", primary_key=True, autoincrement=False),
    _words("time", 32),
    _words("actor", 64),
    _words("role", 16),
    _words("action", 64, index=True),
    _text("target"),
    _whole("status"),
    _words("request_id", 64),
    _words("previous", 64),
    _words("digest", 64),
)
_table(
    "answers",
    _number(),
    _words("id", 40, unique=True),
    _words("created", 32, index=True),
    _words("key_id", 64, index=True),
    _words("collection", 64, index=True),
    _words("conversation_id", 40, nullable=True, index=True),
    _text("question"),
    _text("text"),
    _words("arm", 16),
    _words("language", 8),
    _flag("abstained"),
    _seconds("seconds"),
    _whole("prompt_tokens"),
    _whole("completion_tokens"),
    _json("citations"),
    _json("passages"),
    _json("lineage"),
)
_table(
    "answer_feedback",
    _number(),
    _words("id", 40, unique=True),
    _words("answer_id", 40, index=True),
    _words("key_id", 64),
    _words("collection", 64, index=True),
    _words("created", 32, index=True),
    _words("rating", 8, nullable=True),
    _flag("is_resolved", nullable=True),
    _text("comment"),
    _text("correction"),
)
_table(
    "conversations",
    _number(),
    _words("id", 40, unique=True),
    _words("key_id", 64, index=True),
    _words("collection", 64),
    _words("title", 200),
    _words("created", 32),
)
_table(
    "handovers",
    _number(),
    _words("id", 40, unique=True),
    _words("key_id", 64, index=True),
    _words("collection", 64, index=True),
    _words("conversation_id", 40, nullable=True),
    _words("answer_id", 40, nullable=True),
    _words("state", 16),
    _text("note"),
    _words("assignee", 100),
    _json("summary"),
    _words("created", 32, index=True),
    _words("changed", 32),
)
_table(
    "idempotency_keys",
    _words("id", 64, primary_key=True),
    _words("fingerprint", 64),
    _seconds("begun", index=True),
    _whole("status", nullable=True),
    _json("headers"),
    sa.Column("body", sa.LargeBinary, nullable=False),
)


def upgrade() -> None:
    """Make what is not there yet: a database of version 5 made while it grew may lack a table."""
    bind = op.get_bind()
    _tables.create_all(bind)
    for verb in ("UPDATE", "DELETE"):
        name, message = f"audit_no_{verb.lower()}", "'the audit log is append-only'"
        if bind.dialect.name == "sqlite":
            raised = f"BEGIN SELECT RAISE(ABORT, {message}); END"
            op.execute(f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE {verb} ON audit_log {raised}")
        elif bind.dialect.name == "postgresql":
            op.execute(f"CREATE OR REPLACE RULE {name} AS ON {verb} TO audit_log DO INSTEAD NOTHING")


def downgrade() -> None:
    """Refuse: nothing is left below it.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError("version 5 is the oldest that Alembic knows")
