"""``[limits]``: how much one API key may ask of the service."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]
CountOrNone = Annotated[int, Meta(ge=0)]


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[limits]``: for each API key; where no key is asked for, rate and concurrency are not limited.

    Attributes:
        requests_per_minute: more are turned away, 0 for no limit; a key may have its own.
        concurrent_requests: under way at once, streams included; more are turned away.
        upload_mebibytes: largest body of an upload, all its files together.
        resumable_mebibytes: largest file that comes in pieces.
        upload_hours: how long an unfinished one is kept.
        conversation_turns: turns of one conversation; then a new one is to be begun.
        slow_seconds: that a client may send no more of a request, or take no more of an answer.
        idempotency_hours: how long the answer to an ``Idempotency-Key`` is kept.
    """

    requests_per_minute: CountOrNone = 600
    concurrent_requests: Count = 64
    upload_mebibytes: Count = 128
    resumable_mebibytes: Count = 1024
    upload_hours: Count = 24
    conversation_turns: Count = 500
    slow_seconds: Annotated[float, Meta(gt=0)] = 30.0
    idempotency_hours: Count = 24
