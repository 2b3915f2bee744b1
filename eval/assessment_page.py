"""An assessment for people: an HTML page that needs nothing else, and plain text."""

from __future__ import annotations

import string
from html import escape
from importlib import resources
from typing import NamedTuple

from eval.advice import FINDS, KEEPS, KNOWS, LEAST_DOCUMENTS, LEAST_PAIRS, READS, Measured
from eval.assessment import Assessment, ShownQuestion
from eval.compare import Interval
from eval.report_plots import bar_plot


class Evidence(NamedTuple):
    """A line of the table: what was looked at, what came out, whether it is good enough, what that means."""

    name: str
    value: str
    is_good: bool | None
    meaning: str


def evidence(measured: Measured) -> tuple[Evidence, ...]:
    """Return the figures that the advice stands on."""
    rows = [
        Evidence(
            "knows without documents",
            _interval(measured.closed_book),
            measured.closed_book.mean >= KNOWS,
            f"from {KNOWS:.0%} up there is no knowledge barrier",
        ),
        Evidence(
            "answers with documents", _interval(measured.with_documents), None, "base model with search"
        ),
        Evidence("gain by documents", _difference(measured.gain), None, "paired by question"),
        Evidence(
            "right passage in the context",
            f"{measured.found:.0%}",
            measured.found >= FINDS,
            f"below {FINDS:.0%} search fails, which tuning does not mend",
        ),
        _share(
            "uses the passage it is given", measured.read, READS, "answer score where the passage was there"
        ),
        _share("cites it", measured.cited, KEEPS, "answers with a quote that stands where they say"),
        _share("keeps a form", measured.form, KEEPS, "answers that are the JSON object asked for"),
        _share("keeps the tone", measured.tone, KEEPS, "in the question's language, finished, nothing empty"),
        Evidence(
            "data to learn from",
            f"{measured.pair_count} pairs, {measured.document_count} documents",
            measured.has_enough_data,
            f"at least {LEAST_PAIRS} pairs and {LEAST_DOCUMENTS} documents",
        ),
    ]
    told = "not run; deskmate assess --pilot tunes on a tenth of the data"
    if measured.pilot is not None:
        told = _difference(measured.pilot)
    rows.append(Evidence("pilot", told, None, "RAG with a pilot adapter against RAG alone"))
    return tuple(rows)


def assessment_text(assessment: Assessment) -> str:
    """Return the recommendation and its evidence as plain text."""
    marks = {True: "ok  ", False: "weak", None: "    "}
    lines = [f"recommended: {assessment.advice.way}"]
    lines += [f"  - {reason}" for reason in assessment.advice.reasons]
    lines.append("")
    lines += [f"{marks[row.is_good]}  {row.name:30} {row.value}" for row in evidence(assessment.measured)]
    return "\n".join(lines)


def assessment_page(assessment: Assessment) -> str:
    """Return the page; the same assessment gives the same page."""
    template = resources.files("eval").joinpath("templates", "assess.html.txt").read_text("utf-8")
    measured = assessment.measured
    scores = {"base": measured.closed_book, "with RAG": measured.with_documents}
    return string.Template(template).substitute(
        collection=escape(assessment.about.get("collection", "")),
        about="".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in assessment.about.items()),
        way=escape(assessment.advice.way),
        reasons="".join(f"<li>{escape(reason)}</li>" for reason in assessment.advice.reasons),
        plot=bar_plot("Answer score of the base model without and with documents", scores),
        evidence=_evidence_table(measured),
        examples=_examples_table(assessment.examples),
    )


def _evidence_table(measured: Measured) -> str:
    told = {True: '<b class="good">good</b>', False: '<b class="weak">weak</b>', None: ""}
    rows = "".join(
        f"<tr><td>{escape(row.name)}</td><td>{escape(row.value)}</td><td>{told[row.is_good]}</td>"
        f"<td><small>{escape(row.meaning)}</small></td></tr>"
        for row in evidence(measured)
    )
    return f'<div class="wide"><table><tbody>{rows}</tbody></table></div>'


def _examples_table(examples: tuple[ShownQuestion, ...]) -> str:
    rows = "".join(
        f"<tr><td>{escape(row.question)}</td><td>{escape(row.expected)}</td>"
        f"<td><b>{row.scores[0]:.2f}</b> {escape(row.closed_book)}</td>"
        f"<td><b>{row.scores[1]:.2f}</b> {escape(row.with_documents)}</td></tr>"
        for row in examples
    )
    head = "<tr><th>question</th><th>expected</th><th>without documents</th><th>with documents</th></tr>"
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _share(name: str, value: float | None, least: float, meaning: str) -> Evidence:
    if value is None:
        return Evidence(name, "undefined", None, f"{meaning}: there was no such answer")
    return Evidence(name, f"{value:.0%}", value >= least, f"{meaning}; good from {least:.0%} up")


def _interval(interval: Interval) -> str:
    return f"{interval.mean:.2f} [{interval.low:.2f}, {interval.high:.2f}] of {interval.case_count}"


def _difference(interval: Interval) -> str:
    return f"{interval.mean:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"
