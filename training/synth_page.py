"""The page about a dataset: one HTML file, no script, nothing from outside."""

from __future__ import annotations

import random
import string
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from itertools import groupby

from assistant.core.records import Example, Message
from training.dataset import Coverage, DatasetManifest
from training.filtering import KEPT, MADE, Rejected

ROWS_SHOWN = 50
REJECTS_SHOWN = 5
_SHOWN_CHARACTERS = 600
_SEED = 1


def render_page(manifest: DatasetManifest, examples: Sequence[Example], rejects: Sequence[Rejected]) -> str:
    """Return the page; the same dataset gives the same page.

    Args:
        manifest: of the dataset.
        examples: its rows; 50 of them are shown, drawn by a fixed seed.
        rejects: kept with it; five of each reason are shown.
    """
    template = resources.files("training").joinpath("templates", "synth_page.html.txt").read_text("utf-8")
    shown = random.Random(_SEED).sample(list(examples), min(ROWS_SHOWN, len(examples)))
    return string.Template(template).substitute(
        about=_about(manifest),
        coverage=_coverage(manifest.coverage),
        counts=_counts(manifest, examples),
        filters=_filters(manifest.filters),
        rejects=_rejects(rejects),
        notes="".join(f"<li>{escape(note)}</li>" for note in manifest.notes) or "<li>none</li>",
        row_count=str(len(shown)),
        rows="".join(_row(number, example) for number, example in enumerate(shown, 1)),
    )


def _about(manifest: DatasetManifest) -> str:
    values = {
        "dataset": manifest.id,
        "collection": manifest.collection,
        "snapshot": manifest.snapshot,
        "rows": str(manifest.example_count),
        "documents": str(len(manifest.documents)),
    }
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in values.items())


def _coverage(coverage: Coverage) -> str:
    rows = [("chunks", coverage.chunks), ("codes", coverage.codes), ("tables", coverage.tables)]
    body = [
        [name, str(some), str(whole), f"{some / whole:.0%}" if whole else "–"] for name, (some, whole) in rows
    ]
    return _table(["of the corpus", "with an example", "all", "share"], body)


def _counts(manifest: DatasetManifest, examples: Sequence[Example]) -> str:
    tables = []
    for title, counts in (
        ("recipe", manifest.recipes),
        ("language", manifest.languages),
        ("split", manifest.splits),
        ("teacher", manifest.teachers),
        ("document", _documents(examples)),
    ):
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        tables.append(_table([title, "rows"], [[escape(name), str(count)] for name, count in ordered]))
    return "".join(tables)


def _documents(examples: Sequence[Example]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for example in examples:
        for name in example.documents or ("(none)",):
            counts[name] = counts.get(name, 0) + 1
    return counts


def _filters(filters: Mapping[str, Mapping[str, int]]) -> str:
    reasons = sorted({name for counts in filters.values() for name in counts} - {MADE, KEPT})
    head = ["recipe", "made", "kept", *map(escape, reasons)]
    body = [_filter_row(escape(name), counts, reasons) for name, counts in sorted(filters.items())]
    whole: dict[str, int] = {}
    for counts in filters.values():
        for name, count in counts.items():
            whole[name] = whole.get(name, 0) + count
    return _table(head, [*body, _filter_row("<b>all</b>", whole, reasons)])


def _filter_row(name: str, counts: Mapping[str, int], reasons: Sequence[str]) -> list[str]:
    return [name, *(str(counts.get(column, 0) or "") for column in (MADE, KEPT, *reasons))]


def _rejects(rejects: Sequence[Rejected]) -> str:
    ordered = sorted(rejects, key=lambda row: row.reason)
    parts = []
    for reason, rows in groupby(ordered, key=lambda row: row.reason):
        items = "".join(_rejected(row) for row in list(rows)[:REJECTS_SHOWN])
        parts.append(f"<h3>{escape(reason)}</h3><ul>{items}</ul>")
    return "".join(parts) or "<p>None.</p>"


def _rejected(row: Rejected) -> str:
    detail = f" <small>{escape(row.detail)}</small>" if row.detail else ""
    return (
        f"<li><q>{_short(row.question)}</q> → <q>{_short(row.answer)}</q>{detail} "
        f"<small>{escape(row.recipe)} · {escape(row.document)} · {escape(row.teacher)}</small></li>"
    )


def _short(text: str) -> str:
    return escape(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


def _row(number: int, example: Example) -> str:
    scores = ", ".join(f"{name} {value:g}" for name, value in example.scores.items())
    facts = [example.recipe, example.language, example.split, example.teacher, *example.documents, scores]
    turns = "".join(_turn(turn) for turn in example.messages)
    return (
        f"<article><h3>{number}. {escape(example.messages[-2].content[:120])}</h3>"
        f'<p class="meta">{escape(" · ".join(fact for fact in facts if fact))} · {example.id}</p>'
        f'<div lang="{example.language}">{turns}</div></article>'
    )


def _turn(turn: Message) -> str:
    text = escape(turn.content)
    if turn.role == "system":
        return f"<details><summary>instructions and context</summary><pre>{text}</pre></details>"
    return f'<p class="{turn.role}">{text}</p>'


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<th>{cell}</th>" for cell in head)
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in body)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>'
