"""What stands in one shape of a slide: lines, list items, a table, a chart's figures, a diagram's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from assistant.core.records import ElementKind, Record
from indexing.parsing.tables import Grid, make_grid
from indexing.parsing.text_joining import join_wrapped_cjk

_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_RELATIONS = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_MOST_DEPTH = 20


class Block(Record, frozen=True, kw_only=True):
    """One block of a slide; a table has a grid and no text."""

    kind: ElementKind
    text: str = ""
    grid: Grid | None = None


def read_shape(shape: Any, depth: int = 0) -> Iterator[Block]:
    """Yield the blocks of a shape, those of grouped shapes one after the other."""
    if _is_furniture(shape) or depth > _MOST_DEPTH:
        return
    if hasattr(shape, "shapes"):
        for member in shape.shapes:
            yield from read_shape(member, depth + 1)
    elif getattr(shape, "has_table", False):
        yield Block(kind="table", grid=_table(shape.table))
    elif getattr(shape, "has_chart", False):
        yield from _chart(shape.chart)
    elif getattr(shape, "has_text_frame", False):
        yield from _paragraphs(shape)
    else:
        yield from _diagram(shape)


def _is_furniture(shape: Any) -> bool:
    from pptx.enum.shapes import PP_PLACEHOLDER

    if not shape.is_placeholder:
        return False
    return shape.placeholder_format.type in {
        PP_PLACEHOLDER.DATE, PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.HEADER, PP_PLACEHOLDER.SLIDE_NUMBER,
    }  # fmt: skip


def _paragraphs(shape: Any) -> Iterator[Block]:
    lines = [
        (paragraph, line) for paragraph in shape.text_frame.paragraphs if (line := _line(paragraph.text))
    ]
    is_body = shape.is_placeholder and _is_body(shape) and len(lines) > 1
    number = 0
    for paragraph, line in lines:
        mark = _mark(paragraph)
        number = number + 1 if mark == "buAutoNum" else 0
        is_item = mark in {"buChar", "buAutoNum", "buBlip"} or paragraph.level > 0 or (is_body and not mark)
        text = f"{number}. {line}" if number else line
        yield Block(kind="list_item" if is_item else "text", text=text)


def _is_body(shape: Any) -> bool:
    from pptx.enum.shapes import PP_PLACEHOLDER

    return shape.placeholder_format.type in {PP_PLACEHOLDER.BODY, PP_PLACEHOLDER.OBJECT}


def _mark(paragraph: Any) -> str:
    """Return which bullet a paragraph itself sets: ``buNone``, ``buChar``, … or nothing."""
    properties = paragraph._p.pPr  # noqa: SLF001 (bullets have no public way)
    marks = [] if properties is None else [str(node.tag).removeprefix(_DRAWING) for node in properties]
    return next((mark for mark in marks if mark in {"buNone", "buChar", "buAutoNum", "buBlip"}), "")


def _line(text: str) -> str:
    return " ".join(join_wrapped_cjk(text.replace("\v", "\n")).split())


def _table(table: Any) -> Grid:
    """Return a table with merged cells repeated."""
    cells = [[_line(cell.text) for cell in row.cells] for row in table.rows]
    for y, row in enumerate(table.rows):
        for x, cell in enumerate(row.cells):
            if cell.is_merge_origin:
                _spread(cells, y, x, cell.span_height, cell.span_width)
    return make_grid(cells, has_header="likely" if table.first_row else None)


def _spread(cells: list[list[str]], top: int, left: int, height: int, width: int) -> None:
    for row in cells[top : top + height]:
        row[left : left + width] = [cells[top][left]] * len(row[left : left + width])


def _chart(chart: Any) -> Iterator[Block]:
    """Yield a chart's title and its figures as a table."""
    caption = _line(chart.chart_title.text_frame.text) if chart.has_title else ""
    for plot in chart.plots:
        figures = [(series.name, list(series.values)) for series in plot.series]
        rows = [
            [str(category), *(_figure(values, place) for _, values in figures)]
            for place, category in enumerate(plot.categories)
        ]
        grid = make_grid([["", *(name for name, _ in figures)], *rows], has_header=True, caption=caption)
        if grid.header:
            yield Block(kind="table", grid=grid)


def _figure(values: Sequence[float | None], place: int) -> str:
    value = values[place] if place < len(values) else None
    return "" if value is None else f"{value:.10g}"


def _diagram(shape: Any) -> Iterator[Block]:
    """Yield the words of a diagram (SmartArt), each of its points an item."""
    from lxml import etree

    for link in shape.element.iter(f"{_DIAGRAM}relIds"):
        part = shape.part.related_part(link.get(f"{_RELATIONS}dm"))
        root = etree.fromstring(part.blob, etree.XMLParser(resolve_entities=False, no_network=True))
        for point in root.iter(f"{_DIAGRAM}pt"):
            if line := _line("".join(node.text or "" for node in point.iter(f"{_DRAWING}t"))):
                yield Block(kind="list_item", text=line)
