"""Trained adapters and which one is served."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from assistant.core.errors import NotFoundError
from assistant.core.records import Record
from assistant.store.tables import AdapterRow


class Adapter(Record, frozen=True, kw_only=True):
    """A trained adapter.

    Attributes:
        name: unique.
        collection: that it was tuned on.
        folder: where its weights lie.
        base_fingerprint: of the base model that it fits.
        dataset_hash: of the dataset that it was tuned on.
        created: when, ISO 8601 in UTC.
        is_active: it is the served one of its collection.
    """

    name: str
    collection: str
    folder: str
    base_fingerprint: str
    dataset_hash: str
    created: str
    is_active: bool = False


class Adapters:
    """The adapters within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def save(self, adapter: Adapter) -> None:
        """Store an adapter, in place of one of the same name."""
        values = {field: getattr(adapter, field) for field in adapter.__struct_fields__}
        self._session.merge(AdapterRow(**values))
        self._session.flush()

    def find(self, name: str) -> Adapter | None:
        """Return an adapter, None if there is none of that name."""
        row = self._session.get(AdapterRow, name)
        return _adapter(row) if row else None

    def delete(self, name: str) -> None:
        """Forget an adapter."""
        self._session.execute(delete(AdapterRow).where(AdapterRow.name == name))

    def of(self, collection: str) -> list[Adapter]:
        """Return a collection's adapters, newest first."""
        rows = self._session.scalars(
            select(AdapterRow)
            .where(AdapterRow.collection == collection)
            .order_by(AdapterRow.created.desc(), AdapterRow.name)
        )
        return [_adapter(row) for row in rows]

    def active(self, collection: str) -> Adapter | None:
        """Return the served adapter of a collection, None if there is none."""
        row = self._session.scalar(
            select(AdapterRow).where(AdapterRow.collection == collection, AdapterRow.is_active)
        )
        return _adapter(row) if row else None

    def served(self) -> dict[str, str]:
        """Return the served adapters, by collection."""
        rows = self._session.execute(
            select(AdapterRow.collection, AdapterRow.name).where(AdapterRow.is_active)
        )
        return {row.collection: row.name for row in rows}

    def activate(self, name: str) -> None:
        """Make an adapter the served one of its collection.

        Raises:
            NotFoundError: there is none of that name.
        """
        row = self._session.get(AdapterRow, name)
        if row is None:
            raise NotFoundError(f"no adapter {name!r}", next_command="deskmate train")
        others = update(AdapterRow).where(AdapterRow.collection == row.collection)
        self._session.execute(others.values(is_active=False))
        row.is_active = True
        self._session.flush()


def _adapter(row: AdapterRow) -> Adapter:
    return Adapter(
        name=row.name,
        collection=row.collection,
        folder=row.folder,
        base_fingerprint=row.base_fingerprint,
        dataset_hash=row.dataset_hash,
        created=row.created,
        is_active=row.is_active,
    )
