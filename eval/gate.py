"""The gate: whether a report shows that an arm may be served, rule by rule, with questions to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from assistant.core.errors import InputError
from assistant.core.records import Arm, Record
from assistant.core.settings_gate import GateSettings
from eval.compare import Interval
from eval.summary import ArmSummary, Difference, Report, ShownAnswer, ShownCase

State = Literal["met", "failed", "unmeasured"]
EXAMPLES = 3
_QUESTION_CHARACTERS = 120


class RuleResult(Record, frozen=True, kw_only=True):
    """One rule applied.

    Attributes:
        rule: its name.
        state: ``unmeasured`` where the suite cannot measure it; that alone stops nothing.
        told: values and limit, for a person.
        short_by: how much is missing, 0 where nothing is.
        examples: ``id: question`` of cases that speak for the failure.
    """

    rule: str
    state: State
    told: str
    short_by: float = 0.0
    examples: tuple[str, ...] = ()


class Verdict(Record, frozen=True, kw_only=True):
    """All rules applied to a report."""

    arm: Arm
    against: Arm
    is_passed: bool
    rules: tuple[RuleResult, ...]

    @property
    def failed(self) -> tuple[RuleResult, ...]:
        """The rules that are not met."""
        return tuple(rule for rule in self.rules if rule.state == "failed")


def judge_report(report: Report, rules: GateSettings) -> Verdict:
    """Apply the gate's rules to a report.

    Raises:
        InputError: the report does not compare the two arms that the rules name.
    """
    summary = next((row for row in report.summaries if row.arm == rules.arm), None)
    difference = next(
        (row for row in report.differences if (row.reference, row.other) == (rules.arm, rules.against)), None
    )
    if summary is None or difference is None:
        arms = dict.fromkeys(("base", rules.against, "ft", rules.arm))
        raise InputError(
            f"the report does not compare {rules.arm} with {rules.against}; it has {','.join(report.arms)}",
            next_command=f"deskmate eval --collection NAME --suite FILE --arms {','.join(arms)}",
        )
    applied = (
        _enough(report, rules),
        _wins(difference, rules),
        *(_no_loss(report, difference, metric, rules) for metric in rules.wins_on),
        _general(report, rules),
        *(_floor(report, summary, metric, least, rules) for metric, least in rules.floors.items()),
    )
    passed = all(rule.state != "failed" for rule in applied)
    return Verdict(arm=rules.arm, against=rules.against, is_passed=passed, rules=applied)


def verdict_text(verdict: Verdict) -> str:
    """Return a verdict as plain text, the failures with their examples."""
    marks = {"met": "ok    ", "failed": "FAILED", "unmeasured": "–     "}
    lines = []
    for rule in verdict.rules:
        lines.append(f"{marks[rule.state]}  {rule.rule}: {rule.told}")
        lines += [f"          {example}" for example in rule.examples]
    count = len(verdict.failed)
    told = f"refused: {count} rule{'s' if count > 1 else ''} failed"
    lines.append(f"gate for {verdict.arm}: {'passed' if verdict.is_passed else told}")
    return "\n".join(lines)


def _enough(report: Report, rules: GateSettings) -> RuleResult:
    count = len(report.scores)
    return RuleResult(
        rule="enough questions",
        state="met" if count >= rules.least_cases else "failed",
        told=f"{count}, at least {rules.least_cases}",
        short_by=max(0, rules.least_cases - count),
    )


def _wins(difference: Difference, rules: GateSettings) -> RuleResult:
    name = f"better than {rules.against} somewhere"
    found = {metric: difference.metrics[metric] for metric in rules.wins_on if metric in difference.metrics}
    if not found:
        told = f"none of {', '.join(rules.wins_on)} could be measured"
        return RuleResult(rule=name, state="failed", told=told)
    told = "; ".join(f"{metric} {_difference(interval)}" for metric, interval in found.items())
    if any(interval.is_clear and interval.low > 0 for interval in found.values()):
        return RuleResult(rule=name, state="met", told=told)
    # what is missing is the low end of the nearest interval
    short = min(max(0.0, -interval.low) for interval in found.values())
    return RuleResult(
        rule=name,
        state="failed",
        told=f"no interval is clear of zero: {told}; the nearest lacks {short:.3f}",
        short_by=round(short, 4),
    )


def _no_loss(report: Report, difference: Difference, metric: str, rules: GateSettings) -> RuleResult:
    name = f"no loss on {metric}"
    interval = difference.metrics.get(metric)
    if interval is None:
        return _unmeasured(name, difference.undefined.get(metric))
    is_loss = interval.high < 0 or interval.mean < -rules.most_loss
    told = f"{_difference(interval)} against {rules.against}, at most {rules.most_loss:g} down"
    if not is_loss:
        return RuleResult(rule=name, state="met", told=told)
    short = max(-interval.mean - rules.most_loss, -interval.high, 0.0)
    return RuleResult(
        rule=name,
        state="failed",
        told=f"{told}; too low by {short:.3f}",
        short_by=round(short, 4),
        examples=_examples(report, rules, _WORSE.get(metric, _has_lower_score)),
    )


def _general(report: Report, rules: GateSettings) -> RuleResult:
    name = "general ability kept"
    interval = report.general_differences.get("base", report.general_differences.get(rules.against))
    if interval is None:
        told = "not measured; run deskmate eval with setting eval.general"
        return RuleResult(rule=name, state="failed" if rules.require_general else "unmeasured", told=told)
    short = max(0.0, -interval.mean - rules.most_general_loss)
    told = f"{_difference(interval)} against base, at most {rules.most_general_loss:g} down"
    # a share of small counts: 0.02 must not fail for a last binary digit
    if round(short, 6) == 0:
        return RuleResult(rule=name, state="met", told=told)
    return RuleResult(
        rule=name, state="failed", told=f"{told}; too low by {short:.3f}", short_by=round(short, 4)
    )


def _floor(report: Report, summary: ArmSummary, metric: str, least: float, rules: GateSettings) -> RuleResult:
    name = f"{metric} of {rules.arm} at least {least:g}"
    interval = summary.metrics.get(metric)
    if interval is None:
        return _unmeasured(name, summary.undefined.get(metric))
    told = f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    if interval.mean >= least:
        return RuleResult(rule=name, state="met", told=told)
    short = least - interval.mean
    return RuleResult(
        rule=name,
        state="failed",
        told=f"{told}; too low by {short:.3f}",
        short_by=round(short, 4),
        examples=_examples(report, rules, _WORSE.get(metric, _has_lower_score)),
    )


def _unmeasured(name: str, why: str | None) -> RuleResult:
    return RuleResult(rule=name, state="unmeasured", told=f"undefined: {why or 'not in the report'}")


def _examples(
    report: Report, rules: GateSettings, is_worse: Callable[[ShownCase, ShownAnswer, ShownAnswer], bool]
) -> tuple[str, ...]:
    """Return cases in which the arm is worse by the metric; failing that, its worst ones."""

    def those(chosen: Callable[[ShownCase, ShownAnswer, ShownAnswer], bool]) -> Iterator[str]:
        for shown in (*report.losses, *report.wins):
            ours, theirs = shown.answers.get(rules.arm), shown.answers.get(rules.against)
            if ours and theirs and chosen(shown, ours, theirs):
                yield f"{shown.case.id}: {shown.case.question[:_QUESTION_CHARACTERS]}"

    found = tuple(those(is_worse)) or tuple(those(_has_lower_score))
    return found[:EXAMPLES]


def _has_lower_score(_shown: ShownCase, ours: ShownAnswer, theirs: ShownAnswer) -> bool:
    return ours.score < theirs.score


def _cites_nothing(shown: ShownCase, ours: ShownAnswer, _theirs: ShownAnswer) -> bool:
    return shown.case.answerable and not ours.citations


def _abstains_wrongly(shown: ShownCase, ours: ShownAnswer, _theirs: ShownAnswer) -> bool:
    return ours.abstained is shown.case.answerable


def _refuses_covered(shown: ShownCase, ours: ShownAnswer, _theirs: ShownAnswer) -> bool:
    return shown.case.answerable and ours.abstained


def _answers_uncovered(shown: ShownCase, ours: ShownAnswer, _theirs: ShownAnswer) -> bool:
    return not shown.case.answerable and not ours.abstained


_WORSE: dict[str, Callable[[ShownCase, ShownAnswer, ShownAnswer], bool]] = {
    "citation_recall": _cites_nothing,
    "citation_precision": _cites_nothing,
    "abstention_f1": _abstains_wrongly,
    "abstention_precision": _refuses_covered,
    "abstention_recall": _answers_uncovered,
}


def _difference(interval: Interval) -> str:
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
