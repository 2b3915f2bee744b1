"""Parts of a report's page: groups by language, kind and document, what a judge says, waiting times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Literal

from assistant.core.records import Arm
from eval.breakdown import Table
from eval.compare import Interval
from eval.judge import JudgeResult, judge_lines
from eval.latency import Latency, Percentiles
from eval.report_tables import NOTHING, difference_cell, explained, interval_cell, share_cell, table
from eval.summary import Report

Dimension = Literal["language", "kind", "document"]
# beside the answer score, what says where an arm is good or bad
_FURTHER = (
    "key_facts",
    "f1",
    "groundedness",
    "citation_recall",
    "citation_precision",
    "gold_citation_recall",
    "abstention_recall",
    "coverage",
)


def groups_html(report: Report, dimension: Dimension) -> str:
    """Return each group's answer score by arm with paired differences; further metrics are folded away."""
    by_arm: dict[Arm, dict[str, Table]] = {row.arm: row.groups.get(dimension, {}) for row in report.summaries}
    names = list(next(iter(by_arm.values())))
    if not names:
        return "<p>None.</p>"
    head = [dimension, "cases", *map(escape, report.arms)]
    head += [f"{escape(row.reference)} − {escape(row.other)}" for row in report.differences]
    body = []
    for name in names:
        scores = [by_arm[arm][name].get("answer_score") for arm in report.arms]
        gaps = [row.groups.get(dimension, {}).get(name, {}).get("answer_score") for row in report.differences]
        count = next((str(score.case_count) for score in scores if score), NOTHING)
        body.append([escape(name), count, *map(interval_cell, scores), *map(difference_cell, gaps)])
    return table(head, body) + _further(report.arms, by_arm, names, dimension)


def _further(
    arms: Sequence[Arm], by_arm: Mapping[Arm, Mapping[str, Table]], names: Sequence[str], dimension: Dimension
) -> str:
    parts = []
    for metric in _FURTHER:
        rows = [
            [escape(name), *(interval_cell(by_arm[arm][name].get(metric)) for arm in arms)]
            for name in names
            if any(metric in by_arm[arm][name] for arm in arms)
        ]
        if rows:
            parts.append(f"<h4>{explained(metric)}</h4>{table([dimension, *map(escape, arms)], rows)}")
    return f"<details><summary>more by {dimension}</summary>{''.join(parts)}</details>" if parts else ""


def judge_html(result: JudgeResult, arms: Sequence[Arm]) -> str:
    """Return what a judge says by arm, and how far it agrees with the judge-free verdicts."""
    rows: list[tuple[str, Mapping[Arm, Interval]]] = [
        ("answers it finds right", result.right),
        ("citation recall by its entailment", result.citation_recall),
        ("citation precision by its entailment", result.citation_precision),
    ]
    body = [[name, *(interval_cell(found.get(arm)) for arm in arms)] for name, found in rows if found]
    agreements = [
        [
            escape(row.name),
            str(row.asked),
            str(row.unreadable),
            *map(share_cell, (row.agreement, row.kappa, row.judge_yes, row.judge_free_yes)),
        ]
        for row in result.agreements
    ]
    head = ["judged", "asked", "unreadable", "agreement", "kappa", "judge says yes", "judge-free yes"]
    why = [f"{name}: {reason}" for name, reason in result.undefined.items()]
    why += [f"kappa of {row.name}: {row.undefined}" for row in result.agreements if row.undefined]
    reasons = f'<ul class="undefined">{"".join(f"<li>{escape(row)}</li>" for row in why)}</ul>' if why else ""
    return (
        f"<h2>What a judge says</h2><p>{escape(judge_lines(result)[0])}</p>"
        f"{table(['', *map(escape, arms)], body) if body else ''}{table(head, agreements)}{reasons}"
    )


def latency_html(found: Mapping[Arm, Latency]) -> str:
    """Return the waiting times by arm."""
    if not found:
        return "<p>Not measured; <code>deskmate eval --latency 20</code> does.</p>"
    head = [
        "arm",
        "first text p50",
        "p95",
        "whole answer p50",
        "p95",
        "search p50",
        "p95",
        "tokens/s",
        "asked",
    ]
    body = [
        [
            escape(arm),
            *_both(row.first_token),
            *_both(row.total),
            *_both(row.retrieve),
            NOTHING if row.tokens_per_second is None else f"{row.tokens_per_second:.1f}",
            str(row.total.count),
        ]
        for arm, row in found.items()
    ]
    return table(head, body)


def _both(row: Percentiles | None) -> tuple[str, str]:
    return (NOTHING, NOTHING) if row is None else (f"{row.p50:.2f} s", f"{row.p95:.2f} s")
