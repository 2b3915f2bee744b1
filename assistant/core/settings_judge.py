"""``[judge]``: an engine that grades answers beside the judge-free scores."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class JudgeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[judge]``: an engine that grades answers beside the judge-free scores.

    Attributes:
        kind: ``none`` judges nothing, ``base`` asks the engine of ``[engine]`` itself; else a kind of engine
            of its own.
        base_model: of a judge of its own; as in ``[engine]``.
        url: of its server, for ``sglang``.
        batch_size: verdicts asked together; what is said is kept after each batch.
        timeout_seconds: longest wait for the judge's next token.
    """

    kind: Literal["none", "base", "local", "sglang", "scripted"] = "none"
    base_model: str = ""
    url: str = "http://127.0.0.1:30000"
    batch_size: Annotated[int, Meta(ge=1)] = 16
    timeout_seconds: Annotated[float, Meta(gt=0)] = 120.0
