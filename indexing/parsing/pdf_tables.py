"""Tables of a PDF page, from the grid lines drawn on it.

The geometry is pdfplumber's; the strokes and characters come from PDFium, since pdfplumber's own
reading of a page takes ten times as long (0.2 s a page, measured on a manual of 251 pages).
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import msgspec

from indexing.parsing.pdf_grid import find_cells
from indexing.parsing.pdf_page import Page, could_hold_table
from indexing.parsing.pdf_text import Char, Line
from indexing.parsing.tables import Grid, make_grid
from indexing.parsing.text_joining import join_lines

_TOLERANCE = 3.0
_MOST_STROKES = 1500
_LEAST_FILLED = 0.35
_NEARLY_ALL = 0.75
_MOST_CELL_CHARACTERS = 900
_REPEATED_CHARACTERS = 400
_CAPTION = re.compile(r"(?:table|tab\.|表格?)\s*[\dA-Z]+(?:[.\-–][\dA-Z]+)*\s*[:：.]?", re.I)
_CAPTION_GAP = 30.0
_LETTER_GAP = 0.3
_FIRST_CJK = "\u2e80"

Box = tuple[float, float, float, float]


class PageTable(msgspec.Struct, kw_only=True):
    """One table.

    Attributes:
        grid: its cells.
        box: x0, bottom, x1, top.
        columns: left edges of its columns.
        line_places: places in the page's lines that it takes, its caption included.
    """

    grid: Grid
    box: Box
    columns: tuple[float, ...]
    line_places: set[int]


def find_tables(page: Page, *, is_spaced: bool) -> list[PageTable]:
    """Find the ruled tables of a page, top to bottom."""
    if not could_hold_table(page.edges):
        return []
    found = [
        table
        for cells in _cell_groups(page)
        if (table := _make_table(page, cells, is_spaced=is_spaced)) is not None
    ]
    return sorted(found, key=lambda table: -table.box[3])


def _cell_groups(page: Page) -> list[list[Box]]:
    """Return groups of touching cells as (x0, bottom, x1, top)."""
    from pdfplumber import table as geometry

    edges: list[dict[str, Any]] = []
    for x0, y0, x1, y1 in page.edges:
        is_across = y1 - y0 <= x1 - x0
        edges.append(
            {
                "x0": x0, "x1": x1, "top": page.height - y1, "bottom": page.height - y0,
                "width": x1 - x0, "height": y1 - y0, "orientation": "h" if is_across else "v",
            }
        )  # fmt: skip
    tolerances = (_TOLERANCE, _TOLERANCE, _TOLERANCE, _TOLERANCE)
    merged = geometry.merge_edges(edges, *tolerances)
    merged = geometry.merge_edges(merged + _outer_strokes(merged), *tolerances)
    if len(merged) > _MOST_STROKES:
        return []
    groups = geometry.cells_to_tables(find_cells(merged, _TOLERANCE))
    return [
        [(x0, page.height - low, x1, page.height - high) for x0, high, x1, low in group] for group in groups
    ]


def _outer_strokes(edges: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the left and right borders that many tables leave out: where the rows' rules end."""
    rules = [edge for edge in edges if edge["orientation"] == "h"]
    outer: list[dict[str, Any]] = []
    for stroke in edges:
        if stroke["orientation"] == "h":
            continue
        crossing = [
            rule for rule in rules
            if stroke["top"] - _TOLERANCE <= rule["top"] <= stroke["bottom"] + _TOLERANCE
            and rule["x0"] - _TOLERANCE <= stroke["x0"] <= rule["x1"] + _TOLERANCE
        ]  # fmt: skip
        if len(crossing) > 1:
            lefts, rights = ([rule[key] for rule in crossing] for key in ("x0", "x1"))
            ends = (_shared(lefts), -_shared([-x for x in rights]))
            outer.extend({**stroke, "x0": x, "x1": x} for x in ends)
    return outer


def _shared(ends: list[float]) -> float:
    """Return where the rules end: the median where nearly all end there, else the least.

    A table that runs on over the rule of the page's foot keeps its border; rules of a drawing share none.
    """
    middle = sorted(ends)[len(ends) // 2]
    near_count = sum(abs(end - middle) <= _TOLERANCE for end in ends)
    return middle if near_count >= _NEARLY_ALL * len(ends) else min(ends)


def _make_table(page: Page, cells: list[Box], *, is_spaced: bool) -> PageTable | None:
    lefts = _distinct([cell[0] for cell in cells])
    tops = _distinct([-cell[3] for cell in cells])
    if len(lefts) < 2 or len(tops) < 2:  # noqa: PLR2004
        return None
    texts, places = _fill_cells(page, cells, is_spaced=is_spaced)
    filled = [text for text in texts if text]
    if len(filled) < _LEAST_FILLED * len(cells) or max(map(len, texts)) > _MOST_CELL_CHARACTERS:
        return None
    rows = _rows(list(zip(cells, texts, strict=True)), lefts, tops)
    box = (
        min(cell[0] for cell in cells), min(cell[1] for cell in cells),
        max(cell[2] for cell in cells), max(cell[3] for cell in cells),
    )  # fmt: skip
    caption, caption_places = _caption(page.lines, box)
    grid = make_grid(rows, has_header=_has_bold_header(page, cells, tops), caption=caption)
    if max((len(row) for row in grid.rows), default=0) < 2:  # noqa: PLR2004
        return None
    return PageTable(grid=grid, box=box, columns=tuple(lefts), line_places=places | caption_places)


def _rows(cells: list[tuple[Box, str]], lefts: list[float], tops: list[float]) -> list[list[str]]:
    """Return the texts in rows and columns, that of a merged cell in all of its places.

    A longer text names no rows or columns and stands in the first place only.
    """
    rows = [[""] * len(lefts) for _ in tops]
    for (x0, bottom, x1, top), text in cells:
        left, high = _nearest(lefts, x0), _nearest(tops, -top)
        right = sum(x < x1 - _TOLERANCE for x in lefts) if len(text) <= _REPEATED_CHARACTERS else 0
        low = sum(y < -bottom - _TOLERANCE for y in tops) if len(text) <= _REPEATED_CHARACTERS else 0
        for row in rows[high : max(high + 1, low)]:
            for x in range(left, max(left + 1, right)):
                row[x] = row[x] or text
    return rows


def _distinct(values: list[float]) -> list[float]:
    found: list[float] = []
    for value in sorted(values):
        if not found or value - found[-1] > _TOLERANCE:
            found.append(value)
    return found


def _nearest(values: list[float], value: float) -> int:
    return min(range(len(values)), key=lambda place: abs(values[place] - value))


def _fill_cells(page: Page, cells: list[Box], *, is_spaced: bool) -> tuple[list[str], set[int]]:
    """Return each cell's text and the places of the lines that stand inside."""
    parts: list[dict[int, str]] = [defaultdict(str) for _ in cells]
    places: set[int] = set()
    last: Char | None = None
    place: int | None = None
    near: list[tuple[int, Box]] = []
    for char in page.chars:
        if last is None or last.line != char.line:
            near = _cells_beside(cells, page.lines[char.line])
        # A word that is too long for its cell runs on into the next and still belongs to the first.
        gap = _LETTER_GAP * page.lines[char.line].size
        is_inside = last is not None and last.line == char.line and abs(char.x0 - last.x1) < gap
        if place is None or not is_inside or char.follows_space or char.text > _FIRST_CJK:
            place = _cell_at(near, (char.x0 + char.x1) / 2, char.y)
        last = char
        if place is None:
            continue
        part = parts[place]
        part[char.line] += f" {char.text}" if char.follows_space and part[char.line] else char.text
        places.add(char.line)
    texts = []
    for part in parts:
        text = ""
        for line in part.values():
            text = join_lines(text, line, is_spaced=is_spaced)
        texts.append(text.replace("\u00ad", "-"))
    return texts, places


def _cells_beside(cells: list[Box], line: Line) -> list[tuple[int, Box]]:
    """Return the cells, with their places, that a line's characters could stand in."""
    return [(i, cell) for i, cell in enumerate(cells) if cell[1] <= line.top and line.bottom <= cell[3]]


def _cell_at(cells: list[tuple[int, Box]], x: float, y: float) -> int | None:
    for place, cell in cells:
        if cell[0] <= x <= cell[2] and cell[1] <= y <= cell[3]:
            return place
    return None


def _has_bold_header(page: Page, cells: list[Box], tops: list[float]) -> bool | None:
    """Return True where the first row is bold and the second is not; None where type does not tell."""

    def is_bold(top: float) -> bool | None:
        row = [cell for cell in cells if abs(-cell[3] - top) <= _TOLERANCE]
        lines = [
            line for line in page.lines
            if any(c[1] <= (line.top + line.bottom) / 2 <= c[3] and c[0] - 1 <= line.x0 <= c[2] for c in row)
        ]  # fmt: skip
        return all(line.is_bold for line in lines) if lines else None

    first, second = is_bold(tops[0]), is_bold(tops[1])
    return True if first and second is False else None


def _caption(lines: list[Line], box: Box) -> tuple[str, set[int]]:
    """Return the caption right above or below a table and the places of its lines."""
    for place, line in enumerate(lines):
        above = 0 <= line.bottom - box[3] <= _CAPTION_GAP
        below = 0 <= box[1] - line.top <= _CAPTION_GAP
        if (above or below) and _CAPTION.match(line.text):
            return line.text, {place}
    return "", set()
