from __future__ import annotations

from typing import Any

import msgspec
import pytest

from assistant.core.errors import InputError
from assistant.core.records import Arm, Case
from assistant.core.settings_gate import GateSettings
from eval.compare import Interval
from eval.gate import RuleResult, Verdict, judge_report, verdict_text
from eval.summary import ArmSummary, Difference, Report, ShownAnswer, ShownCase

RULES = GateSettings(least_cases=2)


def interval(mean: float, half: float = 0.05, cases: int = 60) -> Interval:
    return Interval(mean=mean, low=mean - half, high=mean + half, case_count=cases)


def arm_summary(arm: Arm, **metrics: float) -> ArmSummary:
    return ArmSummary(
        arm=arm,
        score=interval(0.5),
        answerable=None,
        unanswerable=None,
        abstained_wrongly=None,
        f1=None,
        exact_match=None,
        citation_recall=None,
        citation_precision=None,
        verbatim=None,
        seconds_per_answer=1.0,
        by_language={},
        by_kind={},
        metrics={name: interval(value) for name, value in metrics.items()},
        undefined={} if "abstention_recall" in metrics else {"abstention_recall": "no unanswerable case"},
    )


def shown(name: str, ours: float, theirs: float, *, abstained: bool = False) -> ShownCase:
    def answer(score: float, *, says_no: bool) -> ShownAnswer:
        return ShownAnswer(score=score, text="…", abstained=says_no, citations=())

    return ShownCase(
        case=Case(id=name, lang="zh", question=f"{name}：多少？"),
        gap=ours - theirs,
        answers={"rag": answer(theirs, says_no=False), "rag+ft": answer(ours, says_no=abstained)},
    )


def report(
    differences: dict[str, Interval], *, general: float | None = 0.0, losses: tuple[ShownCase, ...] = ()
) -> Report:
    values: dict[str, Any] = {"answer_score": 0.6, "citation_precision": 0.9, "abstention_recall": 0.8}
    return Report(
        about={},
        arms=("rag", "rag+ft"),
        reference="rag+ft",
        summaries=(arm_summary("rag", **values), arm_summary("rag+ft", **values)),
        differences=(
            Difference(
                reference="rag+ft",
                other="rag",
                score=interval(0.1),
                by_language={},
                by_kind={},
                metrics=differences,
                undefined={"abstention_f1": "no unanswerable case"},
            ),
        ),
        losses=losses,
        wins=(),
        scores={"a": {}, "b": {}},
        general_differences={} if general is None else {"rag": interval(general)},
    )


GOOD = {"answer_score": interval(0.12), "citation_recall": interval(0.0), "abstention_f1": interval(-0.01)}


def rule(verdict: Verdict, start: str) -> RuleResult:
    return next(row for row in verdict.rules if row.rule.startswith(start))


def test_a_clear_win_without_a_loss_passes() -> None:
    verdict = judge_report(report(GOOD, general=-0.02), RULES)
    assert verdict.is_passed, verdict_text(verdict)
    assert {row.state for row in verdict.rules} == {"met"}
    assert verdict_text(verdict).endswith("gate for rag+ft: passed")


def test_a_win_whose_interval_holds_zero_is_none() -> None:
    verdict = judge_report(report({**GOOD, "answer_score": interval(0.04)}), RULES)
    failed = rule(verdict, "better than rag")
    assert failed.state == "failed"
    assert failed.short_by == pytest.approx(0.01)
    assert not verdict.is_passed


@pytest.mark.parametrize(
    ("drop", "half", "is_loss"),
    [(-0.01, 0.05, False), (-0.03, 0.05, True), (-0.015, 0.005, True), (-0.02, 0.05, False)],
)
def test_a_loss_is_a_clear_one_or_more_than_two_points(drop: float, half: float, is_loss: bool) -> None:
    verdict = judge_report(report({**GOOD, "citation_recall": interval(drop, half)}), RULES)
    assert (rule(verdict, "no loss on citation_recall").state == "failed") is is_loss


def test_a_loss_names_the_questions_it_stands_on() -> None:
    losses = (shown("s1", 0.0, 1.0), shown("s2", 0.0, 1.0, abstained=True), shown("s3", 1.0, 1.0))
    verdict = judge_report(
        report(
            {
                "answer_score": interval(0.2),
                "abstention_f1": interval(-0.3),
                "citation_recall": interval(-0.2),
            },
            losses=losses,
        ),
        RULES,
    )
    abstention = rule(verdict, "no loss on abstention_f1")
    assert abstention.examples == ("s2: s2：多少？",)
    assert abstention.short_by == pytest.approx(0.28)
    text = verdict_text(verdict)
    assert "too low by 0.280" in text
    assert "s2：多少？" in text
    assert text.endswith("refused: 2 rules failed")


@pytest.mark.parametrize(("general", "passes"), [(-0.021, False), (-0.02, True), (0.1, True), (None, False)])
def test_general_ability_may_fall_by_two_points_and_must_be_measured(
    general: float | None, passes: bool
) -> None:
    assert judge_report(report(GOOD, general=general), RULES).is_passed is passes
    relaxed = msgspec.structs.replace(RULES, require_general=False)
    assert judge_report(report(GOOD, general=general), relaxed).is_passed is (passes or general is None)


def test_floors_hold_whatever_the_other_arm_does() -> None:
    high = msgspec.structs.replace(RULES, floors={"answer_score": 0.7})
    failed = rule(judge_report(report(GOOD), high), "answer_score of rag+ft at least 0.7")
    assert (failed.state, failed.short_by) == ("failed", pytest.approx(0.1))


def test_what_the_suite_cannot_measure_is_told_and_does_not_fail() -> None:
    found = {name: value for name, value in GOOD.items() if name != "abstention_f1"}
    verdict = judge_report(report(found), RULES)
    assert verdict.is_passed
    told = rule(verdict, "no loss on abstention_f1")
    assert (told.state, told.told) == ("unmeasured", "undefined: no unanswerable case")
    assert not judge_report(report({}), RULES).is_passed


def test_too_few_questions_prove_nothing() -> None:
    failed = rule(judge_report(report(GOOD), GateSettings()), "enough questions")
    assert (failed.state, failed.short_by) == ("failed", 28)


def test_a_report_without_the_arms_is_refused() -> None:
    with pytest.raises(InputError, match=r"does not compare ft with base.*deskmate eval .*--arms"):
        judge_report(report(GOOD), GateSettings(arm="ft", against="base"))
