"""``[retention]``: how long it is kept what people asked."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[retention]``: a worker deletes what is older, when it starts and every hour between its jobs.

    Attributes:
        answer_days: days that questions and answers are kept, with their feedback and conversations; 0 for
            ever. Of hand-overs only that there were some stays. Usage counts what is kept.
    """

    answer_days: Annotated[int, Meta(ge=0, le=36500)] = 0
