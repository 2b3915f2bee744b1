"""A PDF's pages put together: what runs along is dropped, the rest becomes elements in reading order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from assistant.core.boxes import unite
from assistant.core.confidence import mean_confidence
from indexing.parsing.pdf_boxes import box_of_lines, shown_box
from indexing.parsing.pdf_furniture import body_size, contents_places, drop_running_lines
from indexing.parsing.pdf_headings import Heading, OutlineEntry, find_headings
from indexing.parsing.pdf_page import Page
from indexing.parsing.pdf_paragraphs import Block, Joiner
from indexing.parsing.pdf_tables import PageTable, find_tables
from indexing.parsing.pdf_text import Line
from indexing.parsing.tables import Grid, grid_html
from indexing.parsing.text_joining import spaces_scripts

# Numbers and letters that point into a drawing.
_FIGURE_MARK = re.compile(r"(?:(?:\d{1,2}|[A-Za-z])(?: |$)){1,3}")
_SAME_COLUMN_POINTS = 4.0


class Assembly:
    """Puts pages together into unstructured elements in reading order."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self._pages = pages
        self._by_number = {page.number: page for page in pages}
        text = "\n".join(line.text for page in pages for line in page.lines)
        self._joiner = Joiner(pages, is_spaced=spaces_scripts(text))
        self._elements: list[Any] = []
        self._open_block: Block | None = None
        self._last_table: tuple[int, PageTable] | None = None

    def elements(self, outline: Sequence[OutlineEntry]) -> list[Any]:
        """Return all elements; where nothing but running lines is left, those."""
        taken = drop_running_lines(self._pages)
        for page in self._pages:
            taken[page.number] |= contents_places(page)
        self._build(outline, taken)
        if not self._elements:
            self._build(outline, {page.number: set() for page in self._pages})
        return self._elements

    def _build(self, outline: Sequence[OutlineEntry], taken: dict[int, set[int]]) -> None:
        tables = {page.number: find_tables(page, is_spaced=self._joiner.is_spaced) for page in self._pages}
        covered = {
            number: taken[number].union(*(table.line_places for table in found))
            for number, found in tables.items()
        }
        headings, _ = find_headings(self._pages, covered, outline, body_size(self._pages))
        for page in self._pages:
            self._add_page(page, taken[page.number], tables[page.number], headings)
        self._close_block()

    def _add_page(
        self,
        page: Page,
        taken: set[int],
        tables: Sequence[PageTable],
        headings: dict[tuple[int, int], Heading],
    ) -> None:
        starts = {min(table.line_places): table for table in tables if table.line_places}
        in_tables = {place for table in tables for place in table.line_places}
        in_headings = {p for h in headings.values() if h.page == page.number for p in h.places}
        right = _right_edge(page, taken)
        run: list[Line] = []
        for place, line in enumerate(page.lines):
            if place in starts:
                self._add_run(run, right)
                self._add_table(page, starts[place])
            elif (page.number, place) in headings:
                self._add_run(run, right)
                heading = headings[page.number, place]
                self._add_heading(heading, [page.lines[at] for at in heading.places])
            elif place not in taken and place not in in_tables and place not in in_headings:
                run.append(line)
        self._add_run(run, right)

    def _add_run(self, run: list[Line], right: float) -> None:
        """Add the paragraphs of neighbouring lines; the last stays open for the next page."""
        for block in self._joiner.blocks(run, right):
            before = self._open_block
            if before is not None and before.page < block.page and self._joiner.continues_page(before, block):
                before.text = self._joiner.join(before.text, block.text)
                before.lines.extend(block.lines)
                continue
            self._close_block()
            self._open_block = block
        run.clear()

    def _close_block(self) -> None:
        from unstructured.documents.elements import CodeSnippet, ElementMetadata, ListItem, NarrativeText

        block, self._open_block = self._open_block, None
        if block is None or _FIGURE_MARK.fullmatch(block.text):
            return
        self._last_table = None
        kinds = {"text": NarrativeText, "list_item": ListItem, "code": CodeSnippet}
        text = block.text.replace("\u00ad", "-")
        metadata = ElementMetadata(page_number=block.page)
        self._keep_origin(metadata, block.lines)
        self._elements.append(kinds[block.kind](text, metadata=metadata))

    def _add_heading(self, heading: Heading, lines: Sequence[Line]) -> None:
        from unstructured.documents.elements import ElementMetadata, Title

        self._close_block()
        self._last_table = None
        metadata = ElementMetadata(page_number=heading.page, category_depth=heading.level)
        self._keep_origin(metadata, lines)
        self._elements.append(Title(heading.text.replace("\u00ad", "-"), metadata=metadata))

    def _add_table(self, page: Page, table: PageTable) -> None:
        from unstructured.documents.elements import ElementMetadata, Table

        self._close_block()
        grid = self._continue_table(page, table)
        text = "\n".join(" ".join(row) for row in grid.rows)
        metadata = ElementMetadata(page_number=page.number, text_as_html=grid_html(grid))
        caption = box_of_lines(page, [page.lines[place] for place in table.line_places])
        metadata.box = unite([shown_box(page, table.box), caption])
        self._elements.append(Table(text, metadata=metadata))
        self._last_table = (
            page.number,
            PageTable(grid=grid, box=table.box, columns=table.columns, line_places=set()),
        )

    def _keep_origin(self, metadata: Any, lines: Sequence[Line]) -> None:
        """Keep where the lines stand, and the mean confidence over the characters that were recognised."""
        metadata.confidence = mean_confidence((line.confidence, len(line.text)) for line in lines)
        metadata.box = box_of_lines(self._by_number[metadata.page_number], lines)

    def _continue_table(self, page: Page, table: PageTable) -> Grid:
        """Give the rest of a table on the next page the header and caption of its beginning."""
        grid = table.grid
        if self._last_table is None:
            return grid
        number, before = self._last_table
        same = len(before.columns) == len(table.columns) and all(
            abs(one - two) < _SAME_COLUMN_POINTS
            for one, two in zip(before.columns, table.columns, strict=True)
        )  # fmt: skip
        if number != page.number - 1 or not same or before.grid.header is None or grid.caption:
            return grid
        rows = grid.rows
        if grid.header is not None and grid.header != before.grid.header:
            rows = (grid.header, *rows)
        return Grid(rows=rows, header=before.grid.header, caption=before.grid.caption)


def _right_edge(page: Page, taken: set[int]) -> float:
    edges = sorted(line.x1 for place, line in enumerate(page.lines) if place not in taken)
    return edges[int(len(edges) * 0.9)] if edges else page.width
