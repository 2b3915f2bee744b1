"""Reports: ``report.json``, a ``report.html`` that needs nothing else, and a table for the terminal."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from assistant.core.jsonl import write_json
from eval.compare import Interval
from eval.gate import Verdict
from eval.latency import Latency
from eval.report_page import render_page
from eval.retrieval import RetrievalScores
from eval.summary import ArmSummary, Difference, Report

JSON_FILE = "report.json"
PAGE_FILE = "report.html"
GATE_FILE = "gate.json"
NOTHING = "–"
# of a difference, beside the answer score
_TOLD = ("citation_recall", "abstention_f1")


def write_report(report: Report, folder: Path, verdict: Verdict | None = None) -> tuple[Path, Path]:
    """Write ``report.json`` and ``report.html`` into a folder, and the gate's verdict where there is one.

    Each appears whole or not at all.

    Returns:
        The paths of the first two.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / JSON_FILE, report)
    if verdict is None:
        (folder / GATE_FILE).unlink(missing_ok=True)
    else:
        write_json(folder / GATE_FILE, verdict)
    write_page(folder / PAGE_FILE, render_page(report, verdict))
    return folder / JSON_FILE, folder / PAGE_FILE


def write_page(path: Path, text: str) -> None:
    """Write a page that appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary.write_text(text, "utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def terminal_table(report: Report) -> str:
    """Return the arms' table and the differences as plain text."""
    languages = sorted({name for row in report.summaries for name in row.by_language})
    head = ["arm", "answer score [95 % CI]", "answerable", "unanswerable", "citation recall"]
    head += ["citation precision", *languages, "s/answer"]
    rows = [_arm_row(row, languages) for row in report.summaries]
    lines = [_aligned([head, *rows])]
    if report.differences:
        lines.append("")
    lines += [_difference_line(row) for row in report.differences]
    lines += [_latency_line(arm, row) for arm, row in report.latency.items()]
    return "\n".join(lines)


def _difference_line(row: Difference) -> str:
    """Return the difference of the score, and of what the gate looks at beside it."""
    found = {"": row.score, **{name: row.metrics[name] for name in _TOLD if name in row.metrics}}
    told = [
        f"{_named(name)} {format_difference(interval)}".lstrip()
        + ("" if interval.is_clear else " (not clear)")
        for name, interval in found.items()
    ]
    return f"{row.reference} − {row.other}: {'; '.join(told)}"


def _latency_line(arm: str, row: Latency) -> str:
    """Return how long one person waits in an arm."""
    told = f"{arm} one at a time: {row.total.p50:.1f} s at p50, {row.total.p95:.1f} s at p95"
    if row.first_token is None:
        return told
    return f"{told}; first text {row.first_token.p50:.1f} and {row.first_token.p95:.1f} s"


def _named(metric: str) -> str:
    return metric.replace("_", " ").replace(" f1", " F1")


def retrieval_table(scores: Mapping[str, RetrievalScores]) -> str:
    """Return the retrieval scores by language as plain text."""
    head = ["language", "questions", "hit@1", "hit@5", "hit@10", "recall@5", "MRR@10", "nDCG@10"]
    head.append("context@1k")
    rows = [
        [
            name,
            str(row.case_count),
            *(
                f"{value:.3f}"
                for value in (
                    row.hit_at_1,
                    row.hit_at_5,
                    row.hit_at_10,
                    row.recall_at_5,
                    row.mrr_at_10,
                    row.ndcg_at_10,
                )
            ),
            NOTHING if row.context_at_1k is None else f"{row.context_at_1k:.3f}",
        ]
        for name, row in scores.items()
    ]
    return _aligned([head, *rows])


def format_difference(interval: Interval) -> str:
    """Return a difference with signs, such as ``+0.12 [+0.03, +0.21]``."""
    return f"{_signed(interval.mean)} [{_signed(interval.low)}, {_signed(interval.high)}]"


def _arm_row(row: ArmSummary, languages: Sequence[str]) -> list[str]:
    score = f"{row.score.mean:.2f} [{row.score.low:.2f}, {row.score.high:.2f}]"
    shares = [row.answerable, row.unanswerable, row.citation_recall, row.citation_precision]
    shares += [row.by_language[name].mean if name in row.by_language else None for name in languages]
    return [row.arm, score, *map(_share, shares), f"{row.seconds_per_answer:.1f}"]


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return "+0.00" if text == "-0.00" else text.replace("-", "−")


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    rule = "  ".join("─" * width for width in widths)
    lines = []
    for row in rows:
        first, *rest = ((cell, " " * (width - _width(cell))) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([first[0] + first[1], *(space + cell for cell, space in rest)]).rstrip())
    return "\n".join([lines[0], rule, *lines[1:]])


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
