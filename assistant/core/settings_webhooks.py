"""``[webhooks]``: to which hosts events may be sent."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]


class WebhookSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[webhooks]``: nothing is sent to a host that does not stand here, so by default nothing at all.

    Attributes:
        hosts: names that may be told of events, such as ``desk.corp.example``, ``*.corp.example`` or
            ``desk.corp.example:8443``; without a port that of the scheme is meant.
        allow_http: without TLS everyone on the way reads along.
        timeout_seconds: an address that takes longer has failed.
        disable_after: failed attempts in a row after which an address is told nothing more.
        kept_days: days that it is remembered what was told.
    """

    hosts: tuple[str, ...] = ()
    allow_http: bool = False
    timeout_seconds: Annotated[float, Meta(gt=0, le=60)] = 10.0
    disable_after: Count = 20
    kept_days: Count = 30
