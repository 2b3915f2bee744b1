"""The files that documents were read from, kept beside a collection's rows, each content once.

A file lies under its SHA-256, so that rows name it already. Rows and files cannot change in one transaction:
what may lose its last row, or may never get one, is marked before, and settled by the rows after. Whatever is
cut off in between leaves its mark, and the next change settles it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from assistant.core.ids import random_id
from assistant.store.tables import CollectionRow, DocumentRow, VersionRow

_PIECE_BYTES = 1 << 20
_MARKS = "unsettled"


class Originals:
    """The originals of one collection.

    Args:
        folder: of the collection.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = folder / ".originals.lock"
        self._folder = folder / "originals"

    def path(self, sha256: str) -> Path:
        """Return where the file of a content lies, if it is kept."""
        return self._folder / sha256[:2] / sha256

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Wait for, and hold, the files while rows that name them change."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def mark(self, hashes: Iterable[str]) -> None:
        """Note contents whose rows are about to change, where their files are kept; lock held."""
        for sha256 in hashes:
            if self.path(sha256).exists():
                self._mark(sha256)

    def keep(self, source: Path, sha256: str) -> bool:
        """Copy a file and mark it, unless it is there; False where it is not the content any more; lock held.

        Raises:
            OSError: it cannot be read, or the disk takes no more.
        """
        if self.path(sha256).exists():
            return True
        self._mark(sha256)
        target = self.path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = self._folder / f"{random_id('new')}.tmp"
        try:
            if _copy(source, unfinished) != sha256:
                return False
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
        return True

    def is_marked(self) -> bool:
        """Tell whether anything waits to be settled."""
        folder = self._folder / _MARKS
        return folder.is_dir() and any(folder.iterdir())

    def unmark(self, sha256: str) -> None:
        """Take back what was noted of a content whose row is stored for certain; lock held."""
        (self._folder / _MARKS / sha256).unlink(missing_ok=True)

    def settle(self, session: Session, collection: str) -> None:
        """Remove the marked files that no kept version of the collection names any more; lock held."""
        if not self.is_marked():
            return
        named = named_hashes(session, collection)
        for mark in (self._folder / _MARKS).iterdir():
            if mark.name not in named:
                self.path(mark.name).unlink(missing_ok=True)
            mark.unlink(missing_ok=True)

    def discard(self, sha256: str) -> None:
        """Remove the file of a content; lock held."""
        self.path(sha256).unlink(missing_ok=True)

    def sweep(self, named: Iterable[str]) -> None:
        """Remove all files but those named, and what was cut off; lock held."""
        kept = set(named)
        for path in [*self._folder.glob("??/*"), *self._folder.glob("*.tmp")]:
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def _mark(self, sha256: str) -> None:
        marks = self._folder / _MARKS
        marks.mkdir(parents=True, exist_ok=True, mode=0o700)
        (marks / sha256).touch()


def named_hashes(session: Session, collection: str) -> set[str]:
    """Return the contents of all versions of a collection whose text is kept."""
    rows = (
        select(VersionRow.sha256)
        .join(DocumentRow, DocumentRow.id == VersionRow.document_id)
        .join(CollectionRow, CollectionRow.id == DocumentRow.collection_id)
        .where(CollectionRow.name == collection, VersionRow.state.in_(("live", "replaced")))
    )
    return set(session.scalars(rows))


def _copy(source: Path, target: Path) -> str:
    """Copy a file to the disk and return the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    with source.open("rb") as opened, target.open("xb") as file:
        while piece := opened.read(_PIECE_BYTES):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
