"""PDFs drawn for the purpose: headings, running lines, tables over pages, scans, locked files."""

from __future__ import annotations

from pathlib import Path

import pytest
from reportlab.lib import pdfencrypt
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from assistant.core.errors import FileRefused
from assistant.core.records import ParsedDocument
from assistant.core.settings import IndexSettings
from indexing.parsing import parse_file

SETTINGS = IndexSettings()
WIDTH, HEIGHT = A4


class Manual:
    """Draws lines from the top of a page down."""

    def __init__(self, path: Path, font: str = "Helvetica") -> None:
        self.canvas = Canvas(str(path), pagesize=A4, invariant=1)
        self.font = font
        self.y = HEIGHT - 100.0
        self.number = 1

    def line(
        self, text: str, size: float = 10, *, font: str = "", outline: int | None = None, gap: float = 1.3
    ) -> None:
        self.y -= size * gap
        self.canvas.setFont(font or self.font, size)
        self.canvas.drawString(72, self.y, text)
        if outline is not None:
            key = f"k{self.number}-{self.y}"
            self.canvas.bookmarkPage(key)
            self.canvas.addOutlineEntry(text.partition(" ")[2] if text[0].isdigit() else text, key, outline)

    def table(self, rows: list[list[str]]) -> None:
        self.canvas.setFont(self.font, 9)
        top = self.y - 10
        for row, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                self.canvas.rect(72 + column * 150, top - row * 18 - 18, 150, 18)
                self.canvas.drawString(76 + column * 150, top - row * 18 - 13, cell)
        self.y = top - len(rows) * 18 - 6

    def end_page(self, head: str = "") -> None:
        self.canvas.setFont(self.font, 8)
        self.canvas.drawString(72, HEIGHT - 40, head)
        self.canvas.drawRightString(WIDTH - 72, 30, str(self.number))
        self.canvas.showPage()
        self.y, self.number = HEIGHT - 100.0, self.number + 1

    def save(self) -> None:
        self.canvas.save()


def shape(parsed: ParsedDocument) -> list[tuple[int | None, str, int, str]]:
    return [(e.page, e.kind, e.depth, e.text) for e in parsed.elements]


@pytest.fixture
def manual(tmp_path: Path) -> Path:
    path = tmp_path / "manual.pdf"
    draw = Manual(path)
    draw.canvas.setTitle("Pump manual")
    draw.line("1 Safety", 18, outline=0)
    draw.line("The drive module holds a charge after the supply is cut, so wait at least six min-", gap=2)
    draw.line("utes before the terminal box is opened.")
    draw.line("Check that no voltage is present.", gap=2.4)
    draw.line("• lock the main switch", gap=2)
    draw.line("• hang up a notice")
    draw.end_page("Pump manual")
    draw.line("1.1 Codes", 14, outline=1)
    draw.line("Table 1: Codes", 9, gap=2)
    draw.table([["Code", "Meaning"], ["E-11", "Dry running"], ["E-14", "Blocked"]])
    draw.end_page("Pump manual")
    draw.table([["Code", "Meaning"], ["E-17", "Motor too hot"]])
    draw.line("deskmate reset --all", 10, font="Courier", gap=3)
    draw.end_page("Pump manual")
    draw.save()
    return path


def test_headings_running_lines_tables_and_code(manual: Path) -> None:
    parsed = parse_file(manual, "pdf", SETTINGS)
    assert (parsed.title, parsed.page_count, parsed.warnings) == ("Pump manual", 3, ())
    assert shape(parsed) == [
        (1, "title", 0, "1 Safety"),
        (
            1, "text", 0,
            "The drive module holds a charge after the supply is cut, so wait at least six minutes before the"
            " terminal box is opened.",
        ),
        (1, "text", 0, "Check that no voltage is present."),
        (1, "list_item", 0, "lock the main switch"),
        (1, "list_item", 0, "hang up a notice"),
        (2, "title", 1, "1.1 Codes"),
        (2, "table", 0, "Table 1: Codes\nCode: E-11 · Meaning: Dry running\nCode: E-14 · Meaning: Blocked"),
        (3, "table", 0, "Table 1: Codes\nCode: E-17 · Meaning: Motor too hot"),
        (3, "code", 0, "deskmate reset --all"),
    ]  # fmt: skip


def test_chinese_lines_join_without_space_and_headings_come_from_size(tmp_path: Path) -> None:
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    draw = Manual(tmp_path / "a.pdf", "STSong-Light")
    draw.line("安全须知", 18)
    draw.line("断电后主控板和风机电容上仍有残余电压，拉闸并挂牌后至少等待四分钟，验明无电才能打", gap=2)
    draw.line("开右侧板。")
    draw.end_page()
    draw.save()
    assert shape(parse_file(tmp_path / "a.pdf", "pdf", SETTINGS)) == [
        (1, "title", 0, "安全须知"),
        (
            1,
            "text",
            0,
            "断电后主控板和风机电容上仍有残余电压，拉闸并挂牌后至少等待四分钟，验明无电才能打开右侧板。",
        ),
    ]


def test_list_of_contents_is_dropped(tmp_path: Path) -> None:
    draw = Manual(tmp_path / "a.pdf")
    draw.line("Contents", 16)
    for number in range(1, 8):
        draw.line(f"{number} Chapter {'. ' * 20} {number}")
    draw.end_page()
    draw.line("Only this is to be read.")
    draw.end_page()
    draw.save()
    assert [e.text for e in parse_file(tmp_path / "a.pdf", "pdf", SETTINGS).elements] == [
        "Only this is to be read."
    ]


def test_encrypted_pdf_is_refused_as_such(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"), encrypt=pdfencrypt.StandardEncryption("user", "owner"))
    canvas.drawString(72, 500, "secret")
    canvas.save()
    with pytest.raises(FileRefused, match="is encrypted"):
        parse_file(tmp_path / "a.pdf", "pdf", SETTINGS)


def test_scan_is_refused_as_such_and_a_scanned_page_is_named(tmp_path: Path) -> None:
    from PIL import Image

    picture = tmp_path / "page.png"
    Image.new("L", (60, 80), 200).save(picture)
    for name, text in [("scan.pdf", ""), ("mixed.pdf", "A page of text.")]:
        canvas = Canvas(str(tmp_path / name))
        canvas.drawImage(str(picture), 0, 0, 300, 400)
        canvas.showPage()
        if text:
            canvas.drawString(72, 500, text)
            canvas.showPage()
        canvas.save()
    settings = IndexSettings(ocr="off")
    with pytest.raises(FileRefused, match="is a scan"):
        parse_file(tmp_path / "scan.pdf", "pdf", settings)
    parsed = parse_file(tmp_path / "mixed.pdf", "pdf", settings)
    assert parsed.warnings == (
        "page 1: no text that can be read; text recognition (OCR) is switched off ([index] ocr)",
    )
    assert parsed.unread_pages == (1,)


def test_too_many_pages_are_refused(manual: Path) -> None:
    with pytest.raises(FileRefused, match="has 3 pages, at most 2 are read"):
        parse_file(manual, "pdf", IndexSettings(max_pages=2))


def test_pages_of_running_lines_only_are_kept(tmp_path: Path) -> None:
    draw = Manual(tmp_path / "a.pdf")
    for _ in range(3):
        draw.end_page("Spare label")
    draw.save()
    assert parse_file(tmp_path / "a.pdf", "pdf", SETTINGS).elements[0].text == "Spare label"


def test_marks_of_a_drawing_are_dropped_and_short_words_kept(tmp_path: Path) -> None:
    draw = Manual(tmp_path / "a.pdf")
    for mark in ["1", "2 3", "A", "Closed", "No"]:
        draw.line(mark, gap=4)
    draw.end_page()
    draw.save()
    assert [e.text for e in parse_file(tmp_path / "a.pdf", "pdf", SETTINGS).elements] == ["Closed", "No"]


def test_a_table_without_outer_borders_that_runs_over_the_foots_rule_keeps_its_first_column(
    tmp_path: Path,
) -> None:
    manual = Manual(tmp_path / "a.pdf")
    canvas = manual.canvas
    canvas.setFont("Helvetica", 9)
    rows = [("Code", "Meaning"), *((f"E-{n}", f"fault number {n}") for n in range(11, 21))]
    for place, cells in enumerate(rows):
        canvas.line(72, 200 - 18 * place, 500, 200 - 18 * place)
        canvas.drawString(76, 187 - 18 * place, cells[0])
        canvas.drawString(204, 187 - 18 * place, cells[1])
    bottom = 200 - 18 * len(rows)
    canvas.line(72, bottom, 500, bottom)
    canvas.line(200, 200, 200, bottom)
    canvas.line(66, 25, 520, 25)
    manual.end_page()
    manual.save()
    (table,) = [
        row for row in parse_file(tmp_path / "a.pdf", "pdf", SETTINGS).elements if row.kind == "table"
    ]
    assert table.text.splitlines()[0] == "Code: E-11 · Meaning: fault number 11"
    assert len(table.text.splitlines()) == 10


def test_merged_cells_stand_in_all_of_their_places(tmp_path: Path) -> None:
    draw = Manual(tmp_path / "merged.pdf")
    draw.line("The faults with their causes and remedies stand in this table.")
    top, canvas = draw.y - 20, draw.canvas
    canvas.setFont("Helvetica", 9)
    cells = [
        (0, 0, 1, 2, "Code"), (1, 0, 2, 1, "Help"), (1, 1, 1, 1, "Cause"), (2, 1, 1, 1, "Remedy"),
        (0, 2, 1, 2, "E-47"), (1, 2, 1, 1, "Sensor broken"), (2, 2, 1, 1, "Replace it"),
        (1, 3, 1, 1, "Cable cut"), (2, 3, 1, 1, "Solder it"),
        (0, 4, 3, 1, "Doors and locks"),
        (0, 5, 1, 1, "E-48"), (1, 5, 1, 1, "Door open"), (2, 5, 1, 1, "Close it"),
    ]  # fmt: skip
    for x, y, width, height, text in cells:
        canvas.rect(72 + 130 * x, top - 18 * (y + height), 130 * width, 18 * height)
        canvas.drawString(76 + 130 * x, top - 18 * y - 13, text)
    draw.save()
    (table,) = (e for e in parse_file(tmp_path / "merged.pdf", "pdf", SETTINGS).elements if e.kind == "table")
    assert table.text.splitlines() == [
        "Code: E-47 · Help Cause: Sensor broken · Help Remedy: Replace it",
        "Code: E-47 · Help Cause: Cable cut · Help Remedy: Solder it",
        "Doors and locks",
        "Code: E-48 · Help Cause: Door open · Help Remedy: Close it",
    ]
