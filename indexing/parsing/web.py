"""HTML and Markdown through unstructured, after the page's furniture is gone."""

from __future__ import annotations

import re
from pathlib import Path

from assistant.core.settings import IndexSettings
from indexing.parsing.decoding import decode
from indexing.parsing.partition import Partition
from indexing.parsing.web_cleaning import clean_page

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)(?:---|\.\.\.)[ \t]*\n", re.S)
_FRONT_TITLE = re.compile(r"""^title[ \t]*[:=][ \t]*["']?(.+?)["']?[ \t]*$""", re.M)


def read_html(path: Path, settings: IndexSettings) -> Partition:  # noqa: ARG001 (one signature for all readers)
    """Read a web page."""
    return _partition(decode(path.read_bytes(), path), anchors_are_borders=False)


def read_markdown(path: Path, settings: IndexSettings) -> Partition:  # noqa: ARG001
    """Read Markdown (CommonMark with tables), front matter and embedded HTML included.

    unstructured's own way from Markdown to HTML loses lists that follow a paragraph without a blank
    line or are indented by two spaces, which is how most Markdown is written today.
    """
    from markdown_it import MarkdownIt

    text = decode(path.read_bytes(), path)
    title = ""
    if match := _FRONT_MATTER.match(text):
        named = _FRONT_TITLE.search(match[1])
        title = named[1] if named else ""
        text = text[match.end() :]
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)
    partition = _partition(page, anchors_are_borders=True)
    partition.title = title or partition.title
    return partition


def _partition(page: str, *, anchors_are_borders: bool) -> Partition:
    from unstructured.partition.html import partition_html

    title, clean = clean_page(page, anchors_are_borders=anchors_are_borders)
    if not clean:
        return Partition(elements=[], title=title)
    return Partition(elements=partition_html(text=clean, languages=[""]), title=title)
