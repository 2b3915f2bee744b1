"""Whether the database that publishes is the one that numbered the chunks of the kept snapshots.

A database that was lost and begun anew, or restored from a backup, gives numbers again that a snapshot or the
list of the removed holds for other texts. So the database notes a random mark before a snapshot with that
mark is served: a snapshot whose mark it does not know holds numbers that it may give again.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from assistant.core.errors import IndexBroken
from assistant.store.database import Database
from assistant.store.documents import Collection
from assistant.store.meta import Meta
from indexing.snapshots import read_manifest, snapshot_folders


class Lineage:
    """The marks of a collection's snapshots; its lock is held.

    Args:
        folder: of the collection.
        database: that publishes.
        collection: as stored.

    Attributes:
        is_ours: all kept snapshots were made from this database's state, or an earlier one of it. One that
            cannot be read may be anybody's.
        own_names: of the kept snapshots that were.
    """

    def __init__(self, folder: Path, database: Database, collection: Collection) -> None:
        self._database = database
        self._name = f"snapshot_marks:{collection.id}"
        with database.read() as session:
            known = (Meta(session).get(self._name) or "").split()
        held = {snapshot.name: _mark(snapshot, folder.name) for snapshot in snapshot_folders(folder)}
        self._marks = [mark for mark in known if mark in held.values()]
        self.own_names = frozenset(name for name, mark in held.items() if mark in known)
        self.is_ours = len(self.own_names) == len(held)

    def new_mark(self) -> str:
        """Return the mark of the next snapshot, which the database knows from now on."""
        # those of the kept snapshots stay: cut off before it is served, the one before is still ours
        mark = secrets.token_hex(8)
        with self._database.write() as session:
            Meta(session).put(self._name, " ".join((*self._marks, mark)))
        return mark


def _mark(snapshot: Path, collection: str) -> str:
    try:
        return read_manifest(snapshot, collection).mark
    except IndexBroken:
        return ""
