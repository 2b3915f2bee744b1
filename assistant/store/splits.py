"""A/B: which share of a collection's conversations another release than the served one answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from assistant.core.errors import InputError
from assistant.core.records import Record
from assistant.store.release_tables import ReleaseRow, ReleaseSplitRow

_SCALE = 1 << 32


class Split(Record, frozen=True, kw_only=True):
    """A running A/B.

    Attributes:
        collection: whose conversations are divided.
        release: id of the served one, A.
        challenger: id of the other one, B.
        weight: share of the conversations that B answers, between 0 and 1.
        since: when it began, ISO 8601 in UTC.
    """

    collection: str
    release: str
    challenger: str
    weight: float
    since: str

    def takes(self, conversation: str) -> bool:
        """Tell whether the challenger answers a conversation: always the same for the same one."""
        digest = hashlib.sha256(f"{self.challenger}\n{conversation}".encode()).digest()
        return int.from_bytes(digest[:4]) < self.weight * _SCALE


class Splits:
    """The A/Bs within one session; a collection has at most one.

    Args:
        session: the transaction.
        clock: ISO 8601 in UTC.
    """

    def __init__(self, session: Session, clock: Callable[[], str]) -> None:
        self._session = session
        self._clock = clock

    def of(self, collection: str) -> Split | None:
        """Return a collection's A/B, None where all conversations get the served release."""
        row = self._session.get(ReleaseSplitRow, collection)
        active = select(ReleaseRow.id).where(
            ReleaseRow.collection == collection, ReleaseRow.state == "active"
        )
        if row is None or self._session.scalar(active) != row.release:
            return None
        return _split(row)

    def begin(self, collection: str, release: str, challenger: str, weight: float) -> Split:
        """Divide a collection's conversations, in place of a division before.

        Raises:
            InputError: ``release`` is not the served one, both are the same, or the weight is no share.
        """
        if not 0 < weight < 1:
            raise InputError(f"the weight must lie between 0 and 1, got {weight}")
        if release == challenger:
            raise InputError("A and B are the same release")
        states = {name: self._session.get_one(ReleaseRow, name).state for name in (release, challenger)}
        if states[release] != "active":
            raise InputError(
                f"release {release} is not served, so nothing can be set beside it",
                next_command=f"deskmate release promote {release} --collection {collection}",
            )
        if states[challenger] == "retired":
            raise InputError(f"release {challenger} was retired; create it anew")
        row = ReleaseSplitRow(
            collection=collection, release=release, challenger=challenger, weight=weight, since=self._clock()
        )
        return _split(self._session.merge(row))

    def end(self, collection: str) -> bool:
        """Give all conversations to the served release again; tell whether they were divided."""
        ended = self._session.execute(delete(ReleaseSplitRow).where(ReleaseSplitRow.collection == collection))
        return bool(ended.rowcount)  # type: ignore[attr-defined]


def _split(row: ReleaseSplitRow) -> Split:
    return msgspec.convert({name: getattr(row, name) for name in Split.__struct_fields__}, Split)
