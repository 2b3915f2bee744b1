"""The HTML page of a report: one file, no script, nothing from outside."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources

from assistant.core.records import Arm
from eval.calibration import Calibration
from eval.case_metrics import METRICS
from eval.compare import Interval
from eval.gate import Verdict
from eval.report_cases import cases_html
from eval.report_groups import groups_html, judge_html, latency_html
from eval.report_plots import bar_plot, curve_plot
from eval.report_tables import (
    NOTHING,
    PLAIN_NUMBERS,
    difference_cell,
    explained,
    interval_cell,
    share_cell,
    table,
    title_of,
)
from eval.summary import ArmSummary, Difference, Report

# beside the answer score
_PLOTTED = ("citation_recall", "abstention_f1")
_STATES = {"met": "met", "failed": "failed", "unmeasured": "not measured"}


def render_page(report: Report, verdict: Verdict | None = None) -> str:
    """Return the page; the same report and verdict give the same page."""
    template = resources.files("eval").joinpath("templates", "report.html.txt").read_text("utf-8")
    return string.Template(template).substitute(
        about="".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in _about(report).items()),
        gate=_gate(verdict) if verdict else "",
        plot=bar_plot(
            "Mean answer score by arm with 95 % intervals", {row.arm: row.score for row in report.summaries}
        ),
        plots=_metric_plots(report.summaries),
        arms=_arms_table(report.summaries),
        metrics=_metrics_table(report.summaries),
        differences=_differences_table(report.differences),
        changes=_changes_table(report.differences),
        coverage=_coverage(report),
        general=_general(report),
        judge=judge_html(report.judge, report.arms) if report.judge else "",
        latency=latency_html(report.latency),
        languages=groups_html(report, "language"),
        kinds=groups_html(report, "kind"),
        documents=groups_html(report, "document"),
        losses=cases_html(report.losses, report.arms),
        wins=cases_html(report.wins, report.arms),
        reference=escape(report.reference),
        loss_count=str(len(report.losses)),
        win_count=str(len(report.wins)),
    )


def _about(report: Report) -> dict[str, str]:
    if report.engine_share is None:
        return report.about
    return {**report.about, "time in the engine": f"{report.engine_share:.0%}"}


def _gate(verdict: Verdict) -> str:
    told = "passed" if verdict.is_passed else "refused"
    rows = [
        [
            escape(rule.rule),
            f'<b class="{rule.state}">{_STATES[rule.state]}</b>',
            escape(rule.told) + "".join(f"<div><small>{escape(row)}</small></div>" for row in rule.examples),
        ]
        for rule in verdict.rules
    ]
    shown = table(["rule", "", "values"], rows).replace('class="wide"', 'class="wide told"')
    return (
        f'<h2>Gate: {escape(verdict.arm)} <b class="{"met" if verdict.is_passed else "failed"}">{told}</b>'
        f"</h2>{shown}"
    )


def _metric_plots(rows: Sequence[ArmSummary]) -> str:
    parts = []
    for name in _PLOTTED:
        shown: dict[str, Interval] = {row.arm: row.metrics[name] for row in rows if name in row.metrics}
        if shown:
            title = f"{title_of(name)} by arm with 95 % intervals"
            parts.append(
                f"<figure><figcaption>{title_of(name)}</figcaption>{bar_plot(title, shown)}</figure>"
            )
    return f'<div class="plots">{"".join(parts)}</div>' if parts else ""


def _arms_table(rows: Sequence[ArmSummary]) -> str:
    head = ["arm", "answer score [95 %]", "answerable", "unanswerable", "abstained wrongly", "F1"]
    head += ["exact match", "gold citation recall", "gold citation precision", "quotes verbatim", "s/answer"]
    body = [
        [
            escape(row.arm),
            interval_cell(row.score),
            *map(
                share_cell, (row.answerable, row.unanswerable, row.abstained_wrongly, row.f1, row.exact_match)
            ),
            *map(share_cell, (row.citation_recall, row.citation_precision, row.verbatim)),
            f"{row.seconds_per_answer:.1f}",
        ]
        for row in rows
    ]
    return table(head, body)


def _metrics_table(rows: Sequence[ArmSummary]) -> str:
    """Return a row a metric and a column an arm; what is undefined says why."""
    names = list(dict.fromkeys(name for row in rows for name in (*row.metrics, *row.undefined)))
    if not names:
        return ""
    shown = [name for name in names if name in METRICS or any(name in row.metrics for row in rows)]
    body = [[explained(name), *(_metric(row, name) for row in rows)] for name in shown]
    shown_table = table(["metric", *(escape(row.arm) for row in rows)], body)
    return shown_table + _undefined_list(rows, names)


def _metric(row: ArmSummary, name: str) -> str:
    interval = row.metrics.get(name)
    if interval is None:
        return NOTHING
    return _number(interval) if name in PLAIN_NUMBERS else interval_cell(interval)


def _undefined_list(rows: Sequence[ArmSummary], names: Sequence[str]) -> str:
    """Return why metrics have no value, arms of one reason together."""
    items = []
    for name in names:
        arms: dict[str, list[str]] = {}
        for row in rows:
            if name in row.undefined and name not in row.metrics:
                arms.setdefault(row.undefined[name], []).append(row.arm)
        items += [
            f"<li>{escape(title_of(name))}, {escape(', '.join(named))}: {escape(why)}</li>"
            for why, named in arms.items()
        ]
    return f'<ul class="undefined">{"".join(items)}</ul>' if items else ""


def _number(interval: Interval) -> str:
    return f"{interval.mean:.1f} <small>[{interval.low:.1f}, {interval.high:.1f}]</small>"


def _differences_table(rows: Sequence[Difference]) -> str:
    if not rows:
        return "<p>One arm only.</p>"
    groups = sorted({name for row in rows for name in row.by_language})
    head = ["difference of mean scores", "all", *groups]
    body = [
        [
            f"{escape(row.reference)} − {escape(row.other)}",
            difference_cell(row.score),
            *(
                difference_cell(row.by_language[name]) if name in row.by_language else NOTHING
                for name in groups
            ),
        ]
        for row in rows
    ]
    return table([escape(cell) for cell in head], body)


def _changes_table(rows: Sequence[Difference]) -> str:
    """Return the differences of all metrics, a column an arm that the reference is compared with."""
    names = list(dict.fromkeys(name for row in rows for name in row.metrics if name not in PLAIN_NUMBERS))
    if not names:
        return ""
    body = [
        [
            escape(title_of(name)),
            *(difference_cell(row.metrics[name]) if name in row.metrics else NOTHING for row in rows),
        ]
        for name in names
    ]
    return table(["metric", *(f"{escape(row.reference)} − {escape(row.other)}" for row in rows)], body)


def _coverage(report: Report) -> str:
    plot = curve_plot({row.arm: row.curve for row in report.summaries})
    found = {row.arm: row.calibration for row in report.summaries if row.calibration is not None}
    if not plot and not found:
        return "<p>Not measured.</p>"
    return f"{plot}{_calibrations(found) if found else ''}"


def _calibrations(found: Mapping[Arm, Calibration]) -> str:
    head = ["arm", "threshold", "chosen for a risk of", "coverage", "risk", "coverage without it"]
    head += ["risk without it", "area under the curve", "calibration error", "questions"]
    body = [
        [
            escape(arm),
            f"{row.threshold:.2f}",
            f"{row.target_risk:.2f}",
            *map(share_cell, (row.coverage, row.risk, row.coverage_before, row.risk_before)),
            f"{row.aurc:.3f}",
            f"{row.ece:.3f}",
            str(row.case_count),
        ]
        for arm, row in found.items()
    ]
    return table(head, body)


def _general(report: Report) -> str:
    if not report.general:
        return "<p>Not measured.</p>"
    body = [
        [
            escape(arm),
            interval_cell(interval),
            difference_cell(report.general_differences[arm])
            if arm in report.general_differences
            else NOTHING,
        ]
        for arm, interval in report.general.items()
    ]
    return table(["arm", "right", f"{escape(report.reference)} against it"], body)
