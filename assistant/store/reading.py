"""Chunks and documents as a reader finds them: with collection and metadata, which access lists need."""

from __future__ import annotations

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from assistant.core.records import Chunk, Metadata, Record
from assistant.store.chunks import Chunks
from assistant.store.documents import Version, to_version
from assistant.store.tables import ChunkRow, CollectionRow, DocumentRow, VersionRow

_KEPT = ("live", "replaced")


class FoundChunk(Record, frozen=True, kw_only=True):
    """A chunk, the collection it is of, and what is known of its document.

    Attributes:
        chunk: with its text.
        collection: name.
        document_id: row id of its document.
        sha256: of the file that its version was read from.
        metadata: of its version.
    """

    chunk: Chunk
    collection: str
    document_id: int
    sha256: str
    metadata: Metadata = msgspec.field(default_factory=dict)


class FoundDocument(Record, frozen=True, kw_only=True):
    """A document by its row id: the version that answers, or else the newest one that is kept."""

    number: int
    collection: str
    version: Version


class Reading:
    """Look-ups within one session; what was deleted is not found."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def chunks(self, chunk_id: str) -> list[FoundChunk]:
        """Return the chunks of that content id in all collections, live ones first."""
        rows = self._session.execute(
            select(
                ChunkRow.id,
                CollectionRow.name,
                VersionRow.document_id,
                VersionRow.sha256,
                VersionRow.effective,
            )
            .join(VersionRow, VersionRow.id == ChunkRow.version_id)
            .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
            .join(CollectionRow, CollectionRow.id == DocumentRow.collection_id)
            .where(ChunkRow.content_id == chunk_id, VersionRow.state.in_(_KEPT))
            .order_by(VersionRow.state, VersionRow.number.desc())  # "live" sorts before "replaced"
        ).all()
        by_number = {
            found.number: found.chunk for found in Chunks(self._session).numbered(row[0] for row in rows)
        }
        return [
            FoundChunk(
                chunk=by_number[row.id],
                collection=row.name,
                document_id=row.document_id,
                sha256=row.sha256,
                metadata=msgspec.convert(row.effective, Metadata),
            )
            for row in rows
        ]

    def document(self, number: int) -> FoundDocument | None:
        """Return a document, None if there is none or it was deleted."""
        found = self._documents(VersionRow.document_id == number)
        return found[0] if found else None

    def documents(self, collection: str, after: str = "", limit: int = 100) -> list[FoundDocument]:
        """Return a collection's live documents by path, from behind the path ``after``."""
        rows = self._session.execute(
            select(VersionRow, DocumentRow.path, CollectionRow.name)
            .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
            .join(CollectionRow, CollectionRow.id == DocumentRow.collection_id)
            .where(CollectionRow.name == collection, VersionRow.state == "live", DocumentRow.path > after)
            .order_by(DocumentRow.path)
            .limit(limit)
        )
        return [_found(*row) for row in rows]

    def at_path(self, collection: str, path: str) -> FoundDocument | None:
        """Return the kept document of a path, None if there is none."""
        found = self._documents(CollectionRow.name == collection, DocumentRow.path == path)
        return found[0] if found else None

    def _documents(self, *conditions: object) -> list[FoundDocument]:
        rows = self._session.execute(
            select(VersionRow, DocumentRow.path, CollectionRow.name)
            .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
            .join(CollectionRow, CollectionRow.id == DocumentRow.collection_id)
            .where(VersionRow.state.in_(_KEPT), *conditions)  # type: ignore[arg-type]
            .order_by(VersionRow.state, VersionRow.number.desc())
            .limit(1)
        )
        return [_found(*row) for row in rows]


def _found(row: VersionRow, path: str, collection: str) -> FoundDocument:
    return FoundDocument(number=row.document_id, collection=collection, version=to_version(row, path))
