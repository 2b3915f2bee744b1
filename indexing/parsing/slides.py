"""Presentations: a slide's title is a heading, its number the page; notes follow the slide.

Read with python-pptx; unstructured takes most lines of a slide for titles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing.partition import Partition
from indexing.parsing.slide_shapes import Block, read_shape
from indexing.parsing.tables import grid_html, grid_text

_TITLE_CHARACTERS = 80
# What stands on so many slides, and on half of all, belongs to the template.
_REPEATED_SLIDES = 4
# Names that programs give to a presentation that has none.
_GENERIC_TITLES = {
    "powerpoint presentation", "powerpoint-präsentation", "powerpoint 演示文稿", "presentation", "slide 1",
    "幻灯片 1",
}  # fmt: skip


def read_pptx(path: Path, settings: IndexSettings) -> Partition:
    """Read a presentation; hidden slides are left out.

    Raises:
        FileRefused: it is damaged or has too many slides.
    """
    from pptx import Presentation
    from pptx.exc import PackageNotFoundError

    try:
        deck = Presentation(str(path))
    except (PackageNotFoundError, KeyError, ValueError) as error:
        raise FileRefused(
            path, f"is corrupt: the presentation cannot be opened ({type(error).__name__})"
        ) from error
    slides = list(deck.slides)
    if len(slides) > settings.max_pages:
        raise FileRefused(
            path, f"has {len(slides)} slides; at most {settings.max_pages} are read ([index] max_pages)"
        )
    warnings: list[str] = []
    read: list[tuple[int, str, list[Block]]] = []
    for number, slide in enumerate(slides, 1):
        if slide.element.get("show") == "0":
            warnings.append(f"hidden slide {number} is left out")
        else:
            read.append((number, *_read_slide(slide, number, warnings)))
    stated = (deck.core_properties.title or "").strip()
    return Partition(
        elements=list(_elements(read)),
        title="" if stated.lower() in _GENERIC_TITLES else stated,
        page_count=len(slides),
        warnings=warnings,
    )


def _read_slide(slide: Any, number: int, warnings: list[str]) -> tuple[str, list[Block]]:
    """Return a slide's title and its blocks, the notes last."""
    placeholder = slide.shapes.title
    title = next((block.text for block in read_shape(placeholder)), "") if placeholder is not None else ""
    shapes = [
        shape for shape in slide.shapes if placeholder is None or shape.shape_id != placeholder.shape_id
    ]
    shapes.sort(key=lambda shape: (shape.top or 0, shape.left or 0))
    blocks: list[Block] = []
    for shape in shapes:
        try:
            blocks.extend(read_shape(shape))
        except (AttributeError, KeyError, NotImplementedError, TypeError, ValueError) as error:
            warnings.append(f"slide {number}: {shape.name!r} cannot be read ({type(error).__name__})")
    if not title and blocks and blocks[0].kind == "text" and len(blocks[0].text) <= _TITLE_CHARACTERS:
        title = blocks.pop(0).text
    if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None:
        blocks += [Block(kind="text", text=" ".join(line.split())) for line in notes.text.split("\n") if line]
    return title, blocks


def _elements(slides: list[tuple[int, str, list[Block]]]) -> Iterator[Any]:
    from unstructured.documents.elements import ElementMetadata, ListItem, Table, Text, Title

    repeated = _repeated(slides)
    last_title = ""
    for number, title, blocks in slides:
        # A slide with no title, or that of the slide before, goes on with that slide's topic.
        if title and title != last_title:
            depth = 0 if number == 1 else 1
            yield Title(title, metadata=ElementMetadata(category_depth=depth, page_number=number))
            last_title = title
        for block in blocks:
            metadata = ElementMetadata(page_number=number)
            if block.grid is not None:
                metadata.text_as_html = grid_html(block.grid)
                yield Table(grid_text(block.grid), metadata=metadata)
            elif block.text not in repeated:
                yield (ListItem if block.kind == "list_item" else Text)(block.text, metadata=metadata)


def _repeated(slides: list[tuple[int, str, list[Block]]]) -> set[str]:
    counts = Counter(
        text for _, _, blocks in slides for text in {block.text for block in blocks if block.text}
    )
    return {text for text, count in counts.items() if count >= _REPEATED_SLIDES and 2 * count >= len(slides)}
