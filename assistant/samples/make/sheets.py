"""Write the price list as a workbook with one sheet a product line."""

from pathlib import Path

import msgspec
from openpyxl import Workbook
from openpyxl.styles import Font

from assistant.samples.make.blocks import CONTENT_PATH
from assistant.samples.make.word import FIXED_TIME
from assistant.samples.make.zipping import settle_zip

_WIDTHS = {"A": 14, "B": 24, "C": 14, "D": 14, "E": 16}


class PriceSheet(msgspec.Struct, frozen=True, kw_only=True):
    """One sheet: name, header row and part rows."""

    sheet: str
    header: list[str]
    rows: list[tuple[str, str, str, float, int]]


def load_prices() -> list[PriceSheet]:
    """Read the price sheets in order."""
    text = (CONTENT_PATH / "prices.toml").read_bytes()
    return list(msgspec.toml.decode(text, type=dict[str, PriceSheet]).values())


def write_price_list(path: Path) -> None:
    """Write the workbook with fixed dates."""
    workbook = Workbook()
    workbook.remove(workbook.worksheets[0])
    for prices in load_prices():
        sheet = workbook.create_sheet(prices.sheet)
        sheet.append(prices.header)
        for row in prices.rows:
            sheet.append(row)
        for cell in sheet[1]:
            cell.font = Font(bold=True)
        for row_cells in sheet.iter_rows(min_row=2, min_col=4, max_col=4):
            row_cells[0].number_format = "0.00"
        for column, width in _WIDTHS.items():
            sheet.column_dimensions[column].width = width
        sheet.freeze_panes = "A2"
    workbook.properties.creator = "Halvorn"
    workbook.properties.title = "Price list"
    workbook.properties.created = FIXED_TIME.replace(tzinfo=None)
    workbook.save(path)
    settle_zip(path)
