"""How sure an answer is: a logistic model over what can be seen of it without a judge.

The built-in weights were fitted on answers of the default base model to two suites; a collection's own come
from its suite (``deskmate eval calibrate``) and bring a threshold below which answers are not given.
"""

from __future__ import annotations

import math

from assistant.answering.abstention import missing_words
from assistant.core.records import Answer
from assistant.core.settings_answer import CalibrationSettings

Signals = tuple[float, ...]
SIGNALS = ("lead", "cited", "nearness", "evidence", "missing")
_MOST_MISSING = 3
BUILT_IN: Signals = (1.09, 1.16, 0.29, 0.67, -0.16, -1.34)


def signals(answer: Answer) -> Signals | None:
    """Return what can be seen of an answer without a judge, None for abstaining or without passages.

    How far the best passage stands out from the next, whether the answer cites it, how near the nearest
    passage is to the question, how well the passages cover it, and how many of its words, three at most, are
    in none that is cited. (How well the passages carry the answer says nothing more here: an answer that they
    do not carry is not given.)
    """
    if answer.abstained or not answer.passages:
        return None
    best, *others = sorted(answer.passages, key=lambda passage: passage.rank)
    lead = best.score - others[0].score if others else best.score
    is_cited = any(citation.chunk_id == best.chunk.id for citation in answer.citations)
    numbers = {citation.number for citation in answer.citations}
    cited = [passage for number, passage in enumerate(answer.passages, 1) if number in numbers]
    missing = len(missing_words(answer.question, cited)) if cited else _MOST_MISSING
    nearness = max(passage.dense or 0.0 for passage in answer.passages)
    return lead, float(is_cited), nearness, answer.route.evidence or 0.0, missing / _MOST_MISSING


def confidence_of(weights: Signals, row: Signals) -> float:
    """Return the chance that an answer with these signals is right; the last weight is the constant."""
    total = math.fsum(weight * sign for weight, sign in zip(weights, (*row, 1.0), strict=True))
    return 1 / (1 + math.exp(-min(max(total, -30.0), 30.0)))


def measure_confidence(answer: Answer, calibration: CalibrationSettings) -> float | None:
    """Return the confidence of an answer made from passages, None for others."""
    row = signals(answer)
    if row is None:
        return None
    is_own = (
        calibration.weights and calibration.arm == answer.arm and len(calibration.weights) == len(row) + 1
    )
    return round(confidence_of(calibration.weights if is_own else BUILT_IN, row), 4)


def is_too_unsure(answer: Answer, calibration: CalibrationSettings) -> bool:
    """Tell whether an answer is below the collection's threshold."""
    if calibration.arm != answer.arm or answer.route.confidence is None:
        return False
    return answer.route.confidence < calibration.threshold
