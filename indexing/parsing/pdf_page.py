"""One PDF page as PDFium sees it: lines of text with their type, and the grid lines drawn on it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from indexing.parsing.pdf_text import Char, Line, TextReader


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a page's plane that is shown, and how it is turned.

    Attributes:
        left: edge in points.
        bottom: edge.
        right: edge.
        top: edge.
        degrees: it is shown turned by, clockwise: 0, 90, 180 or 270.
    """

    left: float
    bottom: float
    right: float
    top: float
    degrees: int = 0


class Page(msgspec.Struct, kw_only=True):
    """What is read of one page.

    Attributes:
        number: from 1.
        width: in points.
        height: in points.
        lines: lines in the order of the page's content.
        chars: characters that are no white space, of lines that could stand in a table.
        edges: horizontal and vertical strokes as (x0, y0, x1, y1).
        has_images: pictures stand on it.
        unmapped_count: characters of which the file does not say what they are.
        frame: what is shown of the plane on which its lines stand; None where that is not known.
    """

    number: int
    width: float
    height: float
    lines: list[Line]
    chars: list[Char]
    edges: list[tuple[float, float, float, float]]
    has_images: bool
    unmapped_count: int = 0
    frame: Frame | None = None


def read_page(document: Any, number: int) -> Page:
    """Read page ``number`` (from 1) of a PDFium document."""
    page = document[number - 1]
    try:
        edges, has_images = _read_objects(page)
        text = page.get_textpage()
        try:
            reader = TextReader(text, number, _table_spans(edges))
            reader.read()
        finally:
            text.close()
        width, height = page.get_size()
        left, bottom, right, top = page.get_bbox()
        frame = Frame(left=left, bottom=bottom, right=right, top=top, degrees=page.get_rotation())
    finally:
        page.close()
    return Page(
        number=number,
        width=width,
        height=height,
        lines=reader.lines,
        chars=reader.chars,
        edges=edges,
        has_images=has_images,
        unmapped_count=reader.unmapped_count,
        frame=frame,
    )


def could_hold_table(edges: list[tuple[float, float, float, float]]) -> bool:
    """Return whether there are rules for two rows and two columns, and fewer strokes than a drawing has."""
    if len(edges) >= MOST_EDGES:
        return False
    across = [edge for edge in edges if edge[3] - edge[1] <= edge[2] - edge[0]]
    if len(across) < _LEAST_BORDERS or len(edges) - len(across) < _LEAST_UP:
        return False
    return all(
        _count_apart(values) >= _LEAST_BORDERS
        for values in ([x for edge in edges for x in (edge[0], edge[2])], [edge[1] for edge in across])
    )


def _count_apart(values: list[float]) -> int:
    """Return how many values there are, those that nearly meet counted once."""
    count, last = 0, float("-inf")
    for value in sorted(values):
        if value - last > _NEARLY:
            count, last = count + 1, value
    return count


def _table_spans(edges: list[tuple[float, float, float, float]]) -> list[tuple[float, float]]:
    """Return the heights between which tables may stand: a table has strokes that part its columns."""
    if not could_hold_table(edges):
        return []
    spans: list[tuple[float, float]] = []
    for y0, y1 in sorted((y0, y1) for x0, y0, x1, y1 in edges if y1 - y0 > x1 - x0):
        if spans and y0 - _SPAN_MARGIN <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], y1 + _SPAN_MARGIN)
        else:
            spans.append((y0 - _SPAN_MARGIN, y1 + _SPAN_MARGIN))
    return spans


def _read_objects(page: Any) -> tuple[list[tuple[float, float, float, float]], bool]:
    import pypdfium2.raw as pdfium

    edges: list[tuple[float, float, float, float]] = []
    has_images = False
    for item in _objects(page.raw, pdfium.FPDFPage_CountObjects, pdfium.FPDFPage_GetObject):
        kind = pdfium.FPDFPageObj_GetType(item)
        if kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            has_images = True
        elif kind == pdfium.FPDF_PAGEOBJ_PATH and len(edges) < MOST_EDGES:
            edges.extend(_edges_of(item))
    return edges[:MOST_EDGES], has_images


def _objects(
    holder: Any, count: Callable[[Any], int], get: Callable[[Any, int], Any], level: int = 0
) -> Iterator[Any]:
    """Yield the objects of a page or a form, those of forms in it too."""
    import pypdfium2.raw as pdfium

    for index in range(count(holder)):
        item = get(holder, index)
        yield item
        if level < _DEEPEST_FORM and pdfium.FPDFPageObj_GetType(item) == pdfium.FPDF_PAGEOBJ_FORM:
            yield from _objects(
                item, pdfium.FPDFFormObj_CountObjects, pdfium.FPDFFormObj_GetObject, level + 1
            )


_DEEPEST_FORM = 2
# A drawing of more strokes than any table has is a figure.
MOST_EDGES = 4000
_MOST_SEGMENTS = 2000
# Borders of two rows or two columns.
_LEAST_BORDERS = 3
_NEARLY = 3.0
# The outer borders may be left out; then one stroke parts two columns.
_LEAST_UP = 1
# Strokes that nearly meet count as meeting.
_SPAN_MARGIN = 6.0
_STRAIGHT = 1.0
_SHORTEST = 3.0


def _edges_of(path: Any) -> Iterator[tuple[float, float, float, float]]:
    """Yield a path's horizontal and vertical strokes; a thin filled box counts as the stroke it draws."""
    import pypdfium2.raw as pdfium

    count = pdfium.FPDFPath_CountSegments(path)
    if not 0 < count <= _MOST_SEGMENTS:
        return
    matrix = pdfium.FS_MATRIX()
    pdfium.FPDFPageObj_GetMatrix(path, matrix)
    a, b, c, d, e, f = (getattr(matrix, name) for name in "abcdef")
    x, y = ctypes.c_float(), ctypes.c_float()
    start = point = (0.0, 0.0)
    strokes: list[tuple[float, float, float, float]] = []
    for index in range(count):
        segment = pdfium.FPDFPath_GetPathSegment(path, index)
        kind = pdfium.FPDFPathSegment_GetType(segment)
        pdfium.FPDFPathSegment_GetPoint(segment, x, y)
        last, point = point, (a * x.value + c * y.value + e, b * x.value + d * y.value + f)
        if kind == pdfium.FPDF_SEGMENT_LINETO and index:
            strokes.append((*last, *point))
        elif kind == pdfium.FPDF_SEGMENT_MOVETO:
            start = point
        if pdfium.FPDFPathSegment_GetClose(segment):
            strokes.append((*point, *start))
    for x0, y0, x1, y1 in strokes:
        across, up = abs(x1 - x0), abs(y1 - y0)
        if (up <= _STRAIGHT and across >= _SHORTEST) or (across <= _STRAIGHT and up >= _SHORTEST):
            yield min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
