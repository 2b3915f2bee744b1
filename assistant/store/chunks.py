"""Chunks of the versions, under numbers that are never reused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from assistant.core.ids import content_id
from assistant.core.records import Chunk, Record
from assistant.store.meta import Meta
from assistant.store.tables import ChunkRow, DocumentRow, VersionRow

_COUNTER = "next_chunk_number"
_NUMBERS_PER_QUERY = 500


class NumberedChunk(Record, frozen=True, kw_only=True):
    """A chunk with the number that the indexes know it by.

    Attributes:
        number: unique in the database, never reused.
        embedding_key: hash of the text that is embedded.
        chunk: the chunk.
    """

    number: int
    embedding_key: str
    chunk: Chunk


def embedding_key(text: str) -> str:
    """Return the key under which a text's embedding is kept."""
    return content_id(text, length=32)


class Chunks:
    """The chunks within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def save(self, version_id: int, chunks: Sequence[Chunk], embedded: Sequence[str]) -> None:
        """Store the chunks of a version, in place of those that it had.

        Args:
            version_id: row id of the version.
            chunks: in order of position.
            embedded: for each chunk the text that is embedded for it.
        """
        self.delete_of([version_id])
        if not chunks:
            return
        first = Meta(self._session).reserve(_COUNTER, len(chunks))
        rows = [
            _row(first + place, version_id, chunk) | {"embedding_key": embedding_key(text)}
            for place, (chunk, text) in enumerate(zip(chunks, embedded, strict=True))
        ]
        self._session.execute(insert(ChunkRow), rows)

    def numbers(self, collection_id: int) -> list[int]:
        """Return the numbers of the chunks of all live versions of a collection, ascending."""
        rows = self._session.scalars(
            select(ChunkRow.id)
            .join(VersionRow, VersionRow.id == ChunkRow.version_id)
            .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
            .where(DocumentRow.collection_id == collection_id, VersionRow.state == "live")
        )
        return sorted(rows)

    def numbered(self, numbers: Iterable[int]) -> Iterator[NumberedChunk]:
        """Yield chunks by ascending number, few of them held at a time."""
        wanted = sorted(numbers)
        for start in range(0, len(wanted), _NUMBERS_PER_QUERY):
            rows = self._session.execute(
                select(ChunkRow, DocumentRow.path, VersionRow.number)
                .join(VersionRow, VersionRow.id == ChunkRow.version_id)
                .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
                .where(ChunkRow.id.in_(wanted[start : start + _NUMBERS_PER_QUERY]))
                .order_by(ChunkRow.id)
            ).all()
            for row, path, number in rows:
                yield _numbered(row, path, number)
            self._session.expunge_all()

    def keys(self, numbers: Sequence[int]) -> dict[int, str]:
        """Return number → embedding key."""
        found: dict[int, str] = {}
        for start in range(0, len(numbers), _NUMBERS_PER_QUERY):
            part = numbers[start : start + _NUMBERS_PER_QUERY]
            rows = self._session.execute(
                select(ChunkRow.id, ChunkRow.embedding_key).where(ChunkRow.id.in_(part))
            )
            found.update({number: key for number, key in rows})  # noqa: C416 - rows are no plain tuples
        return found

    def numbers_of(self, version_ids: Sequence[int]) -> list[int]:
        """Return the numbers of the chunks of versions."""
        found = self._session.scalars(select(ChunkRow.id).where(ChunkRow.version_id.in_(version_ids)))
        return list(found)

    def delete_of(self, version_ids: Sequence[int]) -> None:
        """Remove the chunks of versions."""
        self._session.execute(delete(ChunkRow).where(ChunkRow.version_id.in_(version_ids)))

    def of(self, version_id: int) -> list[Chunk]:
        """Return the chunks of a version, live or replaced, in order of position."""
        rows = self._session.execute(
            select(ChunkRow, DocumentRow.path, VersionRow.number)
            .join(VersionRow, VersionRow.id == ChunkRow.version_id)
            .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
            .where(ChunkRow.version_id == version_id)
            .order_by(ChunkRow.position)
        )
        return [_numbered(row, path, number).chunk for row, path, number in rows]

    def renumber(self, version_ids: Sequence[int]) -> None:
        """Give the chunks of versions new numbers.

        A number means one text at one path for good: indexes may know it as dead, or under an older path.
        """
        for version_id in version_ids:
            numbers = self._session.scalars(
                select(ChunkRow.id).where(ChunkRow.version_id == version_id)
            ).all()
            if not numbers:
                continue
            first, last = min(numbers), max(numbers)
            offset = Meta(self._session).reserve(_COUNTER, last - first + 1) - first
            rows = update(ChunkRow).where(ChunkRow.version_id == version_id)
            self._session.execute(
                rows.values(id=ChunkRow.id + offset).execution_options(synchronize_session=False)
            )

    def find(self, chunk_id: str) -> Chunk | None:
        """Return a chunk of a live or replaced version, the live one first; None if there is none."""
        found = self._session.execute(
            select(ChunkRow, DocumentRow.path, VersionRow.number)
            .join(VersionRow, VersionRow.id == ChunkRow.version_id)
            .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
            .where(ChunkRow.content_id == chunk_id, VersionRow.state != "deleted")
            .order_by(VersionRow.state, VersionRow.number.desc())  # "live" sorts before "replaced"
            .limit(1)
        ).first()
        return _numbered(*found).chunk if found else None

    def counts(self, collection_id: int) -> dict[str, int]:
        """Return document → number of chunks of its live version."""
        rows = self._session.execute(
            select(DocumentRow.path, func.count(ChunkRow.id))
            .join(VersionRow, VersionRow.document_id == DocumentRow.id)
            .join(ChunkRow, ChunkRow.version_id == VersionRow.id)
            .where(DocumentRow.collection_id == collection_id, VersionRow.state == "live")
            .group_by(DocumentRow.path)
        )
        return {path: count for path, count in rows}  # noqa: C416 - rows are no tuples for the type checker


def _row(number: int, version_id: int, chunk: Chunk) -> dict[str, object]:
    return {
        "id": number,
        "version_id": version_id,
        "content_id": chunk.id,
        "position": chunk.position,
        "text": chunk.text,
        "heading_path": list(chunk.heading_path),
        "page": chunk.page,
        "kind": chunk.kind,
        "language": chunk.language,
        "confidence": chunk.confidence,
        "box": None if chunk.box is None else list(chunk.box),
    }


def _numbered(row: ChunkRow, document: str, version: int) -> NumberedChunk:
    values = {
        "id": row.content_id,
        "document": document,
        "version": version,
        "position": row.position,
        "text": row.text,
        "heading_path": row.heading_path,
        "page": row.page,
        "kind": row.kind,
        "language": row.language,
        "confidence": row.confidence,
        "box": row.box,
    }
    return NumberedChunk(number=row.id, embedding_key=row.embedding_key, chunk=msgspec.convert(values, Chunk))
