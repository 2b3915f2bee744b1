"""HTML and Markdown through unstructured, after the page's furniture is gone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from assistant.core.settings import IndexSettings
from indexing.parsing.decoding import decode
from indexing.parsing.front_matter import front_metadata, front_title, split_front_matter
from indexing.parsing.partition import Partition
from indexing.parsing.properties import page_properties
from indexing.parsing.web_cleaning import clean_page

_MOST_NESTING = 100
# Words, not the name of a file.
_CAPTION = re.compile(r"\S\s+\S|[\u3400-\u9fff]{2}")


def read_html(path: Path, settings: IndexSettings) -> Partition:  # noqa: ARG001 (one signature for all readers)
    """Read a web page."""
    page = decode(path.read_bytes(), path)
    partition = read_page(page)
    partition.metadata = page_properties(page)
    return partition


def read_markdown(path: Path, settings: IndexSettings) -> Partition:  # noqa: ARG001
    """Read Markdown (CommonMark with tables), front matter and embedded HTML included.

    unstructured's own way from Markdown to HTML loses lists that follow a paragraph without a blank
    line or are indented by two spaces, which is how most Markdown is written today.
    """
    fields, text = split_front_matter(decode(path.read_bytes(), path))
    parser = _markdown_parser()
    noted: dict[str, Any] = {}
    tokens = parser.parse(text, noted)
    unused = [name[1:] for name, place in noted.get("footnotes", {}).get("refs", {}).items() if place < 0]
    if unused:  # a note that nothing refers to would be left out
        tokens = parser.parse("\n\n".join([text, *(f"[^{name}]" for name in unused)]), noted := {})
    for token in tokens:
        _name_figure(token)
    page = parser.renderer.render(tokens, parser.options, noted)
    partition = read_page(page, anchors_are_borders=True)
    if any(token.level >= _MOST_NESTING - 1 for token in tokens):
        partition.warnings.append(f"what is nested more than {_MOST_NESTING} levels deep is left out")
    partition.title, partition.metadata = front_title(fields) or partition.title, front_metadata(fields)
    return partition


def _markdown_parser() -> Any:
    from markdown_it import MarkdownIt
    from mdit_py_plugins.footnote import footnote_plugin

    # The usual 20 levels are 9 lists inside each other; below them all that follows would be lost.
    parser = MarkdownIt("commonmark", {"maxNesting": _MOST_NESTING}).enable(["table", "strikethrough"])
    # Of a link only its text is kept, so a bad address must not turn the link back into its source.
    parser.validateLink = _is_any_link  # type: ignore[method-assign]
    return parser.use(footnote_plugin)


def _name_figure(token: Any) -> None:
    """Let a picture that stands alone in its paragraph leave its caption there."""
    children = token.children or []
    if token.type == "inline" and len(children) == 1 and children[0].type == "image":
        picture = children[0]
        caption = str(picture.content or picture.attrs.get("title") or "").strip()
        if _CAPTION.search(caption):
            picture.type, picture.tag, picture.content, picture.children = "text", "", caption, None


def read_page(page: str, *, anchors_are_borders: bool = False) -> Partition:
    """Read the text of a web page, which other formats are turned into as well.

    Args:
        page: HTML.
        anchors_are_borders: an empty named anchor that stands alone sets a soft border, as in Markdown.
    """
    from unstructured.partition.html import partition_html

    title, clean = clean_page(page, anchors_are_borders=anchors_are_borders)
    if not clean:
        return Partition(elements=[], title=title)
    return Partition(elements=partition_html(text=clean, languages=[""]), title=title)


def _is_any_link(url: str) -> bool:  # noqa: ARG001
    return True
