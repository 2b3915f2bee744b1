"""``[oidc]``: the company's own login, for people who use the page."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from assistant.core.access import KeyRole


class OidcRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[oidc.rules]]``: what a group may do.

    Attributes:
        group: name, as the provider tells it; ``*`` for everybody who can log in.
        role: that its people get.
        collections: that they may read; all where none is named.
    """

    group: Annotated[str, Meta(min_length=1)]
    role: KeyRole = "agent"
    collections: tuple[str, ...] = ()


class OidcSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[oidc]``: OpenID Connect; the client's password stands in ``DESKMATE_OIDC_CLIENT_SECRET``.

    Attributes:
        issuer: URL of the provider, exactly as its tokens name it; empty for no login.
        client_id: of Deskmate at the provider.
        redirect_url: of ``/login/callback`` as people's browsers reach it.
        scopes: that are asked for.
        groups_claim: claim of the ID token that holds the groups; else the provider's userinfo is asked.
        rules: ``[[oidc.rules]]``; the first one whose group a person has counts, alone.
        clock_skew_seconds: that the provider's clock may be off.
        session_hours: until the next login; a changed group counts from then on.
    """

    issuer: str = ""
    client_id: str = ""
    redirect_url: str = ""
    scopes: tuple[str, ...] = ("openid", "profile", "groups")
    groups_claim: str = "groups"
    rules: tuple[OidcRule, ...] = ()
    clock_skew_seconds: Annotated[int, Meta(ge=0, le=300)] = 60
    session_hours: Annotated[int, Meta(ge=1, le=168)] = 8

    def rule(self, groups: frozenset[str]) -> OidcRule | None:
        """Return the rule that holds for someone in such groups."""
        return next((rule for rule in self.rules if rule.group == "*" or rule.group in groups), None)
