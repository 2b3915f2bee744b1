"""When to abstain: risk against coverage, and what a threshold does on questions it was not chosen on.

The confidence of an answer is a logistic model over what can be seen without a judge
(``assistant.answering.confidence``). Each half of the cases is shown with the model and the threshold of the
other; what is to be used is fitted on all.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from assistant.answering.confidence import Signals, confidence_of, signals
from assistant.core.records import Record

if TYPE_CHECKING:
    from eval.runner import Outcome

TARGET_RISK = 0.2
LEAST_ANSWERS = 10
CURVE_POINTS = 100
_BINS = 10
_STEPS = 30
_NEVER = 1.0001
# keeps the weights finite where a signal tells right from wrong without a fault
_RIDGE = 1.0


class CurvePoint(Record, frozen=True, kw_only=True):
    """One threshold of a risk-coverage curve.

    Attributes:
        coverage: share of the questions that are answered.
        risk: mean loss (1 - answer score) over those.
        threshold: least confidence that is answered.
    """

    coverage: float
    risk: float
    threshold: float


class Calibration(Record, frozen=True, kw_only=True):
    """A threshold to abstain below, and what choosing one so does on questions that it was not chosen on.

    Attributes:
        threshold: least confidence that is answered, chosen on all questions; above 1 where none keeps the
            target.
        weights: of the confidence, one a signal and the constant, fitted on all questions.
        target_risk: the mean loss that it was chosen for.
        coverage: share of the questions that is answered with the other half's threshold.
        risk: mean loss over those, None where none is answered.
        coverage_before: share answered without it.
        risk_before: mean loss without it.
        aurc: area under the risk-coverage curve; less is better.
        ece: expected calibration error of the confidence.
        case_count: questions.
    """

    threshold: float
    weights: tuple[float, ...]
    target_risk: float
    coverage: float
    risk: float | None
    coverage_before: float
    risk_before: float | None
    aurc: float
    ece: float
    case_count: int


class Calibrated(Record, frozen=True, kw_only=True):
    """What calibrating one arm gave.

    Attributes:
        calibration: None where there is nothing to calibrate.
        curve: over all questions, each with the other half's confidence, from the surest answer to all.
        undefined: why there is no calibration, else empty.
    """

    calibration: Calibration | None = None
    curve: tuple[CurvePoint, ...] = ()
    undefined: str = ""


def calibrate(outcomes: Sequence[Outcome], *, seed: int, target_risk: float = TARGET_RISK) -> Calibrated:
    """Fit a confidence and a threshold, and show what they do on questions that they were not fitted on.

    Args:
        outcomes: of one arm.
        seed: of the halves.
        target_risk: mean loss that the threshold shall keep.
    """
    halves = [[row for row in map(_signalled, half) if row] for half in _halves(outcomes, seed)]
    if min(map(len, halves)) < LEAST_ANSWERS:
        return Calibrated(
            undefined=f"fewer than {LEAST_ANSWERS} answers from passages in a half of the questions"
        )
    seen: list[tuple[float, float]] = []
    kept: list[float] = []
    for fitting, shown in (halves, halves[::-1]):
        weights, threshold = _fitted(fitting, target_risk)
        rows = [(confidence_of(weights, row), score) for row, score in shown]
        seen += rows
        kept += [score for confidence, score in rows if confidence >= threshold]
    weights, threshold = _fitted([*halves[0], *halves[1]], target_risk)
    confidences, scores = [row[0] for row in seen], [row[1] for row in seen]
    count = len(outcomes)
    return Calibrated(
        calibration=Calibration(
            threshold=round(threshold, 4),
            weights=tuple(round(weight, 4) for weight in weights),
            target_risk=target_risk,
            coverage=round(len(kept) / count, 4),
            risk=_risk(kept),
            coverage_before=round(len(seen) / count, 4),
            risk_before=_risk(scores),
            aurc=round(aurc(confidences, scores), 4),
            ece=round(expected_calibration_error(confidences, scores), 4),
            case_count=count,
        ),
        curve=_thinned(risk_coverage(confidences, scores, case_count=count)),
    )


def risk_coverage(
    confidences: Sequence[float], scores: Sequence[float], *, case_count: int
) -> list[CurvePoint]:
    """Return risk and coverage at every threshold that tells answers apart, from the surest on.

    Args:
        confidences: of the answers.
        scores: of the answers, from 0 to 1; the loss is 1 - score.
        case_count: questions asked, abstentions included.
    """
    ranked = sorted(zip(confidences, scores, strict=True), reverse=True)
    points: list[CurvePoint] = []
    count, loss = 0, 0.0
    for threshold, group in groupby(ranked, key=lambda row: row[0]):
        losses = [1.0 - score for _, score in group]
        count, loss = count + len(losses), loss + math.fsum(losses)
        points.append(CurvePoint(coverage=count / case_count, risk=loss / count, threshold=threshold))
    return points


def aurc(confidences: Sequence[float], scores: Sequence[float]) -> float:
    """Return the mean risk over all coverages (Geifman et al. 2019); equal confidences share their loss."""
    ranked = sorted(zip(confidences, scores, strict=True), reverse=True)
    total, loss, count = 0.0, 0.0, 0
    for _, group in groupby(ranked, key=lambda row: row[0]):
        losses = [1.0 - score for _, score in group]
        mean = math.fsum(losses) / len(losses)
        for _ in losses:
            loss, count = loss + mean, count + 1
            total += loss / count
    return total / count if count else 0.0


def expected_calibration_error(confidences: Sequence[float], scores: Sequence[float]) -> float:
    """Return the mean gap between confidence and score over ten bins of equal width (Guo et al. 2017)."""
    bins: dict[int, list[tuple[float, float]]] = {}
    for confidence, score in zip(confidences, scores, strict=True):
        bins.setdefault(min(int(confidence * _BINS), _BINS - 1), []).append((confidence, score))
    gaps = (abs(math.fsum(c for c, _ in rows) - math.fsum(s for _, s in rows)) for rows in bins.values())
    return math.fsum(gaps) / len(confidences) if confidences else 0.0


def _signalled(row: Outcome) -> tuple[Signals, float] | None:
    found = signals(row.answer)
    return None if found is None else (found, row.score)


def _halves(outcomes: Sequence[Outcome], seed: int) -> tuple[list[Outcome], list[Outcome]]:
    """Return halves with the same share of languages, unanswerable questions and right answers.

    With other shares of right answers the half with more would be fitted on the one with fewer.
    """
    groups: dict[tuple[str, bool, bool, float], list[Outcome]] = {}
    for row in outcomes:
        key = (row.case.lang, row.case.answerable, row.answer.abstained, round(row.score, 1))
        groups.setdefault(key, []).append(row)
    ordered: list[Outcome] = []
    for name in sorted(groups):
        ordered += random.Random(seed).sample(groups[name], len(groups[name]))
    return ordered[::2], ordered[1::2]


def _fitted(rows: Sequence[tuple[Signals, float]], target_risk: float) -> tuple[Signals, float]:
    """Return the weights of the confidence and the threshold that suit these answers."""
    weights = _fit(rows)
    return weights, _choose([(confidence_of(weights, row), score) for row, score in rows], target_risk)


def _fit(rows: Sequence[tuple[Signals, float]]) -> Signals:
    """Return the weights of a logistic model, fitted by Newton's method; the last one is the constant.

    Signals are not scaled: all of them lie between 0 and 1, and the penalty then holds down those that vary
    little.
    """
    import numpy as np

    signs = np.array([[*row, 1.0] for row, _ in rows])
    scores = np.array([score for _, score in rows])
    ridge = _RIDGE * np.eye(signs.shape[1])
    # the constant is free, but stays finite where every answer is right
    ridge[-1, -1] = 1e-3
    weights = np.zeros(signs.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(signs @ weights, -30, 30)))
        slope = signs.T @ (chance - scores) + ridge @ weights
        bend = (signs * (chance * (1 - chance))[:, None]).T @ signs + ridge
        weights = weights - np.linalg.solve(bend, slope)
    return tuple(weights.tolist())


def _choose(rows: Sequence[tuple[float, float]], target_risk: float) -> float:
    """Return the least threshold whose answers keep the target: 0 where all do, above 1 where none does."""
    points = risk_coverage([row[0] for row in rows], [row[1] for row in rows], case_count=len(rows))
    if points[-1].risk <= target_risk:
        return 0.0
    fitting = [point.threshold for point in points if point.risk <= target_risk]
    return min(fitting, default=_NEVER)


def _risk(scores: Sequence[float]) -> float | None:
    return round(1 - math.fsum(scores) / len(scores), 4) if scores else None


def _thinned(points: list[CurvePoint]) -> tuple[CurvePoint, ...]:
    """Return 100 points at most, rounded, the ends among them."""
    if len(points) > CURVE_POINTS:
        points = [points[round(n * (len(points) - 1) / (CURVE_POINTS - 1))] for n in range(CURVE_POINTS)]
    return tuple(
        CurvePoint(
            coverage=round(point.coverage, 4), risk=round(point.risk, 4), threshold=round(point.threshold, 4)
        )
        for point in points
    )
