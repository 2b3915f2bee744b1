"""Sessions of people who logged in: known by the hash of their cookie only, and ending by themselves."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from assistant.core.access import Caller, KeyRole
from assistant.core.records import Record
from assistant.store.session_tables import SessionRow

_LONGEST_NAME = 200


class OpenSession(Record, frozen=True, kw_only=True):
    """Whom a cookie lets in, and until when (seconds since 1970)."""

    caller: Caller
    expires: float


def session_digest(token: str) -> str:
    """Return what a session is known by. A plain hash will do: the token has 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


class Sessions:
    """The sessions within one session of the database.

    Args:
        session: the transaction.
        clock: seconds since 1970.
    """

    def __init__(self, session: Session, clock: Callable[[], float] = time.time) -> None:
        self._session = session
        self._clock = clock

    def begin(
        self, person: str, name: str, role: KeyRole, collections: Sequence[str] | None, seconds: float
    ) -> str:
        """Store a session and return its token, which cannot be read again; forgets those that ended.

        Args:
            person: id, the same at every login.
            name: to be shown.
            role: that the groups gave.
            collections: that may be read, None for all.
            seconds: that it holds.
        """
        now, token = self._clock(), secrets.token_urlsafe(32)
        self._session.execute(delete(SessionRow).where(SessionRow.expires <= now))
        self._session.add(
            SessionRow(
                digest=session_digest(token),
                person=person,
                name=name[:_LONGEST_NAME],
                role=role,
                collections=None if collections is None else list(collections),
                created=now,
                expires=now + seconds,
            )
        )
        self._session.flush()
        return token

    def find(self, digest: str) -> OpenSession | None:
        """Return whom a cookie lets in, None where the session ended or never was."""
        row = self._session.scalar(select(SessionRow).where(SessionRow.digest == digest))
        if row is None or row.expires <= self._clock():
            return None
        return _opened(row)

    def all(self) -> list[OpenSession]:
        """Return the sessions that hold, newest first."""
        query = select(SessionRow).where(SessionRow.expires > self._clock())
        return [_opened(row) for row in self._session.scalars(query.order_by(SessionRow.created.desc()))]

    def end(self, digest: str) -> None:
        """End a session."""
        self._session.execute(delete(SessionRow).where(SessionRow.digest == digest))

    def end_all(self, person: str | None = None) -> int:
        """End the sessions of a person, of everybody where None; return how many."""
        ended = delete(SessionRow).returning(SessionRow.digest)
        if person is not None:
            ended = ended.where(SessionRow.person == person)
        return len(self._session.scalars(ended).all())


def _opened(row: SessionRow) -> OpenSession:
    values = {"id": row.person, "name": row.name, "role": row.role, "collections": row.collections}
    return OpenSession(caller=msgspec.convert(values, Caller), expires=row.expires)
