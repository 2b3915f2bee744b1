"""What goes in and out of ``/v1/keys`` and ``/v1/audit``."""

from typing import Annotated

import msgspec
from msgspec import Meta

from assistant.core.access import KeyRole, Scope
from assistant.service.schemas import Schema
from assistant.store.audit import AuditEntry
from assistant.store.keys import ApiKey

DAY_SECONDS = 86_400


class KeyRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that is wanted."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    role: KeyRole = "agent"
    scopes: Annotated[tuple[Scope, ...], Meta(description="Narrower than the role's.")] | None = None
    collections: (
        Annotated[tuple[str, ...], Meta(max_length=1000, description="That it may read; absent for all.")]
        | None
    ) = None
    filters: Annotated[
        dict[str, tuple[str, ...]],
        Meta(
            max_length=16,
            description="Key → accepted values of metadata: no other document exists for the key. Any key of "
            "metadata but date.",
        ),
    ] = msgspec.field(default_factory=dict)
    requests_per_minute: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    expires: Annotated[str, Meta(max_length=40, description="ISO 8601; UTC without an offset.")] | None = None


class RotateRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to rotate."""

    grace_seconds: Annotated[
        int, Meta(ge=0, le=30 * DAY_SECONDS, description="The old secret is accepted for so long.")
    ] = 0


class KeyShown(Schema, frozen=True, kw_only=True):
    """A key, without its secret."""

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

    @classmethod
    def from_key(cls, key: ApiKey) -> "KeyShown":
        """Copy a stored key."""
        return cls(**msgspec.structs.asdict(key))


class KeyIssued(Schema, frozen=True, kw_only=True):
    """A key with its secret, which is shown once."""

    key: KeyShown
    secret: str


class KeyList(Schema, frozen=True, kw_only=True):
    """All keys, newest first."""

    data: tuple[KeyShown, ...]
    next_cursor: str | None


class AuditList(Schema, frozen=True, kw_only=True):
    """Entries of the audit log, newest first."""

    data: tuple[AuditEntry, ...]
    next_cursor: str | None


class ChainState(Schema, frozen=True, kw_only=True):
    """Whether the audit log is whole."""

    is_whole: bool
    count: int
    head: str
    broken_at: int | None
    reason: str
