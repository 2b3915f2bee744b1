"""Tables: from cells to lines that each explain themselves."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any, Literal

from assistant.core.language import han_count
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
# "OFF OFF OFF" is a row of values, "Mechanical" across the table a title
_TITLE_WIDTH = 6
_BORDER = " · "
_DIGITS = re.compile(r"\d+")


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


def make_grid(
    rows: Sequence[Sequence[str]], *, has_header: bool | Literal["likely"] | None = None, caption: str = ""
) -> Grid:
    """Make a grid of rows of any length.

    A first row that is one cell across all columns is a caption; a header of two levels becomes one.

    Args:
        rows: cells, those that stand across several places repeated in each; white space inside is joined.
        has_header: whether the first row names the columns; None lets the cells decide, ``likely`` does where
            it only could, as in formats that mark no header.
        caption: what stands over the table.
    """
    clean = [tuple(_SPACE.sub(" ", join_wrapped_cjk(cell)).strip() for cell in row) for row in rows]
    clean = [row for row in clean if any(row)]
    width = max((len(row) for row in clean), default=0)
    clean = [row + ("",) * (width - len(row)) for row in clean]
    used = [place for place in range(width) if any(row[place] for row in clean)]
    clean = [tuple(row[place] for place in used) for row in clean]
    if has_header is not False:
        if len(clean) > 1 and is_spanned(clean[0]):
            caption, clean, has_header = f"{caption} {clean[0][0]}", clean[1:], has_header and "likely"
        clean = _join_header(clean)
    if has_header is None or has_header == "likely":
        has_header = could_name_columns(clean) and (has_header == "likely" or stands_out(clean))
    if has_header and len(clean) > 1:
        return Grid(rows=tuple(clean[1:]), header=clean[0], caption=caption.strip())
    return Grid(rows=tuple(clean), caption=caption.strip())


def is_spanned(row: Sequence[str]) -> bool:
    """Return whether one name stands across a whole row, repeated in all of its places; "0 0 0" is none."""
    width = len(row[0]) + 3 * han_count(row[0])
    return len(row) > 1 and set(row) == {row[0]} and width >= _TITLE_WIDTH and not _VALUE.match(row[0])


def _join_header(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return rows whose header of two levels is one row: "Size" over "Width" is "Size Width".

    The upper level repeats a name that stands across several columns, the lower one tells them apart.
    """
    if len(rows) < 3:  # noqa: PLR2004 - two levels and a row of values
        return rows
    upper, lower = rows[:2]
    across = [bool(name) and name in upper[:place] + upper[place + 1 :] for place, name in enumerate(upper)]
    pairs = list(zip(upper, lower, across, strict=True))
    if not any(across) or any(not low or low == up for up, low, is_wide in pairs if is_wide):
        return rows
    if any(low not in {"", up} for up, low, is_wide in pairs if not is_wide and up):
        return rows
    joined = tuple(f"{up} {low}" if is_wide else up or low for up, low, is_wide in pairs)
    names = (low for _, low, is_wide in pairs if is_wide)
    is_header = len(set(joined)) == len(joined) and not any(map(_is_value, names))
    return [joined, *rows[2:]] if is_header else rows


def could_name_columns(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row can be names of columns: short, distinct, no values or sentences."""
    if len(rows) < 2 or len(rows[0]) < 2:  # noqa: PLR2004 (two rows and two columns make a table)
        return False
    first = [cell.strip() for cell in rows[0] if cell.strip()]
    if len(first) < len(rows[0]) - 1 or len(set(first)) < len(first):
        return False
    if any(map(_is_value, first)):
        return False
    return not any(_counts_on([row[place] for row in rows]) for place in range(len(rows[0])))


def _is_value(cell: str) -> bool:
    return bool(len(cell) > _HEADER_CHARACTERS or _VALUE.match(cell) or _SENTENCE_END.search(cell))


def count_form(cell: str) -> str:
    """Return a cell with every number as 0, so that what is counted through looks the same."""
    return _DIGITS.sub("0", cell)


def _counts_on(column: Sequence[str]) -> bool:
    """Return whether a column's first cell is one of those below it: E01 over E02 and E03."""
    first, *below = map(count_form, column)
    return "0" in first and 2 * below.count(first) > sum(map(bool, below))


def stands_out(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first row differs from those below: usual names, or words above figures."""
    first, body = rows[0], [row for row in rows[1:] if not is_spanned(row)]
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
    if len(row) > 2 and is_spanned(row):  # noqa: PLR2004 - a title inside the table
        return row[0]
    row = [cell.replace(_BORDER, _BORDER.strip()) for cell in row]  # "5 N · m" is one cell
    if header is None:
        return " | ".join(cell for cell in row if cell)
    pairs = zip(header, row, strict=False)
    return _BORDER.join(f"{name.rstrip(':：')}: {cell}" if name else cell for name, cell in pairs if cell)


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
