"""The tables: rows that outlive a process. Plain SQL types only, so that another database works by URL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# 1: as first shipped; 2: table jobs; 3: metadata of versions, document_aliases; 4: confidence of chunks;
# 5: box of chunks; tables of the service, of removals, of releases; later ones: revisions/versions
SCHEMA_VERSION = 8


class Table(DeclarativeBase):
    """Base of the tables."""


class MetaRow(Table):
    """A named value: the schema's version and the counters."""

    __tablename__ = "meta"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class RevisionRow(Table):
    """The schema's version as Alembic notes it."""

    __tablename__ = "alembic_version"

    version_num: Mapped[str] = mapped_column(String(32), primary_key=True)


class CollectionRow(Table):
    """A named body of knowledge; ``generation`` grows with every change of its live chunks."""

    __tablename__ = "collections"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    generation: Mapped[int] = mapped_column(BigInteger, default=0)
    created: Mapped[str] = mapped_column(String(32))


class DocumentRow(Table):
    """A document's identity over time: its path within its collection."""

    __tablename__ = "documents"
    __table_args__ = (UniqueConstraint("collection_id", "path"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    path: Mapped[str] = mapped_column(Text)


class DocumentAliasRow(Table):
    """A path that a document had before it was renamed, so that its citations still lead to it."""

    __tablename__ = "document_aliases"

    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    path: Mapped[str] = mapped_column(Text, primary_key=True)
    document_id: Mapped[int] = mapped_column(
        ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )


class VersionRow(Table):
    """One content of a document; at most one version of a document is ``live``."""

    __tablename__ = "document_versions"
    __table_args__ = (UniqueConstraint("document_id", "number"), Index("ix_versions_state", "state"))

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    number: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    sha256: Mapped[str] = mapped_column(String(64))
    recipe: Mapped[str] = mapped_column(String(128))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    added: Mapped[str] = mapped_column(String(32))
    title: Mapped[str] = mapped_column(Text)
    page_count: Mapped[int | None]
    warnings: Mapped[list[str]] = mapped_column(JSON)
    effective: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    stated: Mapped[dict[str, Any]] = mapped_column("stated_metadata", JSON)
    requested: Mapped[dict[str, Any]] = mapped_column("requested_metadata", JSON)


class ChunkRow(Table):
    """A chunk of a version; ``id`` comes from a counter and is never reused, because indexes hold it."""

    __tablename__ = "chunks"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    version_id: Mapped[int] = mapped_column(
        ForeignKey("document_versions.id", ondelete="CASCADE"), index=True
    )
    content_id: Mapped[str] = mapped_column(String(64), index=True)
    embedding_key: Mapped[str] = mapped_column(String(64), index=True)
    position: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    heading_path: Mapped[list[str]] = mapped_column(JSON)
    page: Mapped[int | None]
    kind: Mapped[str] = mapped_column(String(16))
    language: Mapped[str] = mapped_column(String(8))
    confidence: Mapped[float | None]
    box: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))


class EmbeddingRow(Table):
    """The embedding of a chunk by an embedder, little-endian float32: its own vector, then its rows."""

    __tablename__ = "embeddings"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)


class AdapterRow(Table):
    """A trained adapter: where it lies and what it was made from."""

    __tablename__ = "adapters"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    collection: Mapped[str] = mapped_column(String(64), index=True)
    folder: Mapped[str] = mapped_column(Text)
    base_fingerprint: Mapped[str] = mapped_column(String(64))
    dataset_hash: Mapped[str] = mapped_column(String(64))
    created: Mapped[str] = mapped_column(String(32))
    is_active: Mapped[bool] = mapped_column(default=False)


class JobRow(Table):
    """A job; a collection has at most one ``running``, which ``worker`` owns until the lease ends."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_state", "state", "number"),
        Index(
            "ix_jobs_running",
            "collection",
            unique=True,
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
    )

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    kind: Mapped[str] = mapped_column(String(32))
    collection: Mapped[str] = mapped_column(String(64), index=True)
    arguments: Mapped[dict[str, object]] = mapped_column(JSON)
    settings: Mapped[dict[str, object]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16))
    is_cancelling: Mapped[bool] = mapped_column(default=False)
    stages: Mapped[list[object]] = mapped_column(JSON)
    attempts: Mapped[int] = mapped_column(default=0)
    lost_attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[float] = mapped_column(default=0.0)
    created: Mapped[str] = mapped_column(String(32))
    started: Mapped[str | None] = mapped_column(String(32))
    finished: Mapped[str | None] = mapped_column(String(32))
    worker: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[float] = mapped_column(default=0.0)
    result: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))
