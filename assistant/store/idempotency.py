"""What was answered to requests with an ``Idempotency-Key``."""

from __future__ import annotations

from sqlalchemy import String, cast, delete, or_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from assistant.core.records import Record
from assistant.store.service_tables import IdempotencyRow

_ANSWERS = ("/v1/answers/", "text/event-stream")  # what the headers of an answer hold
_OUTDATED = [["outdated", ""]]  # stands for the headers of a request that is being worked on
LOST_SECONDS = 600.0  # a request that takes longer was cut off with its process


class Replay(Record, frozen=True, kw_only=True):
    """What was answered before.

    Attributes:
        fingerprint: of the request that it answered.
        status: HTTP status, None while the request is being worked on.
        headers: names and values that belong to the answer.
        body: its bytes.
    """

    fingerprint: str
    status: int | None
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Idempotency:
    """The remembered requests within one session.

    Args:
        session: the transaction.
        now: seconds since 1970.
    """

    def __init__(self, session: Session, now: float) -> None:
        self._session = session
        self._now = now

    def begin(self, name: str, fingerprint: str, kept_seconds: float) -> Replay | None:
        """Note that a request is being worked on; return what is known of an earlier one of that name.

        Args:
            name: of the key, unique to caller and route.
            fingerprint: of the request.
            kept_seconds: older answers are forgotten.
        """
        gone = delete(IdempotencyRow).where(IdempotencyRow.begun < self._now - kept_seconds)
        self._session.execute(gone)
        row = self._session.get(IdempotencyRow, name, with_for_update=True)
        # begun long before, or after now: the clock was set back since
        is_lost = row is not None and row.status is None and abs(self._now - row.begun) > LOST_SECONDS
        if row is not None and is_lost:
            self._session.delete(row)
            self._session.flush()
            row = None
        if row is None:
            row = self._note(name, fingerprint)
        if row is None:
            return None
        headers = tuple((str(key), str(value)) for key, value in row.headers)
        return Replay(fingerprint=row.fingerprint, status=row.status, headers=headers, body=row.body)

    def _note(self, name: str, fingerprint: str) -> IdempotencyRow | None:
        """Store that a request is being worked on; return the row of one that came at the same moment."""
        row = IdempotencyRow(
            id=name, fingerprint=fingerprint, begun=self._now, status=None, headers=[], body=b""
        )
        try:
            with self._session.begin_nested():
                self._session.add(row)
        except IntegrityError:  # a database server does not hold two processes apart as SQLite does
            return self._session.get(IdempotencyRow, name, populate_existing=True)
        return None

    def finish(self, name: str, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        """Keep what was answered; not an answer during which something was deleted that it may quote."""
        row = self._session.get(IdempotencyRow, name, with_for_update=True)
        if row is not None and row.headers == _OUTDATED and any(map(_is_answer, headers)):
            self._session.delete(row)
        elif row is not None:
            row.status, row.headers, row.body = status, [list(pair) for pair in headers], body

    def forget(self, name: str) -> None:
        """Let a request be made again: it failed."""
        self._session.execute(delete(IdempotencyRow).where(IdempotencyRow.id == name))

    @staticmethod
    def forget_answers(session: Session) -> None:
        """Forget what questions were answered: something was deleted that the answers may quote."""
        headers = cast(IdempotencyRow.headers, String)
        is_answer = or_(*(headers.contains(sign) for sign in _ANSWERS))
        session.execute(delete(IdempotencyRow).where(is_answer))
        running = update(IdempotencyRow).where(IdempotencyRow.status.is_(None))
        session.execute(running.values(headers=_OUTDATED))


def _is_answer(header: tuple[str, str]) -> bool:
    return any(sign in header[1] for sign in _ANSWERS)
