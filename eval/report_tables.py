"""Cells and tables of a report's page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from eval.case_metrics import METRICS
from eval.compare import Interval

NOTHING = "–"
# these are not shares of 1
PLAIN_NUMBERS = frozenset({"seconds", "completion_tokens", "prompt_tokens"})
_TITLES = {"f1": "F1", "rouge_l": "ROUGE-L", "squad_f1": "F1 as in SQuAD", "seconds": "seconds an answer"}


def table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are HTML already."""
    cells = "".join(f"<th>{cell}</th>" for cell in head)
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in body)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>'


def title_of(name: str) -> str:
    """Return a metric's name for a reader."""
    return _TITLES.get(name, name.replace("_", " ").replace(" f1", " F1"))


def explained(name: str) -> str:
    """Return a metric's title, with its meaning where the pointer rests on it."""
    metric = METRICS.get(name)
    meaning = f' title="{escape(metric.meaning)}"' if metric else ""
    return f"<span{meaning}>{escape(title_of(name))}</span>"


def interval_cell(interval: Interval | None) -> str:
    """Return a share with its interval."""
    if interval is None:
        return NOTHING
    return f"{interval.mean:.2f} <small>[{interval.low:.2f}, {interval.high:.2f}]</small>"


def difference_cell(interval: Interval | None) -> str:
    """Return a difference with signs, bold where it is clear."""
    if interval is None:
        return NOTHING
    text = f"{interval.mean:+.2f} <small>[{interval.low:+.2f}, {interval.high:+.2f}]</small>"
    return f"<b>{text}</b>" if interval.is_clear else text


def share_cell(value: float | None) -> str:
    """Return a share without an interval."""
    return NOTHING if value is None else f"{value:.2f}"
