"""Workbooks and CSV: one sentence a row, with the names of its columns.

Cells are read here and not by unstructured, whose pandas turns part number 007 into 7 and 64.50 into
64.5; what comes out are unstructured elements all the same.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings, TicketColumns
from indexing.parsing.decoding import decode
from indexing.parsing.dialogues import whole_element
from indexing.parsing.partition import Partition, check_length
from indexing.parsing.tables import Grid, count_form, grid_html, make_grid
from indexing.parsing.text_joining import join_wrapped_cjk
from indexing.parsing.tickets import ticket_table

_MOST_ROWS = 200_000
_MOST_COLUMNS = 512
_SNIFF_CHARACTERS = 16384
_HEADER_WITHIN = 20
_CELL_CHARACTERS = 32767  # what Excel allows; a file that says more is made to burst
# Excel's own first line, which names the delimiter
_SEPARATOR_LINE = re.compile(r"\A\"?sep=[^\n]\"?\n", re.I)
_PADDED = re.compile(r"0{2,}")
_DECIMALS = re.compile(r"\.(0+)")


def read_csv(path: Path, settings: IndexSettings) -> Partition:
    """Read a CSV file with any usual delimiter."""
    text = _SEPARATOR_LINE.sub("", decode(path.read_bytes(), path))
    csv.field_size_limit(1 << 22)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    except csv.Error as error:
        raise FileRefused(path, f"is no CSV: {error}") from error
    return Partition(elements=list(_sheet_elements(rows, settings.ticket_columns)))


def _delimiter(text: str) -> str:
    """Return the delimiter that cuts the first lines most evenly."""
    sample = text[:_SNIFF_CHARACTERS]

    def evenness(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if row]
        widths = widths[:-1] or widths
        width, count = Counter(widths).most_common(1)[0] if widths else (1, 0)
        return (count / len(widths), width) if width > 1 else (0.0, 0)

    return max(",;\t|", key=evenness)


def read_xlsx(path: Path, settings: IndexSettings) -> Partition:
    """Read a workbook: the sheet's name is a title, hidden sheets are left out."""
    import openpyxl
    from unstructured.documents.elements import ElementMetadata, Title

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl warns of every extension it does not know
        try:
            book = openpyxl.load_workbook(path, read_only=False, data_only=True, keep_links=False)
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
            raise FileRefused(
                path, f"is corrupt: the workbook cannot be opened ({type(error).__name__})"
            ) from error
    elements: list[Any] = []
    notes: list[str] = []
    length = 0
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            notes.append(f"hidden sheet {sheet.title!r} is left out")
            continue
        if sheet.max_row > _MOST_ROWS or sheet.max_column > _MOST_COLUMNS:
            notes.append(f"sheet {sheet.title!r}: read to row {_MOST_ROWS} and column {_MOST_COLUMNS} only")
        rows = []
        for row in _read_rows(sheet):
            rows.append(row)
            length += sum(map(len, row))
            check_length(path, length, settings)
        parts = list(_sheet_elements(rows, settings.ticket_columns))
        if parts:
            elements += [Title(sheet.title, metadata=ElementMetadata(category_depth=1)), *parts]
    return Partition(elements=elements, title=(book.properties.title or "").strip(), warnings=notes)


def _read_rows(sheet: Any) -> Iterator[list[str]]:
    merged = {
        (row, column): (area.min_row, area.min_col)
        for area in list(sheet.merged_cells.ranges)[:1000]
        for row in range(area.min_row, min(area.max_row, area.min_row + 200) + 1)
        for column in range(area.min_col, min(area.max_col, area.min_col + 50) + 1)
    }
    for cells in sheet.iter_rows(
        max_row=min(sheet.max_row, _MOST_ROWS), max_col=min(sheet.max_column, _MOST_COLUMNS)
    ):
        texts = []
        for cell in cells:
            origin = merged.get((cell.row, cell.column))
            texts.append(_cell_text(sheet.cell(*origin) if origin else cell))
        yield texts


def _cell_text(cell: Any) -> str:
    """Return a cell as the sheet shows it, for the number formats that matter."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(value, (int, float)):
        return _number_text(float(value) if isinstance(value, float) else value, str(cell.number_format))
    return " ".join(join_wrapped_cjk(str(value)[:_CELL_CHARACTERS]).split())


def _number_text(value: float, number_format: str) -> str:
    shown = number_format.split(";", maxsplit=1)[0]
    decimals = len(match[1]) if (match := _DECIMALS.search(shown)) else 0
    if shown.rstrip().endswith("%"):
        return f"{value * 100:.{decimals}f}%"
    if decimals:
        return f"{value:.{decimals}f}"
    if _PADDED.fullmatch(shown) and float(value).is_integer():
        return f"{int(value):0{len(shown)}}"
    return str(int(value)) if float(value).is_integer() else f"{value:.10g}"


def _sheet_elements(rows: Sequence[Sequence[str]], columns: TicketColumns) -> Iterator[Any]:
    """Yield the parts of a sheet: blocks between empty rows; text above a table, tables, tickets."""
    from unstructured.documents.elements import ElementMetadata, NarrativeText, Table

    above: Grid | None = None
    for block in _blocks(rows):
        notes, cells = _take_notes(block)
        for note in notes:
            yield NarrativeText(note)
        grid = _under_header(make_grid(cells, has_header="likely"), above)
        above = grid if grid.header else above
        if grid.header and (tickets := ticket_table(grid.header, columns)):
            for row in grid.rows:
                yield whole_element(tickets.text(row), "ticket")
        elif grid.rows:
            yield Table(_plain(grid), metadata=ElementMetadata(text_as_html=grid_html(grid)))


def _under_header(grid: Grid, above: Grid | None) -> Grid:
    """Return a block that goes on counting the rows of the one above the empty row, under its header."""
    if above is None or not above.header or grid.header or not grid.rows:
        return grid
    is_alike = len(above.header) == len(grid.rows[0])
    if is_alike and count_form(above.rows[-1][0]) == count_form(grid.rows[0][0]):
        return Grid(rows=grid.rows, header=above.header, caption=grid.caption)
    return grid


def _plain(grid: Grid) -> str:
    return "\n".join(" ".join(row) for row in grid.rows)


def _blocks(rows: Sequence[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    block: list[Sequence[str]] = []
    for row in rows:
        if any(cell.strip() for cell in row):
            block.append(row)
        elif block:
            yield block
            block = []
    if block:
        yield block


def _take_notes(block: list[Sequence[str]]) -> tuple[list[str], list[Sequence[str]]]:
    """Split the lines of one cell that stand above a table from the table."""
    notes: list[str] = []
    is_list = all(len(row) == 1 for row in block)
    for place, row in enumerate(block[:_HEADER_WITHIN]):
        filled = {cell.strip() for cell in row if cell.strip()}
        if len(filled) > 1 or is_list:
            return notes, block[place:]
        notes.extend(filled)
    return notes, block[len(notes) :]
