"""Tables in chunks: rows that explain themselves, and grids with a header line, read alike."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from assistant.core.records import Chunk, Record
from indexing.parsing.tables import could_name_columns
from training.cells import EMPTY
from training.pairs import table_rows

_GRID_BORDER = " | "
_MODEL = re.compile(r"[A-Z]{1,4}-?\d{1,5}")


class Row(Record, frozen=True, kw_only=True):
    """One row of a table.

    Attributes:
        chunk: where it stands.
        key: its first cell.
        key_header: header of the first column.
        cells: (header, value) of the others; empty ones are left out.
    """

    chunk: Chunk
    key: str
    key_header: str
    cells: tuple[tuple[str, str], ...]

    def value(self, words: Sequence[str]) -> str:
        """Return the first cell whose header holds one of the words; empty if none does."""
        return next(
            (value for header, value in self.cells if any(word in header.lower() for word in words)), ""
        )


def read_rows(chunk: Chunk) -> list[Row]:
    """Return the rows of a chunk's tables; none where it holds none."""
    if chunk.kind != "table":
        return []
    rows = []
    for (header, key), *cells in table_rows(chunk.text):
        filled = tuple(cell for cell in cells if cell[1] not in EMPTY)
        if filled:
            rows.append(Row(chunk=chunk, key=key, key_header=header, cells=filled))
    return rows + list(_grid_rows(chunk))


def model_columns(row: Row) -> tuple[tuple[str, str], ...]:
    """Return the cells of a row whose headers are models, such as Q5 and Q7."""
    return tuple((header, value) for header, value in row.cells if _MODEL.fullmatch(header))


def _grid_rows(chunk: Chunk) -> Iterator[Row]:
    for grid in _grids(chunk.text):
        if not could_name_columns(grid):
            continue
        headers, *rows = grid
        for cells in rows:
            filled = tuple(
                (header, value)
                for header, value in zip(headers[1:], cells[1:], strict=True)
                if value not in EMPTY
            )
            if filled and cells[0] not in EMPTY:
                yield Row(chunk=chunk, key=cells[0], key_header=headers[0], cells=filled)


def _grids(text: str) -> Iterator[list[list[str]]]:
    """Yield runs of rows as long as the first; a line of one cell is no row, and ends a grid."""
    grid: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        cells = [cell.strip() for cell in line.split(_GRID_BORDER)]
        if len(cells) > 1 and (not grid or len(cells) == len(grid[0])):
            grid.append(cells)
        elif len(cells) == 1 and grid:
            yield grid
            grid = []
