"""One PDF page as PDFium sees it: lines of text with their type, and the grid lines drawn on it."""

from __future__ import annotations

import ctypes
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

_BOLD_NAME = re.compile(r"bold|black|heavy|semibold|demi|(?:^|[-,])b(?:d|x)?$", re.I)
_MONO_NAME = re.compile(r"mono|courier|consol|menlo|typewriter|cmtt|lmtt|txtt", re.I)
_FIXED_PITCH, _FORCE_BOLD = 1, 1 << 18
_BOLD_WEIGHT = 600
_HYPHENS = {0x02, 0xFFFE}
_LINE_ENDS = {0x0A, 0x0D}
# Ligatures and Kangxi radicals stand for ordinary characters that people search for.
_COMPATIBLE = re.compile(r"[ﬀ-ﬆ⺀-⿟]")
_FONT_NAME_BYTES = 128
# Stands at the end of a line whose last word goes on in the next.
SOFT_HYPHEN = "\u00ad"
LABEL_CHARACTERS = 20
# A label stands so many times the height of a letter to the left of its text.
_LABEL_GAP = 2.0
_HAN_LABEL_GAP = 0.9


class Char(msgspec.Struct, frozen=True, gc=False):
    """One character: its left and right edge and middle height in points, its line's place."""

    text: str
    x0: float
    x1: float
    y: float
    line: int
    follows_space: bool


class Box(NamedTuple):
    """Place of one character in the page's text, and its box in points."""

    place: int
    x0: float
    x1: float
    bottom: float
    top: float


class Line(msgspec.Struct, kw_only=True):
    """One line of text.

    Attributes:
        text: its text.
        x0: left edge in points.
        x1: right edge.
        bottom: lower edge, from the page's lower border.
        top: upper edge.
        size: font size in points.
        is_bold: all of it is bold.
        is_mono: all of it is of one pitch, as code is set.
        page: page number from 1.
        confidence: of text recognition, from 0 to 1; None where it stands in the file as text.
    """

    text: str
    x0: float
    x1: float
    bottom: float
    top: float
    size: float
    is_bold: bool
    is_mono: bool
    page: int
    confidence: float | None = None


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
        chars: all characters that are no white space, on a page that could hold a table.
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
        text = page.get_textpage()
        try:
            lines, chars, unmapped_count = _read_lines(text, number)
        finally:
            text.close()
        edges, has_images = _read_objects(page)
        width, height = page.get_size()
        left, bottom, right, top = page.get_bbox()
        frame = Frame(left=left, bottom=bottom, right=right, top=top, degrees=page.get_rotation())
    finally:
        page.close()
    if not could_hold_table(edges):
        chars = []  # a page holds thousands, and only tables are filled from them
    return Page(
        number=number,
        width=width,
        height=height,
        lines=lines,
        chars=chars,
        edges=edges,
        has_images=has_images,
        unmapped_count=unmapped_count,
        frame=frame,
    )


def could_hold_table(edges: list[tuple[float, float, float, float]]) -> bool:
    """Return whether there are rules for two rows and two columns, and fewer than a drawing has."""
    across = sum(y1 - y0 <= x1 - x0 for x0, y0, x1, y1 in edges)
    return across >= _LEAST_ACROSS and len(edges) - across >= _LEAST_UP and len(edges) < MOST_EDGES


def _read_lines(text: Any, number: int) -> tuple[list[Line], list[Char], int]:
    import pypdfium2.raw as pdfium

    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    lines: list[Line] = []
    chars: list[Char] = []
    letters: list[str] = []
    boxes: list[Box] = []
    unmapped_count = 0

    def end_line() -> None:
        if boxes:
            lines.append(_make_line(text, "".join(letters), boxes, number))
        letters.clear()
        boxes.clear()

    for index in range(text.count_chars()):
        code = pdfium.FPDFText_GetUnicode(text, index)
        letter = SOFT_HYPHEN if code in _HYPHENS else _letter(code)
        unmapped_count += not code
        if code in _LINE_ENDS:
            end_line()
        elif not letter or letter.isspace():
            letters.append(letter)
        else:
            pdfium.FPDFText_GetCharBox(text, index, left, right, bottom, top)
            box = Box(index, left.value, right.value, bottom.value, top.value)
            if boxes and _is_label_gap("".join(letters), boxes[-1], box):
                end_line()
            follows_space = not letters or letters[-1].isspace()
            chars.append(Char(letter, box.x0, box.x1, (box.bottom + box.top) / 2, len(lines), follows_space))
            letters.append(letter)
            boxes.append(box)
            if letter == SOFT_HYPHEN:  # PDFium joins the lines of a word that it finds hyphenated
                end_line()
    end_line()
    return lines, chars, unmapped_count


def _is_label_gap(before: str, last: Box, box: Box) -> bool:
    """Return whether a gap parts a short label from the text to its right."""
    height = max(last.top - last.bottom, box.top - box.bottom)
    label = before.strip()
    if not 1 < len(label) <= LABEL_CHARACTERS or not label[-1].isalpha():
        return False
    return box.x0 - last.x1 > (_HAN_LABEL_GAP if label[-1] > "\u2e80" else _LABEL_GAP) * height


def _letter(code: int) -> str:
    letter = chr(code) if code else ""
    if _COMPATIBLE.match(letter):
        return unicodedata.normalize("NFKC", letter)
    return "" if unicodedata.category(letter or " ") == "Cc" and letter != "\t" else letter


def _make_line(text: Any, letters: str, boxes: list[Box], number: int) -> Line:
    sample = {boxes[which].place for which in (0, len(boxes) // 3, len(boxes) * 2 // 3, -1)}
    types = [_type(text, index) for index in sorted(sample)]
    return Line(
        text=" ".join(letters.split()),
        x0=min(box.x0 for box in boxes),
        x1=max(box.x1 for box in boxes),
        bottom=min(box.bottom for box in boxes),
        top=max(box.top for box in boxes),
        size=round(sorted(size for size, _, _ in types)[len(types) // 2] * 2) / 2,
        is_bold=all(is_bold for _, is_bold, _ in types),
        is_mono=all(is_mono for _, _, is_mono in types),
        page=number,
    )


def _type(text: Any, index: int) -> tuple[float, bool, bool]:
    """Return a character's size in points, whether it is bold, whether its font has one pitch."""
    import pypdfium2.raw as pdfium

    matrix = pdfium.FS_MATRIX()
    scale = 1.0
    if pdfium.FPDFText_GetMatrix(text, index, matrix):
        scale = (matrix.c**2 + matrix.d**2) ** 0.5 or 1.0
    size = float(pdfium.FPDFText_GetFontSize(text, index)) * scale
    buffer, flags = ctypes.create_string_buffer(_FONT_NAME_BYTES), ctypes.c_int()
    pdfium.FPDFText_GetFontInfo(text, index, buffer, _FONT_NAME_BYTES, flags)
    name = buffer.value.decode("utf-8", "replace")
    is_bold = (
        pdfium.FPDFText_GetFontWeight(text, index) >= _BOLD_WEIGHT
        or bool(flags.value & _FORCE_BOLD)
        or bool(_BOLD_NAME.search(name))
    )
    return size, is_bold, bool(flags.value & _FIXED_PITCH) or bool(_MONO_NAME.search(name))


def _read_objects(page: Any) -> tuple[list[tuple[float, float, float, float]], bool]:
    import pypdfium2.raw as pdfium

    edges: list[tuple[float, float, float, float]] = []
    has_images = False
    for item in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3):
        if item.type == pdfium.FPDF_PAGEOBJ_IMAGE:
            has_images = True
        elif len(edges) < MOST_EDGES:
            edges.extend(_edges_of(item))
    return edges[:MOST_EDGES], has_images


# A drawing of more strokes than any table has is a figure.
MOST_EDGES = 4000
_MOST_SEGMENTS = 2000
_LEAST_ACROSS = 3
# The outer borders may be left out; then one stroke parts two columns.
_LEAST_UP = 1
_STRAIGHT = 1.0
_SHORTEST = 3.0


def _edges_of(path: Any) -> Iterator[tuple[float, float, float, float]]:
    """Yield a path's horizontal and vertical strokes; a thin filled box counts as the stroke it draws."""
    import pypdfium2.raw as pdfium

    count = pdfium.FPDFPath_CountSegments(path)
    if not 0 < count <= _MOST_SEGMENTS:
        return
    matrix = path.get_matrix()
    x, y = ctypes.c_float(), ctypes.c_float()
    points: list[tuple[float, float]] = []
    start = (0.0, 0.0)
    strokes: list[tuple[float, float, float, float]] = []
    for index in range(count):
        segment = pdfium.FPDFPath_GetPathSegment(path, index)
        kind = pdfium.FPDFPathSegment_GetType(segment)
        pdfium.FPDFPathSegment_GetPoint(segment, x, y)
        point = matrix.on_point(x.value, y.value)
        if kind == pdfium.FPDF_SEGMENT_LINETO and points:
            strokes.append((*points[-1], *point))
        elif kind == pdfium.FPDF_SEGMENT_MOVETO:
            start = point
        points.append(point)
        if pdfium.FPDFPathSegment_GetClose(segment):
            strokes.append((*point, *start))
    for x0, y0, x1, y1 in strokes:
        across, up = abs(x1 - x0), abs(y1 - y0)
        if (up <= _STRAIGHT and across >= _SHORTEST) or (across <= _STRAIGHT and up >= _SHORTEST):
            yield min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
