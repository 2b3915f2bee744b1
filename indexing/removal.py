"""Removing a document: from the database, and from what is served, without writing a snapshot."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import Session

from assistant.core.errors import NotFoundError
from assistant.core.home import Home
from assistant.core.records import Record
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Documents
from assistant.store.embeddings import Embeddings
from assistant.store.idempotency import Idempotency
from assistant.store.originals import Originals
from indexing.hiding import hide
from indexing.snapshots import switching_lock

Check = Callable[[Session], None]


class RemovalReport(Record, frozen=True, kw_only=True):
    """What removing did.

    Attributes:
        collection: name.
        document: path of what was removed.
        document_count: documents left.
        chunk_count: chunks left.
        seconds: that it took.
    """

    collection: str
    document: str
    document_count: int
    chunk_count: int
    seconds: float


def remove_document(
    collection: str, home: Home, database: Database, document: str, check: Check | None = None
) -> RemovalReport:
    """Remove a document with all its versions, their text, embeddings and files; needs no embedder.

    When this returns, no snapshot gives it out any more: the served one and those before hide it, which
    takes the same short time in a large collection. The next snapshot is written without it; one that is
    being written now hides it, and files that are being added do not bring it back.

    Args:
        collection: name.
        home: data folder.
        database: the rows.
        document: path.
        check: raises where it is not to be removed after all; looks at the rows as they are then.

    Raises:
        NotFoundError: there is no such document or collection.
        IndexBroken: the served snapshot is damaged; nothing was removed.
    """
    started = time.perf_counter()
    folder = home.collection(collection)
    with database.read() as session:
        found = Documents(session).find_collection(collection)
    if found is None:
        raise NotFoundError(
            f"no collection {collection!r}", next_command=f"deskmate index add PATH --collection {collection}"
        )
    delete_document(collection, folder, database, document, check)
    with database.read() as session:
        counts = Chunks(session).counts(found.id)
    return RemovalReport(
        collection=collection,
        document=document,
        document_count=len(counts),
        chunk_count=sum(counts.values()),
        seconds=round(time.perf_counter() - started, 3),
    )


def delete_document(
    collection: str, folder: Path, database: Database, document: str, check: Check | None = None
) -> None:
    """Remove a document from the database and hide it in all snapshots, whatever else runs.

    Raises:
        NotFoundError: there is no such document.
        IndexBroken: the served snapshot is damaged; nothing was removed.
    """
    originals = Originals(folder)
    with switching_lock(folder), originals.changing():
        with database.write() as session:
            if check is not None:
                check(session)
            documents, chunks = Documents(session), Chunks(session)
            versions = documents.delete(documents.make_collection(collection), document)
            rows = [version.id for version in versions]
            numbers = chunks.numbers_of(rows)
            keys = chunks.keys(numbers).values()
            chunks.delete_of(rows)
            Embeddings(session).delete_unused(keys)
            Idempotency.forget_answers(session)
            originals.mark(version.sha256 for version in versions)
            # hidden before the rows are gone for good: cut off in between, the next publishing shows it again
            hide(folder, versions[-1].document_id, document, numbers)
        with database.read() as session:
            originals.settle(session, collection)
