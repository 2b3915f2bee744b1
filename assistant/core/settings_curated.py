"""``[curated]``: when a question is taken for one that a person has answered."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class CuratedSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[curated]``: answers that people approved, given as they stand.

    Attributes:
        likeness: least cosine similarity of a question to a stored wording; 1 takes equal wordings only. The
            default is high: at .96 one real question in 60 got the answer to another one, at .98 none.
    """

    likeness: Annotated[float, Meta(gt=0, le=1)] = 0.98
