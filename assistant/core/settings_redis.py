"""``[redis]``: what several processes of the service share beside the database."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class RedisSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[redis]``: rate limits over all processes, and jobs' progress without asking the database.

    Both go on in each process by itself while it cannot be reached. Its password stands in
    ``DESKMATE_REDIS_PASSWORD``.

    Attributes:
        url: such as ``redis://redis.corp.example:6379/0`` or ``rediss://…``; empty for none.
        prefix: of its keys and channels; services that share a Redis have one each.
        timeout_seconds: longest wait for it.
    """

    url: str = ""
    prefix: Annotated[str, Meta(min_length=1, max_length=64)] = "deskmate"
    timeout_seconds: Annotated[float, Meta(gt=0)] = 0.5
