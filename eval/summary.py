"""From scored answers to the numbers of a report: by arm, language and kind, with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from assistant.core.records import Arm, Case, Citation, Passage, Record
from assistant.core.settings import EvalSettings
from eval.breakdown import (
    Columns,
    Groups,
    Table,
    arm_groups,
    arm_tables,
    columns_of,
    difference_groups,
    difference_table,
    only,
    undefined_in,
)
from eval.calibration import Calibration, CurvePoint, calibrate
from eval.compare import Interval
from eval.judge import JudgeResult
from eval.latency import Latency
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
        by_document: mean answer score by the document of the first gold; unanswerable cases have none.
        metrics: name → value with interval; what is undefined is absent.
        undefined: name → why.
        groups: by language, kind and document the metrics of each group.
        curve: risk against coverage, each question with a confidence that was not fitted on it.
        calibration: a threshold to abstain below, and what it does on questions it was not chosen on.
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
    by_document: dict[str, Interval] = msgspec.field(default_factory=dict)
    metrics: Table = msgspec.field(default_factory=dict)
    undefined: dict[str, str] = msgspec.field(default_factory=dict)
    groups: Groups = msgspec.field(default_factory=dict)
    curve: tuple[CurvePoint, ...] = ()
    calibration: Calibration | None = None


class Difference(Record, frozen=True, kw_only=True):
    """The reference arm's mean score, and each metric, minus another arm's, paired by case."""

    reference: Arm
    other: Arm
    score: Interval
    by_language: dict[str, Interval]
    by_kind: dict[str, Interval]
    by_document: dict[str, Interval] = msgspec.field(default_factory=dict)
    metrics: Table = msgspec.field(default_factory=dict)
    undefined: dict[str, str] = msgspec.field(default_factory=dict)
    groups: Groups = msgspec.field(default_factory=dict)


class ShownAnswer(Record, frozen=True, kw_only=True):
    """One arm's answer to an example."""

    score: float
    text: str
    abstained: bool
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...] = ()


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
        general: share of the general suite that each arm gets right; empty where it was not asked.
        general_differences: the reference arm's share minus each other's, paired by task.
        engine_share: share of the run's wall time inside the engine, None where nothing was asked.
        judge: what a judge engine says, None where none was asked.
        latency: waiting times of questions asked one at a time; empty where they were not measured.
    """

    about: dict[str, str]
    arms: tuple[Arm, ...]
    reference: Arm
    summaries: tuple[ArmSummary, ...]
    differences: tuple[Difference, ...]
    losses: tuple[ShownCase, ...]
    wins: tuple[ShownCase, ...]
    scores: dict[str, dict[Arm, float]]
    general: dict[Arm, Interval] = msgspec.field(default_factory=dict)
    general_differences: dict[Arm, Interval] = msgspec.field(default_factory=dict)
    engine_share: float | None = None
    judge: JudgeResult | None = None
    latency: dict[Arm, Latency] = msgspec.field(default_factory=dict)


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
    columns = columns_of(result)
    return Report(
        about=dict(about),
        arms=arms,
        reference=reference,
        summaries=tuple(_summaries(result, columns, settings)),
        differences=tuple(_difference(result, columns, (reference, other), settings) for other in others),
        losses=losses,
        wins=wins,
        scores={
            case.id: {arm: _round(result.outcomes[arm][place].score) for arm in arms}
            for place, case in enumerate(result.suite)
        },
    )


def _summaries(result: EvalResult, columns: Columns, settings: EvalSettings) -> list[ArmSummary]:
    tables = arm_tables(columns, result.suite, settings)
    groups = arm_groups(columns, result.suite, settings)
    return [_summary(arm, rows, tables[arm], groups[arm], settings) for arm, rows in result.outcomes.items()]


def _summary(
    arm: Arm, rows: Sequence[Outcome], table: Table, groups: Groups, settings: EvalSettings
) -> ArmSummary:
    answerable = [row for row in rows if row.case.answerable]
    cited = sum(row.citations.cited for row in rows)
    calibrated = calibrate(rows, seed=settings.seed)
    undefined = undefined_in(table)
    if calibrated.undefined:
        undefined["calibration"] = calibrated.undefined
    return ArmSummary(
        arm=arm,
        score=table["answer_score"],
        answerable=_mean(row.score for row in answerable),
        unanswerable=_mean(row.score for row in rows if not row.case.answerable),
        abstained_wrongly=_mean(float(row.answer.abstained) for row in answerable),
        f1=_value(table, "f1"),
        exact_match=_value(table, "exact_match"),
        citation_recall=_value(table, "gold_citation_recall"),
        citation_precision=_value(table, "gold_citation_precision"),
        verbatim=_round(sum(row.citations.verbatim for row in rows) / cited) if cited else None,
        seconds_per_answer=table["seconds"].mean,
        by_language=only(groups, "language", "answer_score"),
        by_kind=only(groups, "kind", "answer_score"),
        by_document=only(groups, "document", "answer_score"),
        metrics=table,
        undefined=undefined,
        groups=groups,
        curve=calibrated.curve,
        calibration=calibrated.calibration,
    )


def _difference(
    result: EvalResult, columns: Columns, arms: tuple[Arm, Arm], settings: EvalSettings
) -> Difference:
    table = difference_table(columns, result.suite, arms, settings)
    groups = difference_groups(columns, result.suite, arms, settings)
    return Difference(
        reference=arms[0],
        other=arms[1],
        score=table["answer_score"],
        by_language=only(groups, "language", "answer_score"),
        by_kind=only(groups, "kind", "answer_score"),
        by_document=only(groups, "document", "answer_score"),
        metrics=table,
        undefined=undefined_in(table),
        groups=groups,
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
            passages=rows[place].answer.passages,
        )
        for arm, rows in result.outcomes.items()
    }
    return ShownCase(case=result.suite[place], gap=gap, answers=answers)


def _mean(values: Iterable[float]) -> float | None:
    rows = list(values)
    return _round(math.fsum(rows) / len(rows)) if rows else None


def _round(value: float) -> float:
    return round(value, _DIGITS) + 0.0


def _value(table: Table, name: str) -> float | None:
    return table[name].mean if name in table else None
