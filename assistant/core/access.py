"""Who asks, and what they may: roles, the scopes they hold, the collections and documents they may read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from assistant.core.records import Record

KeyRole = Literal["agent", "integrator", "owner", "admin"]
Scope = Literal["ask", "read", "handle", "embed", "usage", "manage", "audit", "keys"]

SCOPES: tuple[Scope, ...] = ("ask", "read", "handle", "embed", "usage", "manage", "audit", "keys")
ROLE_SCOPES: Mapping[KeyRole, frozenset[Scope]] = {
    "agent": frozenset(("ask", "read", "handle")),
    "integrator": frozenset(("ask", "read", "handle", "embed", "usage")),
    "owner": frozenset(("ask", "read", "handle", "embed", "usage", "manage")),
    "admin": frozenset(SCOPES),
}


class Caller(Record, frozen=True, kw_only=True):
    """Who a request comes from.

    Attributes:
        id: of the API key, ``local`` where the service asks for none.
        name: for a person.
        role: what the scopes come from.
        scopes: narrower than the role's; None for all of them.
        collections: that may be read and asked; None for all.
        filters: key → accepted values: of documents, only those with such metadata exist for this caller.
        requests_per_minute: the key's own limit; None for that of the settings.
    """

    id: str
    name: str = ""
    role: KeyRole = "admin"
    scopes: tuple[Scope, ...] | None = None
    collections: tuple[str, ...] | None = None
    filters: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    requests_per_minute: int | None = None

    def may(self, scope: Scope) -> bool:
        """Tell whether role and key allow a scope.

        Who may read a part only neither makes keys, which could read all, nor reads the log of all.
        """
        if self.is_restricted and scope in {"keys", "audit"}:
            return False
        return scope in ROLE_SCOPES[self.role] and (self.scopes is None or scope in self.scopes)

    @property
    def is_restricted(self) -> bool:
        """Whether some collections or documents do not exist for this caller."""
        return self.collections is not None or bool(self.filters)

    def reads(self, collection: str) -> bool:
        """Tell whether a collection exists for this caller."""
        return self.collections is None or collection in self.collections


LOCAL = Caller(id="local", name="this machine")
