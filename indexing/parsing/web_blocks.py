"""Lists and tables of a page in the plain form that partitioning reads without loss."""

from __future__ import annotations

import re
from typing import Any

from indexing.parsing.tables import grid_html, make_grid

_BLOCKS = {
    "p", "div", "ul", "ol", "dl", "table", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "section",
    "article", "hr", "center", "address",
}  # fmt: skip
_LAYOUT_BLOCKS = "ul|ol|dl|table|pre|h1|h2|h3|h4|h5|h6"
_MOST_SPAN = 100
_LAYOUT_CELL_CHARACTERS = 400


def flatten_lists(body: Any) -> None:
    """Turn each list into a flat run of items, numbers written out, nested blocks following their item.

    unstructured takes an item with a list or paragraph inside for a bare text, and forgets numbers.
    """
    for kind in ("ul", "ol", "dl"):
        for node in list(body.iter(kind)):
            if node.getparent() is None or any(True for _ in node.iterancestors("ul", "ol", "dl", "pre")):
                continue
            _replace(node, _items(node))


def _items(node: Any) -> list[Any]:
    flat: list[Any] = []
    number = _whole_number(node, "start", 1)
    prefix = ""
    for child in list(node):
        if child.tag == "li":
            number = _whole_number(child, "value", number)
            flat.extend(_item(child, f"{number}. " if node.tag == "ol" else ""))
            number += 1
        elif child.tag == "dt":
            prefix = f"{prefix} {_line(child)}".strip()
        elif child.tag == "dd":
            flat.extend(_item(child, f"{prefix.rstrip(':：')}: " if prefix else ""))
            prefix = ""
        elif child.tag in {"ul", "ol", "dl"}:
            flat.extend(_items(child))
        elif isinstance(child.tag, str):
            flat.extend(_item(child, ""))
    if prefix:
        flat.append(_make_item(prefix))
    return flat


def _whole_number(node: Any, name: str, default: int) -> int:
    try:
        return int(node.get(name) or default)
    except ValueError:
        return default


def _item(node: Any, prefix: str) -> list[Any]:
    """Split an item into its own line and the blocks inside it."""
    line = prefix + (node.text or "")
    blocks: list[Any] = []
    has_line = bool((node.text or "").strip())
    for child in list(node):
        tail, child.tail = child.tail or "", None
        if child.tag not in _BLOCKS:
            text = "\n" if child.tag == "br" else child.text_content()
            if blocks and text.strip():
                blocks.append(_make("p", text + tail))
            else:
                line += text + tail
            has_line = has_line or bool(text.strip())
            continue
        if child.tag in {"p", "div"} and not has_line and not blocks and not _has_blocks(child):
            line += child.text_content() + tail
            has_line = True
        elif child.tag in {"ul", "ol", "dl"}:
            blocks.extend(_items(child))
        else:
            blocks.extend(_inner(child))
        if child.tag in {"ul", "ol", "dl", "pre"} and tail.strip():
            blocks.append(_make("p", tail))
    return [_make_item(line), *blocks] if line.strip() else blocks


def _has_blocks(node: Any) -> bool:
    return any(child.tag in _BLOCKS for child in node.iterdescendants())


def _inner(node: Any) -> list[Any]:
    """Return a block inside an item, with the lists inside it flattened as well."""
    flatten_lists(node)
    return [node]


def _make_item(line: str) -> Any:
    wrapper = _make("ul", "")
    wrapper.append(_make("li", " ".join(line.split())))
    return wrapper


def _make(tag: str, text: str) -> Any:
    from lxml import html as lxml_html

    node = lxml_html.Element(tag)
    node.text = text
    return node


def _line(node: Any) -> str:
    return " ".join(node.text_content().split())


def _replace(node: Any, others: list[Any]) -> None:
    parent = node.getparent()
    place = parent.index(node)
    tail = node.tail
    parent.remove(node)
    for offset, other in enumerate(others):
        parent.insert(place + offset, other)
    if tail and tail.strip():
        parent.insert(place + len(others), _make("p", tail))


def simplify_tables(body: Any) -> None:
    """Write spans out and turn tables that only lay out the page into their content."""
    from lxml import html as lxml_html

    for table in reversed(list(body.iter("table"))):  # inner tables first
        if table.getparent() is None:
            continue
        if _is_layout(table):
            for node in table.iter(
                "table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption", "colgroup"
            ):
                node.tag = "div"
            continue
        rows, has_header = _expand(table)
        caption = " ".join(_line(node) for node in table.iterchildren("caption"))
        grid = make_grid(rows, has_header=has_header, caption=caption)
        if grid.rows:
            _replace(table, [lxml_html.fragment_fromstring(grid_html(grid))])
        else:
            table.drop_tree()


def _is_layout(table: Any) -> bool:
    rows = table.xpath("./tr|./*/tr")
    if table.xpath(".//table") or (not table.xpath(".//th") and len(rows) == 1):
        return True
    if max((len(row) for row in rows), default=0) <= 1:
        return True
    cells = table.xpath(".//td")
    heavy = [cell for cell in cells if cell.xpath("|".join(f".//{tag}" for tag in _LAYOUT_BLOCKS.split("|")))]
    return bool(heavy) and any(len(_line(cell)) > _LAYOUT_CELL_CHARACTERS for cell in heavy)


def _expand(table: Any) -> tuple[list[list[str]], bool | None]:
    """Return the cells with spans repeated, and whether the first row is marked as header."""
    grid: dict[tuple[int, int], str] = {}
    rows = table.xpath("./tr|./thead/tr|./tbody/tr|./tfoot/tr")
    for y, row in enumerate(rows):
        x = 0
        for cell in row.xpath("./td|./th"):
            while (y, x) in grid:
                x += 1
            down, across = _span(cell, "rowspan"), _span(cell, "colspan")
            for place in ((y + dy, x + dx) for dy in range(down) for dx in range(across)):
                grid[place] = _line(cell)
            x += across
    width = max((x for _, x in grid), default=-1) + 1
    cells = [[grid.get((y, x), "") for x in range(width)] for y in range(len(rows))]
    return cells, True if _marks_header(rows) else None


def _marks_header(rows: list[Any]) -> bool:
    if not rows:
        return False
    return rows[0].getparent().tag == "thead" or (bool(rows[0].xpath("./th")) and not rows[0].xpath("./td"))


def _span(cell: Any, name: str) -> int:
    found = re.match(r"\d+", cell.get(name) or "1")
    return max(1, min(int(found[0]) if found else 1, _MOST_SPAN))
