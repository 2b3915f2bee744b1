"""What becomes of versions after they were stored: looked up, brought back, renamed, pruned."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from assistant.core.errors import NotFoundError
from assistant.core.records import Metadata
from assistant.store.chunks import Chunks
from assistant.store.documents import Collection, Documents, Version, VersionState, to_version
from assistant.store.embeddings import Embeddings
from assistant.store.tables import DocumentAliasRow, DocumentRow, VersionRow

_IDS_PER_STATEMENT = 500


class History:
    """The versions of one collection within one session.

    Args:
        session: the transaction.
        collection: as stored.
    """

    def __init__(self, session: Session, collection: Collection) -> None:
        self._session = session
        self._collection = collection
        self._documents = Documents(session)

    def versions(self, document: str) -> list[Version]:
        """Return what is known of a path, oldest first: its own versions and those that once had it.

        Raises:
            NotFoundError: the collection never had a document of that path.
        """
        former = select(DocumentAliasRow.document_id).where(
            DocumentAliasRow.collection_id == self._collection.id, DocumentAliasRow.path == document
        )
        rows = self._session.execute(
            select(VersionRow, DocumentRow.path)
            .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
            .where(
                DocumentRow.collection_id == self._collection.id,
                (DocumentRow.path == document) | DocumentRow.id.in_(former),
            )
            .order_by(VersionRow.number)
        )
        found = [to_version(row, path) for row, path in rows]
        if not found:
            raise NotFoundError(
                f"no document {document!r} in collection {self._collection.name!r}",
                next_command=f"deskmate index status --collection {self._collection.name}",
            )
        return found

    def version(self, document: str, number: int | None = None) -> Version:
        """Return a kept version of a document by number, the live one (else the newest) where None.

        A number that the path's present document does not have is looked up in the one that was renamed.

        Raises:
            NotFoundError: there is none, or its text is not kept any more.
        """
        known = self.versions(document)
        if number is None:
            kept = [version for version in known if version.state in {"live", "replaced"}]
            found = [v for v in kept if v.state == "live" and v.document == document] or kept[-1:]
        else:
            found = sorted(
                (version for version in known if version.number == number),
                key=lambda version: version.document != document,
            )
        if found and found[0].state in {"live", "replaced"}:
            return found[0]
        raise NotFoundError(
            f"document {document!r} has no kept version{'' if number is None else f' {number}'}"
            + (f": it is {found[0].state}" if found else ""),
            next_command=f"deskmate index versions {shlex.quote(document)} "
            f"--collection {self._collection.name}",
        )

    def paths(self) -> set[str]:
        """Return the paths of all live documents, with those that they had before."""
        former = (
            select(DocumentAliasRow.path)
            .join(VersionRow, VersionRow.document_id == DocumentAliasRow.document_id)
            .where(DocumentAliasRow.collection_id == self._collection.id, VersionRow.state == "live")
        )
        live = self._documents.live_versions(self._collection.id)
        return {version.document for version in live} | set(self._session.scalars(former))

    def kept(self) -> list[Version]:
        """Return all versions whose text is kept."""
        rows = self._session.execute(
            select(VersionRow, DocumentRow.path)
            .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
            .where(
                DocumentRow.collection_id == self._collection.id, VersionRow.state.in_(("live", "replaced"))
            )
        )
        return [to_version(row, path) for row, path in rows]

    def serve(self, version: Version) -> None:
        """Make a kept version the live one of its document."""
        self.serve_all({version.document_id: version.id}, [version.document_id])

    def serve_all(self, wanted: Mapping[int, int], documents: Iterable[int]) -> None:
        """Make of each of the documents the wanted version live; without one it stops answering.

        Args:
            wanted: document's row id → row id of a kept version.
            documents: row ids of the documents to change.
        """
        touched = set(documents)
        live = {
            version.document_id: version.id
            for version in self._documents.live_versions(self._collection.id)
            if version.document_id in touched
        }
        old = {row for document, row in live.items() if wanted.get(document) != row}
        new = {wanted[document] for document in touched if document in wanted} - set(live.values())
        self._set_state(old, "replaced")
        self._set_state(new, "live")
        Chunks(self._session).renumber(sorted(new))
        if old or new:
            self._documents.touch(self._collection.id)

    def is_free(self, path: str, document_id: int) -> bool:
        """Tell whether a document can be renamed to a path: no other one ever had it."""
        held = select(DocumentRow.id).where(
            DocumentRow.collection_id == self._collection.id,
            DocumentRow.path == path,
            DocumentRow.id != document_id,
        )
        former = select(DocumentAliasRow.document_id).where(
            DocumentAliasRow.collection_id == self._collection.id,
            DocumentAliasRow.path == path,
            DocumentAliasRow.document_id != document_id,
        )
        return self._session.scalar(held) is None and self._session.scalar(former) is None

    def rename(self, version: Version, path: str) -> None:
        """Give a document another path, under which it keeps its versions; the old path still leads to it.

        Args:
            version: its live version.
            path: free by ``is_free``.
        """
        old = {"collection_id": self._collection.id, "document_id": version.document_id}
        self._session.execute(delete(DocumentAliasRow).filter_by(path=path, **old))
        self._session.merge(DocumentAliasRow(path=version.document, **old))
        row = self._session.get_one(DocumentRow, version.document_id)
        row.path = path
        self._session.flush()
        Chunks(self._session).renumber([version.id])
        self._documents.touch(self._collection.id)

    def describe(self, version: Version, metadata: Metadata, requested: Metadata) -> None:
        """Set a version's metadata."""
        row = self._session.get_one(VersionRow, version.id)
        row.effective, row.requested = metadata, requested
        self._session.flush()
        self._documents.touch(self._collection.id)

    def prune(self, document: str, kept: int) -> list[Version]:
        """Drop the text of a document's oldest versions beyond ``kept``; the live one always stays."""
        found = [v for v in self._documents.versions(self._collection.id, document) if v.state == "replaced"]
        dropped = found[: max(0, len(found) + 1 - kept)]
        if dropped:
            rows, chunks = [version.id for version in dropped], Chunks(self._session)
            keys = chunks.keys(chunks.numbers_of(rows)).values()
            chunks.delete_of(rows)
            Embeddings(self._session).delete_unused(keys)
            self._set_state(set(rows), "pruned")
        return dropped

    def _set_state(self, version_ids: set[int], state: VersionState) -> None:
        ids = sorted(version_ids)
        for start in range(0, len(ids), _IDS_PER_STATEMENT):
            rows = update(VersionRow).where(VersionRow.id.in_(ids[start : start + _IDS_PER_STATEMENT]))
            self._session.execute(rows.values(state=state))
        self._session.expire_all()
