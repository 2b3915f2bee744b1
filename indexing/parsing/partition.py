"""What every reader returns, and its way into the project's own records."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from assistant.core.environment import prepare_environment
from assistant.core.records import Element, ElementKind
from indexing.parsing.tables import grid_from_html, grid_text

# A block of this text alone is an author's soft border: a horizontal rule or an anchor.
BORDER = "\ue000 author border \ue000"
_KINDS: dict[str, ElementKind] = {
    "Title": "title",
    "ListItem": "list_item",
    "Table": "table",
    "CodeSnippet": "code",
}
_DROPPED = {"Image", "PageBreak", "Header", "Footer", "PageNumber"}
_WORDLESS = re.compile(r"[\W_]*\Z")


class Partition(msgspec.Struct, kw_only=True):
    """One file's unstructured elements and what else its reader knows.

    Attributes:
        elements: unstructured elements in reading order.
        title: the title that the file itself states, empty if none.
        page_count: where the format has pages.
        warnings: what is missing, for a person.
    """

    elements: list[Any]
    title: str = ""
    page_count: int | None = None
    warnings: list[str] = msgspec.field(default_factory=list)


@functools.cache
def prepare_unstructured() -> None:
    """Make unstructured work offline; call before any of its modules is used.

    Its tokenizer downloads a spaCy model at the first classification; a blank multilingual pipeline
    finds the same headings. Without the variables it sends telemetry at import.
    """
    prepare_environment()
    logging.getLogger("unstructured").setLevel(logging.ERROR)
    import spacy
    from unstructured.nlp import tokenize

    pipeline = spacy.blank("xx")
    pipeline.add_pipe("sentencizer")
    tokenize._get_nlp = lambda: pipeline  # noqa: SLF001 (no public way to hand it a pipeline)


def to_elements(parts: Iterable[Any]) -> tuple[Element, ...]:
    """Convert unstructured elements; blocks without a letter or digit are dropped."""
    elements: list[Element] = []
    starts_passage = False
    for part in parts:
        if part.text.strip() == BORDER:
            starts_passage = True
            continue
        element = _to_element(part, starts_passage=starts_passage)
        if element is not None:
            elements.append(element)
            starts_passage = False
    return tuple(elements)


def _to_element(part: Any, *, starts_passage: bool) -> Element | None:
    name = type(part).__name__
    kind = _KINDS.get(name, "text")
    metadata = part.metadata
    html = (metadata.text_as_html or "") if kind == "table" else ""
    text = grid_text(grid_from_html(html)) if html else part.text
    text = text.replace(BORDER, "").replace("\x00", "")
    text = text.rstrip() if kind == "code" else text.strip()
    if name in _DROPPED or (_WORDLESS.match(text) and kind != "code") or not text.strip():
        return None
    return Element(
        kind=kind,
        text=text,
        html=html,
        page=metadata.page_number,
        depth=(metadata.category_depth or 0) if kind == "title" else 0,
        origin=getattr(metadata, "origin", None) or "",
        starts_passage=starts_passage,
    )
