"""``[gate]``: what a tuned adapter must show before it is served."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from assistant.core.records import Arm

Points = Annotated[float, Meta(ge=0.0, le=1.0)]


class GateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[gate]``: rules over a report; metrics are named as in ``report.json``.

    Attributes:
        arm: that is to be served.
        against: the arm it is compared with, question by question.
        wins_on: metrics of which at least one must be better, its 95 % interval clear of zero; none of
            them may be worse.
        most_loss: drop of a metric of ``wins_on`` that is taken for noise as long as its interval holds zero.
        most_general_loss: drop of general ability that is let pass.
        require_general: a report without general ability fails.
        least_cases: fewer questions prove nothing.
        floors: metric → least value of ``arm``, whatever the other arms do.
    """

    arm: Arm = "rag+ft"
    against: Arm = "rag"
    wins_on: tuple[str, ...] = ("answer_score", "citation_recall", "abstention_f1")
    most_loss: Points = 0.02
    most_general_loss: Points = 0.02
    require_general: bool = True
    least_cases: Annotated[int, Meta(ge=1)] = 30
    floors: dict[str, Points] = msgspec.field(
        default_factory=lambda: {"answer_score": 0.3, "citation_precision": 0.5, "abstention_recall": 0.5}
    )
