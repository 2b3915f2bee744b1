"""HTML and Markdown through unstructured, after the page's furniture is gone."""

from __future__ import annotations

from pathlib import Path

from assistant.core.settings import IndexSettings
from indexing.parsing.decoding import decode
from indexing.parsing.front_matter import front_metadata, front_title, split_front_matter
from indexing.parsing.partition import Partition
from indexing.parsing.properties import page_properties
from indexing.parsing.web_cleaning import clean_page

_MOST_NESTING = 100


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
    from markdown_it import MarkdownIt

    fields, text = split_front_matter(decode(path.read_bytes(), path))
    # The usual 20 levels are 9 lists inside each other; below them all that follows would be lost.
    parser = MarkdownIt("commonmark", {"maxNesting": _MOST_NESTING}).enable(["table", "strikethrough"])
    # Of a link only its text is kept, so a bad address must not turn the link back into its source.
    parser.validateLink = _is_any_link  # type: ignore[method-assign]
    tokens = parser.parse(text)
    page = parser.renderer.render(tokens, parser.options, {})
    partition = read_page(page, anchors_are_borders=True)
    if any(token.level >= _MOST_NESTING - 1 for token in tokens):
        partition.warnings.append(f"what is nested more than {_MOST_NESTING} levels deep is left out")
    partition.title, partition.metadata = front_title(fields) or partition.title, front_metadata(fields)
    return partition


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
