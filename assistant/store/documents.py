"""Collections, documents and their versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from assistant.core.errors import NotFoundError
from assistant.core.records import Metadata, Record
from assistant.store.removals import Removals
from assistant.store.tables import CollectionRow, DocumentAliasRow, DocumentRow, VersionRow

VersionState = Literal["live", "replaced", "pruned", "deleted"]
_STATES: tuple[VersionState, ...] = ("live", "replaced", "pruned", "deleted")


class Collection(Record, frozen=True, kw_only=True):
    """A collection as stored; ``generation`` grows with every change of its live chunks."""

    id: int
    name: str
    generation: int


class Version(Record, frozen=True, kw_only=True):
    """One content of a document.

    Attributes:
        id: row id.
        document_id: row id of the document, which it keeps when it is renamed.
        document: path of the document.
        number: from 1.
        state: ``live``, ``replaced`` by another version, ``pruned`` (too old to be kept), or ``deleted``.
        sha256: of the file.
        recipe: what cut it into chunks; another recipe cuts the same file anew.
        size_bytes: of the file.
        added: when, ISO 8601 in UTC.
        title: of the document.
        page_count: pages, None where the format has none.
        warnings: what parsing could not read.
        metadata: what holds: path rules, what the document states and what was requested, put together.
        stated: the document's own part of it.
        requested: the part that came with the request to add it.
    """

    id: int
    document_id: int
    document: str
    number: int
    state: VersionState
    sha256: str
    recipe: str
    size_bytes: int
    added: str
    title: str
    page_count: int | None
    warnings: tuple[str, ...]
    metadata: Metadata = msgspec.field(default_factory=dict)
    stated: Metadata = msgspec.field(default_factory=dict)
    requested: Metadata = msgspec.field(default_factory=dict)


class NewVersion(Record, frozen=True, kw_only=True):
    """What is known of a version before it is stored."""

    document: str
    number: int
    sha256: str
    recipe: str
    size_bytes: int
    title: str
    page_count: int | None = None
    warnings: tuple[str, ...] = ()
    metadata: Metadata = msgspec.field(default_factory=dict)
    stated: Metadata = msgspec.field(default_factory=dict)
    requested: Metadata = msgspec.field(default_factory=dict)


class Documents:
    """Collections, documents and versions within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def collections(self) -> list[Collection]:
        """Return all collections by name."""
        rows = self._session.scalars(select(CollectionRow).order_by(CollectionRow.name))
        return [_collection(row) for row in rows]

    def find_collection(self, name: str) -> Collection | None:
        """Return a collection, None if there is none of that name."""
        row = self._session.scalar(select(CollectionRow).where(CollectionRow.name == name))
        return _collection(row) if row else None

    def make_collection(self, name: str) -> Collection:
        """Return a collection, made if it was not there."""
        found = self.find_collection(name)
        if found:
            return found
        row = CollectionRow(name=name, generation=0, created=_now())
        self._session.add(row)
        self._session.flush()
        return _collection(row)

    def touch(self, collection_id: int) -> None:
        """Note that a collection's live chunks changed."""
        rows = update(CollectionRow).where(CollectionRow.id == collection_id)
        self._session.execute(rows.values(generation=CollectionRow.generation + 1))

    def live_versions(self, collection_id: int) -> list[Version]:
        """Return the live version of every document, by path."""
        rows = self._session.execute(
            select(VersionRow, DocumentRow.path)
            .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
            .where(DocumentRow.collection_id == collection_id, VersionRow.state == "live")
            .order_by(DocumentRow.path)
        )
        return [to_version(row, path) for row, path in rows]

    def live_count(self, collection_id: int) -> int:
        """Return how many documents answer."""
        rows = (
            select(func.count(VersionRow.id))
            .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
            .where(DocumentRow.collection_id == collection_id, VersionRow.state == "live")
        )
        return self._session.scalar(rows) or 0

    def newest_versions(self, collection_id: int) -> list[Version]:
        """Return the kept version of the highest number of every document, live or not, by path."""
        newest = (
            select(VersionRow.document_id, func.max(VersionRow.number).label("number"))
            .where(VersionRow.state.in_(("live", "replaced")))
            .group_by(VersionRow.document_id)
            .subquery()
        )
        rows = self._session.execute(
            select(VersionRow, DocumentRow.path)
            .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
            .join(
                newest,
                (newest.c.document_id == VersionRow.document_id) & (newest.c.number == VersionRow.number),
            )
            .where(DocumentRow.collection_id == collection_id)
            .order_by(DocumentRow.path)
        )
        return [to_version(row, path) for row, path in rows]

    def versions(self, collection_id: int, document: str) -> list[Version]:
        """Return all versions of a document, oldest first."""
        rows = self._session.scalars(
            select(VersionRow)
            .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
            .where(DocumentRow.collection_id == collection_id, DocumentRow.path == document)
            .order_by(VersionRow.number)
        )
        return [to_version(row, document) for row in rows]

    def next_number(self, collection_id: int, document: str) -> int:
        """Return the number that a document's next version gets.

        Numbers of a document that once had this path are not given again: a citation names path and number.
        """
        former = select(DocumentAliasRow.document_id).where(
            DocumentAliasRow.collection_id == collection_id, DocumentAliasRow.path == document
        )
        number = self._session.scalar(
            select(func.max(VersionRow.number))
            .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
            .where(
                DocumentRow.collection_id == collection_id,
                (DocumentRow.path == document) | DocumentRow.id.in_(former),
            )
        )
        return (number or 0) + 1

    def save_version(self, collection_id: int, new: NewVersion) -> int:
        """Make a version the live one of its document and return its row id.

        A version of the same number is written over; its chunks are the caller's to remove.
        """
        document_id = self._document(collection_id, new.document)
        row = self._session.scalar(
            select(VersionRow).where(VersionRow.document_id == document_id, VersionRow.number == new.number)
        )
        self._set_state(document_id, "live", "replaced")
        if row is None:
            row = VersionRow(document_id=document_id, number=new.number)
            self._session.add(row)
        row.state, row.sha256, row.recipe, row.size_bytes = "live", new.sha256, new.recipe, new.size_bytes
        row.title, row.page_count, row.warnings, row.added = (
            new.title,
            new.page_count,
            list(new.warnings),
            _now(),
        )
        row.effective, row.stated, row.requested = new.metadata, new.stated, new.requested
        self._session.flush()
        self.touch(collection_id)
        return row.id

    def delete(self, collection: Collection, document: str) -> list[Version]:
        """Mark all versions of a document as deleted and return them.

        Raises:
            NotFoundError: the collection holds no such document.
        """
        found = self.versions(collection.id, document)
        if not any(version.state in {"live", "replaced"} for version in found):
            raise NotFoundError(
                f"no document {document!r} in collection {collection.name!r}",
                next_command=f"deskmate index status --collection {collection.name}",
            )
        document_id = self._document(collection.id, document)
        for state in ("live", "replaced", "pruned"):
            self._set_state(document_id, state, "deleted")
        self.touch(collection.id)
        Removals(self._session, collection.id).note(document)
        return found

    def _set_state(self, document_id: int, old: VersionState, new: VersionState) -> None:
        rows = update(VersionRow).where(VersionRow.document_id == document_id, VersionRow.state == old)
        self._session.execute(rows.values(state=new))

    def _document(self, collection_id: int, path: str) -> int:
        row = self._session.scalar(
            select(DocumentRow).where(DocumentRow.collection_id == collection_id, DocumentRow.path == path)
        )
        if row is None:
            row = DocumentRow(collection_id=collection_id, path=path)
            self._session.add(row)
            self._session.flush()
        return row.id


def _collection(row: CollectionRow) -> Collection:
    return Collection(id=row.id, name=row.name, generation=row.generation)


def to_version(row: VersionRow, document: str) -> Version:
    """Return a row as a record."""
    return Version(
        id=row.id,
        document_id=row.document_id,
        document=document,
        number=row.number,
        state=next(state for state in _STATES if state == row.state),
        sha256=row.sha256,
        recipe=row.recipe,
        size_bytes=row.size_bytes,
        added=row.added,
        title=row.title,
        page_count=row.page_count,
        warnings=tuple(row.warnings),
        metadata=_metadata(row.effective),
        stated=_metadata(row.stated),
        requested=_metadata(row.requested),
    )


def _metadata(values: dict[str, Any]) -> Metadata:
    return {key: value if isinstance(value, str) else tuple(value) for key, value in values.items()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
