"""``[answer]``: from passages to an answer."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class CalibrationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[answer.calibration]``: how sure an answer must be; a collection's own comes from its suite.

    Attributes:
        arm: that it was measured on; other arms' answers are not held to it.
        weights: of the confidence, see ``assistant.answering.confidence``; none takes the built-in ones.
        threshold: answers that are less sure are not given.
    """

    arm: str = ""
    weights: tuple[float, ...] = ()
    threshold: float = 0.0


class AnswerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[answer]``: from passages to an answer.

    Attributes:
        context_passages: most passages in a context.
        context_tokens: most engine tokens in a context.
        evidence_threshold: below it the question counts as not covered by the documents; at 0.26 none of
            240 covered questions of a FAQ was turned away, 4 in 100 of the samples', and half of those to
            other documents.
        max_question_characters: longer questions are refused.
        history_turns: earlier turns that the engine is given word for word.
        history_tokens: most engine tokens of earlier turns, the summary of those before them included.
        when_engine_fails: ``refuse`` the question, or ``quote`` the best passages as they stand.
        injections: what becomes of orders to a language model in passages and questions: ``withhold`` them
            from the engine, ``mark`` them as quoted, or ``keep`` them (for measuring).
        unsupported: what becomes of an answer's sentences that no passage carries: ``flag`` or ``cut``.
        calibration: how sure an answer must be.
    """

    context_passages: Positive = 4
    context_tokens: Positive = 800
    evidence_threshold: Share = 0.26
    max_question_characters: Positive = 4000
    history_turns: Annotated[int, Meta(ge=0)] = 6
    history_tokens: Positive = 800
    when_engine_fails: Literal["refuse", "quote"] = "refuse"
    injections: Literal["withhold", "mark", "keep"] = "withhold"
    unsupported: Literal["flag", "cut"] = "flag"
    calibration: CalibrationSettings = CalibrationSettings()
