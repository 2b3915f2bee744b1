"""What every reader returns, and its way into the project's own records."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from assistant.core.environment import prepare_environment
from assistant.core.errors import FileRefused
from assistant.core.records import Element, ElementKind, Metadata
from assistant.core.settings import IndexSettings
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
# Characters that no reader sees: they split words for search and can carry words for a model alone.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b\x0e-\x1f\x7f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
_WORDLESS = re.compile(r"[\W_]*\Z")


def check_length(path: Path, characters: int, settings: IndexSettings) -> None:
    """Refuse a file that holds more text than any document does.

    Raises:
        FileRefused: it does.
    """
    limit = settings.max_text_mebibytes
    if characters > limit << 20:
        raise FileRefused(path, f"holds more than {limit} MiB of text ([index] max_text_mebibytes)")


class Partition(msgspec.Struct, kw_only=True):
    """One file's unstructured elements and what else its reader knows.

    Attributes:
        elements: unstructured elements in reading order.
        title: the title that the file itself states, empty if none.
        page_count: where the format has pages.
        warnings: what is missing, for a person.
        metadata: what the file says of itself in its head.
        unread_pages: pages without text that text recognition could read where it is installed.
    """

    elements: list[Any]
    title: str = ""
    page_count: int | None = None
    warnings: list[str] = msgspec.field(default_factory=list)
    metadata: Metadata = msgspec.field(default_factory=dict)
    unread_pages: tuple[int, ...] = ()


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
    text = _INVISIBLE.sub("", text.replace(BORDER, ""))
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
        confidence=getattr(metadata, "confidence", None),
        box=getattr(metadata, "box", None),
        starts_passage=starts_passage,
    )
