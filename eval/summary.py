"""From scored answers to the numbers of a report: by arm, language and kind, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from assistant.core.records import Arm, Case, Citation, Record
from assistant.core.settings import EvalSettings
from eval.answers import exact_match, f1_score
from eval.citations import precision, recall
from eval.compare import Interval, mean_intervals, paired_difference
from eval.runner import EvalResult, Outcome

EXAMPLES_SHOWN = 100
_DIGITS = 4


class ArmSummary(Record, frozen=True, kw_only=True):
    """One arm's numbers; None where the suite has nothing to measure it on.

    Attributes:
        arm: which.
        score: mean answer score.
        answerable: mean answer score over answerable cases.
        unanswerable: share of unanswerable cases in which it abstains.
        abstained_wrongly: share of answerable cases in which it abstains.
        f1: mean token F1 over answerable cases with reference answers.
        exact_match: share of those answered exactly.
        citation_recall: share of answerable cases with a right citation.
        citation_precision: share of right citations.
        verbatim: share of citations whose quote stands where they say.
        seconds_per_answer: mean, batched as it was run.
        by_language: mean answer score.
        by_kind: mean answer score.
    """

    arm: Arm
    score: Interval
    answerable: float | None
    unanswerable: float | None
    abstained_wrongly: float | None
    f1: float | None
    exact_match: float | None
    citation_recall: float | None
    citation_precision: float | None
    verbatim: float | None
    seconds_per_answer: float
    by_language: dict[str, Interval]
    by_kind: dict[str, Interval]


class Difference(Record, frozen=True, kw_only=True):
    """The reference arm's mean score minus another's, paired by case."""

    reference: Arm
    other: Arm
    score: Interval
    by_language: dict[str, Interval]
    by_kind: dict[str, Interval]


class ShownAnswer(Record, frozen=True, kw_only=True):
    """One arm's answer to an example."""

    score: float
    text: str
    abstained: bool
    citations: tuple[Citation, ...]


class ShownCase(Record, frozen=True, kw_only=True):
    """A case in which the reference arm is better or worse than every other."""

    case: Case
    gap: float
    answers: dict[Arm, ShownAnswer]


class Report(Record, frozen=True, kw_only=True):
    """All that a report shows.

    Attributes:
        about: what was measured, name → value.
        arms: in order.
        reference: the arm that the others are compared with: ``rag+ft``, else the last.
        summaries: one an arm.
        differences: one for each other arm.
        losses: cases in which another arm is better, worst first, 100 at most.
        wins: cases in which the reference arm is better than all others, best first, 100 at most.
        scores: case id → score by arm.
    """

    about: dict[str, str]
    arms: tuple[Arm, ...]
    reference: Arm
    summaries: tuple[ArmSummary, ...]
    differences: tuple[Difference, ...]
    losses: tuple[ShownCase, ...]
    wins: tuple[ShownCase, ...]
    scores: dict[str, dict[Arm, float]]


def summarise(result: EvalResult, about: Mapping[str, str], settings: EvalSettings) -> Report:
    """Return the report's numbers; the same result and settings give the same report.

    Args:
        result: the scored answers.
        about: what was measured, shown at the top.
        settings: of the bootstrap.
    """
    arms = tuple(result.outcomes)
    reference: Arm = "rag+ft" if "rag+ft" in arms else arms[-1]
    others = tuple(arm for arm in arms if arm != reference)
    losses, wins = _shown(result, reference, others)
    return Report(
        about=dict(about),
        arms=arms,
        reference=reference,
        summaries=tuple(_summaries(result, settings)),
        differences=tuple(_difference(result, reference, other, settings) for other in others),
        losses=losses,
        wins=wins,
        scores={
            case.id: {arm: _round(result.outcomes[arm][place].score) for arm in arms}
            for place, case in enumerate(result.suite)
        },
    )


def _summaries(result: EvalResult, settings: EvalSettings) -> list[ArmSummary]:
    by_language = _grouped_intervals(result, lambda case: case.lang, settings)
    by_kind = _grouped_intervals(result, lambda case: case.kind, settings)
    overall = _intervals(result, range(len(result.suite)), settings)
    return [
        _summary(arm, rows, overall[arm], _of_arm(by_language, arm), _of_arm(by_kind, arm))
        for arm, rows in result.outcomes.items()
    ]


def _summary(
    arm: Arm,
    rows: Sequence[Outcome],
    score: Interval,
    by_language: dict[str, Interval],
    by_kind: dict[str, Interval],
) -> ArmSummary:
    answerable = [row for row in rows if row.case.answerable]
    with_answers = [row for row in answerable if any(row.case.answers)]
    cited = sum(row.citations.cited for row in rows)
    return ArmSummary(
        arm=arm,
        score=score,
        answerable=_mean(row.score for row in answerable),
        unanswerable=_mean(row.score for row in rows if not row.case.answerable),
        abstained_wrongly=_mean(float(row.answer.abstained) for row in answerable),
        f1=_mean(
            0.0 if row.answer.abstained else f1_score(row.case.answers, row.answer.text)
            for row in with_answers
        ),
        exact_match=_mean(exact_match(row.case.answers, row.answer.text) for row in with_answers),
        citation_recall=_rounded(recall(row.citations for row in answerable)),
        citation_precision=_rounded(precision(row.citations for row in rows)),
        verbatim=_round(sum(row.citations.verbatim for row in rows) / cited) if cited else None,
        seconds_per_answer=_round(math.fsum(row.seconds for row in rows) / len(rows)),
        by_language=by_language,
        by_kind=by_kind,
    )


def _difference(result: EvalResult, reference: Arm, other: Arm, settings: EvalSettings) -> Difference:
    ours, theirs = result.outcomes[reference], result.outcomes[other]

    def over(places: Sequence[int]) -> Interval:
        return _rounded_interval(
            paired_difference(
                [ours[place].score for place in places],
                [theirs[place].score for place in places],
                samples=settings.bootstrap_samples,
                seed=settings.seed,
            )
        )

    by_language = _places_by(result, lambda case: case.lang)
    by_kind = _places_by(result, lambda case: case.kind)
    return Difference(
        reference=reference,
        other=other,
        score=over(range(len(ours))),
        by_language={name: over(places) for name, places in by_language.items()},
        by_kind={name: over(places) for name, places in by_kind.items()},
    )


def _shown(
    result: EvalResult, reference: Arm, others: tuple[Arm, ...]
) -> tuple[tuple[ShownCase, ...], tuple[ShownCase, ...]]:
    """Return losses and wins; with one arm alone, what it gets wrong counts as a loss."""
    gaps = []
    for place, ours in enumerate(result.outcomes[reference]):
        best = max((result.outcomes[arm][place].score for arm in others), default=1.0)
        gaps.append((_round(ours.score - best), place))
    losses = sorted(row for row in gaps if row[0] < 0)[:EXAMPLES_SHOWN]
    wins = sorted((row for row in gaps if row[0] > 0), key=lambda row: (-row[0], row[1]))[:EXAMPLES_SHOWN]
    return (
        tuple(_shown_case(result, place, gap) for gap, place in losses),
        tuple(_shown_case(result, place, gap) for gap, place in wins),
    )


def _shown_case(result: EvalResult, place: int, gap: float) -> ShownCase:
    answers = {
        arm: ShownAnswer(
            score=_round(rows[place].score),
            text=rows[place].answer.text,
            abstained=rows[place].answer.abstained,
            citations=rows[place].answer.citations,
        )
        for arm, rows in result.outcomes.items()
    }
    return ShownCase(case=result.suite[place], gap=gap, answers=answers)


def _grouped_intervals(
    result: EvalResult, name_of: Callable[[Case], str], settings: EvalSettings
) -> dict[str, dict[Arm, Interval]]:
    groups = _places_by(result, name_of)
    return {name: _intervals(result, places, settings) for name, places in groups.items()}


def _intervals(result: EvalResult, places: Sequence[int], settings: EvalSettings) -> dict[Arm, Interval]:
    columns = [[rows[place].score for place in places] for rows in result.outcomes.values()]
    intervals = mean_intervals(columns, samples=settings.bootstrap_samples, seed=settings.seed)
    return dict(zip(result.outcomes, map(_rounded_interval, intervals), strict=True))


def _places_by(result: EvalResult, name_of: Callable[[Case], str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for place, case in enumerate(result.suite):
        groups.setdefault(name_of(case), []).append(place)
    return dict(sorted(groups.items()))


def _of_arm(groups: dict[str, dict[Arm, Interval]], arm: Arm) -> dict[str, Interval]:
    return {name: intervals[arm] for name, intervals in groups.items()}


def _mean(values: Iterable[float]) -> float | None:
    rows = list(values)
    return _round(math.fsum(rows) / len(rows)) if rows else None


def _round(value: float) -> float:
    return round(value, _DIGITS) + 0.0


def _rounded(value: float | None) -> float | None:
    return None if value is None else _round(value)


def _rounded_interval(interval: Interval) -> Interval:
    return Interval(
        mean=_round(interval.mean),
        low=_round(interval.low),
        high=_round(interval.high),
        case_count=interval.case_count,
    )
