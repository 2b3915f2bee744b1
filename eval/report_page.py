"""The HTML page of a report: one file, no script, nothing from outside."""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources

from assistant.core.records import Arm, Citation
from eval.compare import Interval
from eval.summary import ArmSummary, Difference, Report, ShownAnswer, ShownCase

_PLOT_LEFT, _PLOT_WIDTH, _ROW_HEIGHT = 90, 560, 40
_NOTHING = "–"


def render_page(report: Report) -> str:
    """Return the page; the same report gives the same page."""
    template = resources.files("eval").joinpath("templates", "report.html.txt").read_text("utf-8")
    return string.Template(template).substitute(
        about="".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in report.about.items()),
        plot=_plot(report.summaries),
        arms=_arms_table(report.summaries),
        differences=_differences_table(report.differences),
        languages=_groups_table(report, "by_language", "language"),
        kinds=_groups_table(report, "by_kind", "kind"),
        losses=_cases(report.losses, report.arms),
        wins=_cases(report.wins, report.arms),
        reference=escape(report.reference),
        loss_count=str(len(report.losses)),
        win_count=str(len(report.wins)),
    )


def _plot(rows: Sequence[ArmSummary]) -> str:
    bottom = len(rows) * _ROW_HEIGHT + 8
    parts = [
        f'<line class="grid" x1="{_x(tick)}" x2="{_x(tick)}" y1="4" y2="{bottom}"/>'
        f'<text x="{_x(tick)}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
        for tick in (0, 0.25, 0.5, 0.75, 1)
    ]
    parts += [_bar(place, row) for place, row in enumerate(rows)]
    return (
        f'<svg viewBox="0 0 {_PLOT_LEFT + _PLOT_WIDTH + 90} {bottom + 24}" role="img" '
        f'aria-label="Mean answer score by arm with 95 % intervals">{"".join(parts)}</svg>'
    )


def _bar(place: int, row: ArmSummary) -> str:
    score = row.score
    top = place * _ROW_HEIGHT + 10
    middle = top + 13
    length = _x(score.mean) - _PLOT_LEFT
    return (
        f'<text x="{_PLOT_LEFT - 8}" y="{middle + 5}" text-anchor="end">{escape(row.arm)}</text>'
        f'<rect class="bar" x="{_PLOT_LEFT}" y="{top}" width="{length:.1f}" height="26"/>'
        f'<path class="whisker" d="M{_x(score.low)} {middle}H{_x(score.high)}'
        f'M{_x(score.low)} {middle - 6}v12M{_x(score.high)} {middle - 6}v12"/>'
        f'<text x="{_PLOT_LEFT + _PLOT_WIDTH + 12}" y="{middle + 5}">{score.mean:.2f}</text>'
    )


def _x(value: float) -> float:
    return round(_PLOT_LEFT + _PLOT_WIDTH * min(1.0, max(0.0, value)), 1)


def _arms_table(rows: Sequence[ArmSummary]) -> str:
    head = ["arm", "answer score [95 %]", "answerable", "unanswerable", "abstained wrongly", "F1"]
    head += ["exact match", "citation recall", "citation precision", "quotes verbatim", "s/answer"]
    body = [
        [
            escape(row.arm),
            _interval(row.score),
            *map(_share, (row.answerable, row.unanswerable, row.abstained_wrongly, row.f1, row.exact_match)),
            *map(_share, (row.citation_recall, row.citation_precision, row.verbatim)),
            f"{row.seconds_per_answer:.1f}",
        ]
        for row in rows
    ]
    return _table(head, body)


def _differences_table(rows: Sequence[Difference]) -> str:
    if not rows:
        return "<p>One arm only.</p>"
    groups = sorted({name for row in rows for name in row.by_language})
    head = ["difference of mean scores", "all", *groups]
    body = [
        [
            f"{escape(row.reference)} − {escape(row.other)}",
            _difference(row.score),
            *(_difference(row.by_language[name]) if name in row.by_language else _NOTHING for name in groups),
        ]
        for row in rows
    ]
    return _table([escape(cell) for cell in head], body)


def _groups_table(report: Report, field: str, title: str) -> str:
    by_arm: dict[Arm, dict[str, Interval]] = {row.arm: getattr(row, field) for row in report.summaries}
    names = list(next(iter(by_arm.values())))
    body = [
        [
            escape(name),
            str(by_arm[report.arms[0]][name].case_count),
            *(_interval(by_arm[arm][name]) for arm in report.arms),
        ]
        for name in names
    ]
    return _table([title, "cases", *map(escape, report.arms)], body)


def _cases(cases: Sequence[ShownCase], arms: Sequence[Arm]) -> str:
    return "".join(_case(shown, arms) for shown in cases) or "<p>None.</p>"


def _case(shown: ShownCase, arms: Sequence[Arm]) -> str:
    case = shown.case
    expected = " · ".join(" / ".join(forms) for forms in case.key_facts) or " / ".join(case.answers)
    if not case.answerable:
        expected = "not in the documents"
    answers = "".join(_answer(arm, shown.answers[arm], case.lang) for arm in arms)
    return (
        f'<article><h3 lang="{case.lang}">{escape(case.question)}</h3>'
        f'<p class="meta">{escape(case.id)} · {case.lang} · {escape(case.kind)} · gap {shown.gap:+.2f}'
        f' · expected: <span lang="{case.lang}">{escape(expected)}</span></p>'
        f'<div class="answers">{answers}</div></article>'
    )


def _answer(arm: Arm, answer: ShownAnswer, language: str) -> str:
    mark = " · abstained" if answer.abstained else ""
    cited = "".join(_citation(citation, language) for citation in answer.citations)
    return (
        f"<section><h4>{escape(arm)} <b>{answer.score:.2f}</b>{mark}</h4>"
        f'<p lang="{language}">{escape(answer.text)}</p>{f"<ul>{cited}</ul>" if cited else ""}</section>'
    )


def _citation(citation: Citation, language: str) -> str:
    page = f", p. {citation.page}" if citation.page is not None else ""
    return (
        f"<li>[{citation.number}] {escape(citation.document)}, version {citation.version}{page}: "
        f'<q lang="{language}">{escape(citation.quote)}</q></li>'
    )


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<th>{cell}</th>" for cell in head)
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in body)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>'


def _interval(interval: Interval) -> str:
    return f"{interval.mean:.2f} <small>[{interval.low:.2f}, {interval.high:.2f}]</small>"


def _difference(interval: Interval) -> str:
    text = f"{interval.mean:+.2f} <small>[{interval.low:+.2f}, {interval.high:+.2f}]</small>"
    return f"<b>{text}</b>" if interval.is_clear else text


def _share(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.2f}"
