"""``[task]``: the task profile, that is the kind of work that answers are for."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Instructions = Annotated[str, Meta(max_length=4000)]


class TaskSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[task]``: role, tone and scope of answers, and the form they have; ``configs/tasks/`` has examples.

    Attributes:
        name: of the profile.
        role_en: role, tone and scope in English, told to the model after its instructions; empty for none.
        role_zh: the same in Chinese.
        json_schema: JSON Schema that answers fit where a request asks for no other; empty for plain text.
    """

    name: str = ""
    role_en: Instructions = ""
    role_zh: Instructions = ""
    json_schema: str = ""
