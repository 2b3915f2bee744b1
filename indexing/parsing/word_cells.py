"""Merged cells, formulas and raised figures of a Word document, written out before it is partitioned."""

from __future__ import annotations

from typing import Any

from indexing.parsing.text_joining import raise_figures

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_MOST_COLUMNS = 63  # that Word allows
# Longer text names no rows; it stands in the first of them only.
_REPEATED_CHARACTERS = 400


def split_merged(body: Any) -> None:
    """Give each place of a table a cell of its own, merged ones repeated in all of theirs."""
    for table in list(body.iter(f"{_WORD}tbl")):
        above: dict[int, str] = {}
        for row in table.iterchildren(f"{_WORD}tr"):
            above = _split_row(row, above)


def _split_row(row: Any, above: dict[int, str]) -> dict[int, str]:
    """Split one row's cells; return column → text for those that go on below."""
    below: dict[int, str] = {}
    column = 0
    for _ in range(_number(row, "trPr", "gridBefore", 0)):
        row.insert(0 if row.find(f"{_WORD}trPr") is None else 1, _cell(""))
    for cell in list(row.iterchildren(f"{_WORD}tc")):
        span = _number(cell, "tcPr", "gridSpan", 1)
        merged = cell.find(f"{_WORD}tcPr/{_WORD}vMerge")
        goes_on = merged is not None and merged.get(f"{_WORD}val") != "restart"
        text = above.get(column, "") if goes_on else _text(cell)
        text = text if len(text) <= _REPEATED_CHARACTERS else ""
        if goes_on:
            row.replace(cell, fresh := _cell(text))
            cell = fresh  # noqa: PLW2901 - what stands there now
        _forget(cell)
        for _ in range(span - 1):
            cell.addnext(_cell(text))
        below.update(dict.fromkeys(range(column, column + span), text) if merged is not None else {})
        column += span
    return below


def _number(node: Any, properties: str, name: str, default: int) -> int:
    mark = node.find(f"{_WORD}{properties}/{_WORD}{name}")
    value = "" if mark is None else str(mark.get(f"{_WORD}val"))
    return min(int(value), _MOST_COLUMNS) if value.isdigit() else default


def _forget(cell: Any) -> None:
    properties = cell.find(f"{_WORD}tcPr")
    for name in ("gridSpan", "vMerge"):
        for mark in [] if properties is None else list(properties.iterchildren(f"{_WORD}{name}")):
            properties.remove(mark)


def _text(cell: Any) -> str:
    lines = ("".join(node.text or "" for node in line.iter(f"{_WORD}t")) for line in cell.iter(f"{_WORD}p"))
    return " ".join(" ".join(lines).split())


def _cell(text: str) -> Any:
    from docx.oxml import OxmlElement

    cell, paragraph = OxmlElement("w:tc"), OxmlElement("w:p")
    paragraph.append(_run(text))
    cell.append(paragraph)
    return cell


def _run(text: str) -> Any:
    from docx.oxml import OxmlElement

    run, words = OxmlElement("w:r"), OxmlElement("w:t")
    words.text = text
    words.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")
    run.append(words)
    return run


def write_figures(body: Any) -> None:
    """Write formulas as their characters, and "10" with a raised "6" as 10⁶ rather than 106."""
    for formula in list(body.iter(f"{_MATH}oMath")):
        text = "".join(node.text or "" for node in formula.iter(f"{_MATH}t"))
        host = formula.getparent()
        if host.tag == f"{_MATH}oMathPara":
            formula, host = host, host.getparent()  # noqa: PLW2901 - the formula with its frame
        if host is not None:
            formula.addnext(_run(text))
            host.remove(formula)
    for mark in body.iter(f"{_WORD}vertAlign"):
        run = mark.getparent().getparent()
        if mark.get(f"{_WORD}val") == "superscript" and run is not None:
            for words in run.iterchildren(f"{_WORD}t"):
                words.text = raise_figures(words.text or "")
