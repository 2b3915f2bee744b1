"""Named values and counters."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from assistant.store.tables import MetaRow


class Meta:
    """The ``meta`` table within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str) -> str | None:
        """Return a value, None if there is none."""
        row = self._session.get(MetaRow, name)
        return row.value if row else None

    def put(self, name: str, value: str) -> None:
        """Set a value."""
        row = self._session.get(MetaRow, name)
        if row:
            row.value = value
        else:
            self._session.add(MetaRow(name=name, value=value))
        self._session.flush()

    def reserve(self, counter: str, count: int) -> int:
        """Take ``count`` numbers from a counter and return the first; a number is never given twice."""
        row = self._session.scalar(select(MetaRow).where(MetaRow.name == counter).with_for_update())
        first = int(row.value) if row else 1
        self.put(counter, str(first + count))
        return first
