"""Tables: from cells to lines that each explain themselves."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

from assistant.core.records import Record
from indexing.parsing.text_joining import join_wrapped_cjk

_SPACE = re.compile(r"\s+")
_HEADER_CHARACTERS = 60
_VALUE = re.compile(r"[-+±≤≥<>~≈$€¥£]?\s*\d[\d.,:/\s-]*\s*\S{0,4}\Z")
_DIGIT = re.compile(r"\d")
_MOSTLY = 0.6
_WORDS = re.compile(r"[a-z]+|[一-鿿]{2,}")
_USUAL_NAMES = {
    "name", "code", "description", "meaning", "type", "value", "unit", "model", "part",
    "number", "item", "function", "setting", "default", "option", "parameter", "property",
    "cause", "remedy", "solution", "action", "note", "notes", "remark", "remarks", "price",
    "quantity", "size", "version", "date", "status", "symbol", "button", "command", "example",
    "field", "column", "key", "mode", "package", "名称", "代码", "说明", "描述", "含义", "类型", "数值",
    "单位", "型号", "机型", "编号", "项目",
    "功能", "设置", "默认值", "选项", "参数", "属性", "原因", "措施",
    "处理",
    "解决方法", "备注",
    "注释", "价格", "数量", "大小", "版本", "日期", "状态", "图标", "按键", "命令", "示例",
    "字段", "模式",
    "作用", "软件包", "故障",
}  # fmt: skip
_SENTENCE_END = re.compile(r"[.。！!？?；;]\Z")


class Grid(Record, frozen=True, kw_only=True):
    """A table's cells.

    Attributes:
        rows: rows below the header; all of one length.
        header: names of the columns, None where the table has none.
        caption: what stands over or under it.
    """

    rows: tuple[tuple[str, ...], ...]
    header: tuple[str, ...] | None = None
    caption: str = ""


def make_grid(rows: Sequence[Sequence[str]], *, has_header: bool | None = None, caption: str = "") -> Grid:
    """Make a grid of rows of any length.

    Args:
        rows: cells; white space inside is joined.
        has_header: whether the first row names the columns; None lets the cells decide.
        caption: what stands over the table.
    """
    clean = [tuple(_SPACE.sub(" ", join_wrapped_cjk(cell)).strip() for cell in row) for row in rows]
    clean = [row for row in clean if any(row)]
    width = max((len(row) for row in clean), default=0)
    clean = [row + ("",) * (width - len(row)) for row in clean]
    used = [place for place in range(width) if any(row[place] for row in clean)]
    clean = [tuple(row[place] for place in used) for row in clean]
    if has_header is None:
        has_header = could_name_columns(clean) and stands_out(clean)
    if has_header and len(clean) > 1:
        return Grid(rows=tuple(clean[1:]), header=clean[0], caption=caption.strip())
    return Grid(rows=tuple(clean), caption=caption.strip())


def could_name_columns(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row can be names of columns: short, distinct, no values or sentences."""
    if len(rows) < 2 or len(rows[0]) < 2:  # noqa: PLR2004 (two rows and two columns make a table)
        return False
    first = [cell.strip() for cell in rows[0] if cell.strip()]
    if len(first) < len(rows[0]) - 1 or len(set(first)) < len(first):
        return False
    return not any(
        len(cell) > _HEADER_CHARACTERS or _VALUE.match(cell) or _SENTENCE_END.search(cell) for cell in first
    )


def stands_out(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row differs from those below: usual names, or words above figures."""
    first, body = rows[0], rows[1:]
    usual = sum(not _USUAL_NAMES.isdisjoint(_WORDS.findall(cell.lower())) for cell in first)
    if 2 * usual >= len(first):
        return True
    return any(
        not _DIGIT.search(cell) and sum(bool(_DIGIT.search(row[place])) for row in body) > _MOSTLY * len(body)
        for place, cell in enumerate(first)
        if place
    )


def grid_text(grid: Grid) -> str:
    """Return one line a row, ``header: value · header: value``; without a header ``value | value``."""
    lines = [grid.caption] if grid.caption else []
    lines.extend(row_text(row, grid.header) for row in grid.rows)
    return "\n".join(line for line in lines if line)


def row_text(row: Sequence[str], header: Sequence[str] | None) -> str:
    """Return one row as a line."""
    if header is None:
        return " | ".join(cell for cell in row if cell)
    pairs = zip(header, row, strict=False)
    return " · ".join(f"{name.rstrip(':：')}: {cell}" if name else cell for name, cell in pairs if cell)


def grid_html(grid: Grid) -> str:
    """Return the grid as HTML."""
    caption = f"<caption>{html.escape(grid.caption)}</caption>" if grid.caption else ""
    head = f"<thead>{_row_html(grid.header, 'th')}</thead>" if grid.header else ""
    body = "".join(_row_html(row, "td") for row in grid.rows)
    return f"<table>{caption}{head}<tbody>{body}</tbody></table>"


def _row_html(row: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>"


def grid_from_html(text: str) -> Grid:
    """Read a table of HTML without spans, as unstructured hands it out; ``th`` alone makes a header."""
    table, rows = _html_rows(text)
    caption = " ".join(node.text_content() for node in table.iterchildren("caption"))
    cells = [[cell.text_content() for cell in row.xpath("./td|./th")] for row in rows]
    has_header = bool(rows) and not rows[0].xpath("./td[normalize-space()]") and bool(rows[0].xpath("./th"))
    return make_grid(cells, has_header=has_header, caption=_SPACE.sub(" ", caption))


def html_cells(text: str) -> list[list[str]]:
    """Return the cells of a table of HTML."""
    return [[cell.text_content() for cell in row.xpath("./td|./th")] for row in _html_rows(text)[1]]


def _html_rows(text: str) -> tuple[Any, list[Any]]:
    from lxml import html as lxml_html

    table = lxml_html.fragment_fromstring(text)
    return table, table.xpath("./tr|./thead/tr|./tbody/tr|./tfoot/tr")
