"""Which documents were removed since some moment: work that began before it must not bring them back."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from assistant.store.removal_tables import RemovalRow
from assistant.store.tables import CollectionRow


class Removals:
    """The removals of one collection within one session.

    Args:
        session: the transaction.
        collection_id: row id of the collection.
    """

    def __init__(self, session: Session, collection_id: int) -> None:
        self._session = session
        self._id = collection_id

    def note(self, path: str) -> None:
        """Note that the document at a path was removed just now, in this transaction."""
        now = self._session.scalar(select(CollectionRow.generation).where(CollectionRow.id == self._id))
        self._session.merge(RemovalRow(collection_id=self._id, path=path, generation=now or 0))
        self._session.flush()

    def since(self, generation: int) -> set[str]:
        """Return the paths whose document was removed after the collection had a generation."""
        rows = select(RemovalRow.path).where(
            RemovalRow.collection_id == self._id, RemovalRow.generation > generation
        )
        return set(self._session.scalars(rows))

    def is_since(self, generation: int, path: str) -> bool:
        """Tell whether the document at a path was removed after the collection had a generation."""
        row = self._session.get(RemovalRow, (self._id, path))
        return row is not None and row.generation > generation
