"""``[jobs]``: how long it is remembered what ran in the background."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]


class JobsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[jobs]``: ended jobs are forgotten; waiting and running ones never are.

    Attributes:
        kept: ended jobs that are kept, the newest ones.
        kept_days: days that an ended job is kept at most.
        niceness: of a worker's process, 0 to 19: how far it gives way to the service on the same machine.
    """

    kept: Count = 500
    kept_days: Count = 30
    niceness: Annotated[int, Meta(ge=0, le=19)] = 10
