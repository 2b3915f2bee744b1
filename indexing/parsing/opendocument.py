"""OpenDocument texts, turned into a page: headings, lists, tables, notes and frames."""

from __future__ import annotations

import html
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing.partition import Partition
from indexing.parsing.web import read_page

_SPACES = {
    "urn:oasis:names:tc:opendocument:xmlns:text:1.0": "text",
    "urn:oasis:names:tc:opendocument:xmlns:table:1.0": "table",
    "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0": "draw",
    "urn:oasis:names:tc:opendocument:xmlns:office:1.0": "office",
    "urn:oasis:names:tc:opendocument:xmlns:style:1.0": "style",
    "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0": "manifest",
}
_PREFIXES = {prefix: f"{{{uri}}}" for uri, prefix in _SPACES.items()}
# What no reader sees, and lists that only lead to other places.
_DROPPED = {
    "text:tracked-changes", "office:annotation", "office:annotation-end", "text:table-of-content",
    "text:alphabetical-index", "text:illustration-index", "text:table-index", "text:note-citation",
    "office:forms", "text:sequence-decls", "text:variable-decls", "text:ruby-text", "office:event-listeners",
}  # fmt: skip
_LAST_LEVEL = 6
# Sheets embedded in a text repeat empty cells a million times.
_MOST_REPEATED = 100


def read_odt(path: Path, settings: IndexSettings) -> Partition:  # noqa: ARG001
    """Read an OpenDocument text.

    Raises:
        FileRefused: it is encrypted or damaged.
    """
    with zipfile.ZipFile(path) as archive:
        if "META-INF/manifest.xml" in archive.namelist():
            manifest = _parse(archive.read("META-INF/manifest.xml"))
            if next(manifest.iter(f"{_PREFIXES['manifest']}encryption-data"), None) is not None:
                raise FileRefused(
                    path, "is encrypted: it opens with a password only; save it without one first"
                )
        try:
            content = _parse(archive.read("content.xml"))
        except KeyError as error:
            raise FileRefused(path, "is corrupt: its text is missing") from error
        styles = _parse(archive.read("styles.xml")) if "styles.xml" in archive.namelist() else None
        meta = _parse(archive.read("meta.xml")) if "meta.xml" in archive.namelist() else None
    titles = [] if meta is None else meta.xpath("//*[local-name()='title']/text()")
    body = next(content.iter(f"{_PREFIXES['office']}text"), None)
    if body is None:
        raise FileRefused(path, "is corrupt: its text is missing")
    page = _Page(part for part in (content, styles) if part is not None)
    partition = read_page(f"<html><body>{page.blocks(body)}</body></html>")
    partition.title = titles[0].strip() if titles else partition.title
    return partition


def _parse(raw: bytes) -> Any:
    from lxml import etree

    return etree.fromstring(raw, etree.XMLParser(resolve_entities=False, no_network=True))


def _name(node: Any) -> str:
    """Return a node's name with its usual prefix, empty for a comment."""
    if not isinstance(node.tag, str):
        return ""
    uri, _, local = node.tag[1:].partition("}")
    return f"{_SPACES.get(uri, '?')}:{local}"


def _get(node: Any, name: str) -> str:
    prefix, _, local = name.partition(":")
    return str(node.get(f"{_PREFIXES[prefix]}{local}") or "")


class _Page:
    """Writes the parts of a text as HTML."""

    def __init__(self, parts: Iterable[Any]) -> None:
        self._parents: dict[str, str] = {}
        self._hidden: set[str] = set()
        self._ordered: set[str] = set()
        for part in parts:
            self._read_styles(part)
        self._later: list[str] = []
        self._has_title = False

    def _read_styles(self, part: Any) -> None:
        for style in part.iter(f"{_PREFIXES['style']}style"):
            name = _get(style, "style:name")
            self._parents[name] = _get(style, "style:parent-style-name")
            if any(_get(text, "text:display") == "none" for text in style):
                self._hidden.add(name)
        for style in part.iter(f"{_PREFIXES['text']}list-style"):
            first = next((level for level in style if _get(level, "text:level") == "1"), None)
            if first is not None and _name(first) == "text:list-level-style-number":
                self._ordered.add(_get(style, "style:name"))

    def blocks(self, node: Any) -> str:
        """Return the blocks inside a node."""
        return "".join(self._block(child) for child in node)

    def _block(self, node: Any) -> str:
        name = _name(node)
        if name in _DROPPED or not name or (name == "text:section" and _get(node, "text:display") == "none"):
            return ""
        if name in {"text:h", "text:p"}:
            return self._paragraph(node, name)
        if name == "text:list":
            return self._list(node)
        if name == "table:table":
            return f"<table>{''.join(self._rows(node))}</table>"
        return self.blocks(node)

    def _paragraph(self, node: Any, name: str) -> str:
        if name == "text:h":
            level = int(_get(node, "text:outline-level") or 1) + self._has_title
            return self._line(node, f"h{min(max(level, 1), _LAST_LEVEL)}")
        is_title = self._is_title(_get(node, "text:style-name"))
        self._has_title = self._has_title or is_title
        return self._line(node, "h1" if is_title else "p")

    def _is_title(self, style: str) -> bool:
        for _ in range(len(self._parents) + 1):
            if style == "Title":
                return True
            style = self._parents.get(style, "")
        return False

    def _line(self, node: Any, tag: str) -> str:
        """Return a paragraph, and after it what hangs on it: notes and frames."""
        outer, self._later = self._later, []
        text = self._inline(node)
        later, self._later = self._later, outer
        return (f"<{tag}>{text}</{tag}>" if text.strip() else "") + "".join(later)

    def _inline(self, node: Any) -> str:
        parts = [html.escape(node.text or "", quote=False)]
        for child in node:
            parts += [self._span(child), html.escape(child.tail or "", quote=False)]
        return "".join(parts)

    def _span(self, node: Any) -> str:
        name = _name(node)
        if name in _DROPPED or not name or _get(node, "text:style-name") in self._hidden:
            return ""
        if name in {"text:s", "text:tab"}:
            return " "
        if name == "text:line-break":
            return "<br>"
        if name == "text:note":
            self._later.extend(self.blocks(body) for body in node if _name(body) == "text:note-body")
            return ""
        if name.startswith("draw:"):
            self._later.append(self.blocks(node))
            return ""
        return self._inline(node)

    def _list(self, node: Any) -> str:
        if next(node.iter(f"{_PREFIXES['text']}h"), None) is not None:  # numbered headings
            return "".join(self.blocks(item) for item in node)
        tag = "ol" if _get(node, "text:style-name") in self._ordered else "ul"
        items = "".join(f"<li>{self.blocks(item)}</li>" for item in node if _name(item))
        return f"<{tag}>{items}</{tag}>"

    def _rows(self, node: Any, tag: str = "td") -> Iterable[str]:
        for child in node:
            name = _name(child)
            if name == "table:table-header-rows":
                yield f"<thead>{''.join(self._rows(child, 'th'))}</thead>"
            elif name in {"table:table-rows", "table:table-row-group"}:
                yield from self._rows(child, tag)
            elif name == "table:table-row":
                row = "".join(self._cell(cell, tag) for cell in child)
                yield from [f"<tr>{row}</tr>"] * self._repeated(child, "table:number-rows-repeated")

    def _cell(self, node: Any, tag: str) -> str:
        if _name(node) != "table:table-cell":
            return ""
        spans = "".join(
            f' {html_name}="{count}"'
            for html_name, odf_name in (("colspan", "columns"), ("rowspan", "rows"))
            if (count := _get(node, f"table:number-{odf_name}-spanned")).isdigit()
        )
        cell = f"<{tag}{spans}>{self.blocks(node)}</{tag}>"
        return cell * self._repeated(node, "table:number-columns-repeated")

    @staticmethod
    def _repeated(node: Any, name: str) -> int:
        count = _get(node, name)
        return min(int(count), _MOST_REPEATED) if count.isdigit() else 1
