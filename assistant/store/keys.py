"""API keys: known by their SHA-256 only, scoped, expiring, rotated and revoked."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from assistant.core.access import Caller, KeyRole, Scope
from assistant.core.errors import InputError, NotFoundError
from assistant.core.ids import random_id
from assistant.core.records import Record
from assistant.store.locking import locked
from assistant.store.service_tables import ApiKeyRow

PREFIX = "dmk_"  # lets secret scanners find a key that leaked
_ID_LENGTH = len("key-") + 12


class ApiKey(Record, frozen=True, kw_only=True):
    """A key as it may be shown; the secret itself is nowhere.

    Attributes:
        id: ``key-…``.
        name: for a person.
        role: agent, integrator, owner or admin.
        scopes: narrower than the role's, None for all of them.
        collections: that it may read, None for all.
        filters: metadata that documents must have to exist for it.
        requests_per_minute: its own limit, None for that of the settings.
        created: when, ISO 8601 in UTC.
        expires: from when on it is refused, None for never.
        revoked: when it was taken back, None while it holds.
    """

    id: str
    name: str
    role: KeyRole
    scopes: tuple[Scope, ...] | None
    collections: tuple[str, ...] | None
    filters: dict[str, tuple[str, ...]]
    requests_per_minute: int | None
    created: str
    expires: str | None
    revoked: str | None


class NewKey(Record, frozen=True, kw_only=True):
    """What is asked for; attributes as in `ApiKey`."""

    name: str
    role: KeyRole = "agent"
    scopes: tuple[Scope, ...] | None = None
    collections: tuple[str, ...] | None = None
    filters: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    requests_per_minute: int | None = None
    expires: str | None = None


def key_digest(secret: bytes) -> str:
    """Return what a key is known by. A plain hash will do: the secret has 256 random bits."""
    return hashlib.sha256(secret).hexdigest()


class Keys:
    """The keys within one session.

    Args:
        session: the transaction.
        clock: seconds since 1970.
    """

    def __init__(self, session: Session, clock: Callable[[], float] = time.time) -> None:
        self._session = session
        self._clock = clock

    def exist(self) -> bool:
        """Tell whether there ever was a key: revoking the last one must not open the service to all."""
        return self._session.scalar(select(ApiKeyRow.number).limit(1)) is not None

    def create(self, new: NewKey) -> tuple[ApiKey, str]:
        """Store a key; return it with its secret, which cannot be read again.

        Raises:
            InputError: the time it expires is no time, or past.
        """
        secret = PREFIX + secrets.token_urlsafe(32)
        values = msgspec.structs.asdict(new) | {"expires": self._expiry(new.expires)}
        row = ApiKeyRow(
            **values,
            id=random_id("key")[:_ID_LENGTH],
            digest=key_digest(secret.encode()),
            created=self._now(),
        )
        self._session.add(row)
        self._session.flush()
        return _key(row), secret

    def all(self) -> list[ApiKey]:
        """Return all keys, newest first."""
        return [
            _key(row) for row in self._session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.number.desc()))
        ]

    def get(self, key_id: str) -> ApiKey:
        """Return a key.

        Raises:
            NotFoundError: there is none.
        """
        return _key(self._find(key_id))

    def caller(self, digest: str) -> Caller | None:
        """Return whom a digest lets in; None for a key that is unknown, revoked or expired."""
        row = self._session.scalar(
            select(ApiKeyRow).where(or_(ApiKeyRow.digest == digest, ApiKeyRow.former_digest == digest))
        )
        if row is None or row.revoked or (row.expires and row.expires <= self._now()):
            return None
        if row.digest != digest and row.former_until <= self._clock():
            return None
        names = Caller.__struct_fields__
        return msgspec.convert({name: getattr(row, name) for name in names}, Caller)

    def revoke(self, key_id: str) -> ApiKey:
        """Take a key back for good; a key that was taken back stays so.

        Raises:
            NotFoundError: there is none.
        """
        row = self._find(key_id)
        row.revoked = row.revoked or self._now()
        self._session.flush()
        return _key(row)

    def rotate(self, key_id: str, grace_seconds: float = 0.0) -> tuple[ApiKey, str]:
        """Give a key a new secret; the old one is accepted for ``grace_seconds`` more.

        Raises:
            NotFoundError: there is none.
            InputError: it was revoked.
        """
        row = self._find(key_id)
        if row.revoked:
            raise InputError(f"key {key_id} was revoked", next_command="deskmate keys create NAME")
        secret = PREFIX + secrets.token_urlsafe(32)
        row.former_digest, row.former_until = row.digest, self._clock() + grace_seconds
        row.digest = key_digest(secret.encode())
        self._session.flush()
        return _key(row), secret

    def _find(self, key_id: str) -> ApiKeyRow:
        row = self._session.scalar(locked(self._session, select(ApiKeyRow).where(ApiKeyRow.id == key_id)))
        if row is None:
            raise NotFoundError(f"no key {key_id[:64]!r}", next_command="deskmate keys list")
        return row

    def _expiry(self, text: str | None) -> str | None:
        """Return a time in the one form that stored times have, so that texts compare as times do."""
        if text is None:
            return None
        try:
            parsed = datetime.fromisoformat(text)
            moment = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise InputError(
                f"expires {text[:40]!r} is no time; write 2027-01-31 or 2027-01-31T12:00Z"
            ) from error
        stored = moment.isoformat(timespec="seconds")
        if stored <= self._now():
            raise InputError(f"expires {text[:40]!r} is past")
        return stored

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")


def _key(row: ApiKeyRow) -> ApiKey:
    names: Sequence[str] = ApiKey.__struct_fields__
    return msgspec.convert({name: getattr(row, name) for name in names}, ApiKey)
