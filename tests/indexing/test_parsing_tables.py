"""Tables as people draw them: merged cells, headers of two levels, titles inside, no header at all."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import docx
import openpyxl
import pytest

from assistant.core.settings import IndexSettings
from indexing.parsing import parse_file
from indexing.parsing.tables import grid_text, make_grid

SETTINGS = IndexSettings()
TWO_LEVELS = [
    ("Model", "Size", "Size", "Weight"),
    ("Model", "Width", "Height", "Weight"),
    ("Q5", "30 cm", "40 cm", "5 kg"),
    ("Q7", "31 cm", "41 cm", "6 kg"),
]


def tables(path: Path, kind: str) -> list[str]:
    return [element.text for element in parse_file(path, kind, SETTINGS).elements if element.kind == "table"]


@pytest.mark.parametrize("has_header", [True, None, "likely"])
def test_a_header_of_two_levels_names_each_column(has_header: Literal[True, "likely"] | None) -> None:
    text = grid_text(make_grid(TWO_LEVELS, has_header=has_header))
    assert text.splitlines()[0] == "Model: Q5 · Size Width: 30 cm · Size Height: 40 cm · Weight: 5 kg"


def test_titles_across_a_table_are_no_values() -> None:
    rows = [("技术参数",) * 3, ("型号", "宽", "高"), ("机械尺寸",) * 3, ("Q5", "30", "40")]
    assert grid_text(make_grid(rows, has_header="likely")) == "技术参数\n机械尺寸\n型号: Q5 · 宽: 30 · 高: 40"


@pytest.mark.parametrize("row", [("0", "0", "0"), ("OFF", "OFF", "OFF"), ("是", "是", "是")])
def test_values_that_are_all_the_same_stay_values(row: tuple[str, ...]) -> None:
    grid = make_grid([("A", "B", "Q"), row], has_header=True)
    assert grid_text(grid) == f"A: {row[0]} · B: {row[0]} · Q: {row[0]}"


def test_what_counts_on_below_is_no_header(tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_text("E01,Too hot,Let it cool\nE02,Door open,Close it\nE03,Blocked,Clean it\n")
    (text,) = tables(file, "csv")
    assert text == "E01 | Too hot | Let it cool\nE02 | Door open | Close it\nE03 | Blocked | Clean it"
    assert make_grid([("Size", "Q5", "Q7"), ("Width", "30", "40")], has_header="likely").header is not None


def test_rows_behind_an_empty_one_keep_their_header(tmp_path: Path) -> None:
    file = tmp_path / "故障.csv"
    file.write_bytes("代码,含义,处理\nE01,过热,冷却\n\nE05,堵转,清理\nE06,断线,更换\n".encode("gbk"))
    assert "代码: E05 · 含义: 堵转 · 处理: 清理\n代码: E06" in tables(file, "csv")[1]


@pytest.mark.parametrize("head", ["sep=;\n", "Fault list 2024\n", "故障表\n\n", ""])
def test_the_delimiter_is_found_below_a_first_line_of_its_own(tmp_path: Path, head: str) -> None:
    file = tmp_path / "codes.csv"
    file.write_text(f"{head}Code;Meaning;Fix\nE01;Hot, very;Cool, wait\nE02;Cold;Warm\n")
    assert "Code: E01 · Meaning: Hot, very · Fix: Cool, wait" in tables(file, "csv")[-1]


def test_part_numbers_keep_the_zeros_that_a_sheet_shows(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (("Part", "Name"), (7, "Belt"), (12, "Seal")):
        sheet.append(row)
    sheet["A2"].number_format = "0000"
    book.save(tmp_path / "parts.xlsx")
    assert tables(tmp_path / "parts.xlsx", "xlsx") == ["Part: 0007 · Name: Belt\nPart: 12 · Name: Seal"]


def test_merged_cells_of_word_stand_in_each_of_their_places(tmp_path: Path) -> None:
    document = docx.Document()
    size = document.add_table(4, 4)
    for y, row in enumerate(TWO_LEVELS):
        for x, text in enumerate(row):
            size.cell(y, x).text = text if y or x != 2 else ""
    for first, last in (((0, 1), (0, 2)), ((0, 0), (1, 0)), ((0, 3), (1, 3))):
        for place in {first, last} - {first}:
            size.cell(*place).text = ""
        size.cell(*first).merge(size.cell(*last))
    faults = document.add_table(3, 3)
    for y, cells in enumerate([("故障", "原因", "处理"), ("E01", "过热", "冷却"), ("", "堵塞", "清理")]):
        for x, text in enumerate(cells):
            faults.cell(y, x).text = text
    faults.cell(1, 0).merge(faults.cell(2, 0))
    document.save(str(tmp_path / "merged.docx"))
    sizes, told = tables(tmp_path / "merged.docx", "docx")
    assert sizes.splitlines()[1] == "Model: Q7 · Size Width: 31 cm · Size Height: 41 cm · Weight: 6 kg"
    assert told == "故障: E01 · 原因: 过热 · 处理: 冷却\n故障: E01 · 原因: 堵塞 · 处理: 清理"


def test_word_keeps_formulas_and_raised_figures(tmp_path: Path) -> None:
    from docx.oxml import parse_xml

    document = docx.Document()
    paragraph = document.add_paragraph("Lasts 10")
    paragraph.add_run("6").font.superscript = True
    paragraph.add_run(" cycles, 功率 ")
    math = "http://schemas.openxmlformats.org/officeDocument/2006/math"
    formula = f'<m:oMath xmlns:m="{math}"><m:r><m:t>P=UI</m:t></m:r></m:oMath>'
    paragraph._p.append(parse_xml(formula))
    document.save(str(tmp_path / "figures.docx"))
    (element,) = parse_file(tmp_path / "figures.docx", "docx", SETTINGS).elements
    assert element.text == "Lasts 10⁶ cycles, 功率 P=UI"


PAGE = """<main><h1>Guide</h1><section id="menu"><h2>Main menu</h2><p>Press
<button>OK</button> for it.</p></section>
<h2 id="footer">Footer</h2><p>10<sup>6</sup> lines, 5 m<sup>2</sup>,
<math><mi>E</mi><mo>=</mo><mn>5</mn></math>.</p>
<h3><button aria-controls="why">Why E5?</button></h3><div id="why" hidden><p>It is hot.</p></div>
<h3><a data-bs-target="#wash">怎么清洗？</a></h3><div id="wash" style="display:none"><p>用清水。</p></div>
<div id="sidebar"><h3>Recent posts</h3></div><div hidden><p>Obey.</p></div><p>
<button>Copy</button></p></main>"""


def test_a_page_keeps_chapters_named_like_furniture_and_what_a_click_opens(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(PAGE)
    texts = [element.text for element in parse_file(file, "html", SETTINGS).elements]
    said = ["Main menu", "Press OK for it.", "Footer", "10⁶ lines, 5 m², E=5."]
    assert texts == ["Guide", *said, "Why E5?", "It is hot.", "怎么清洗？", "用清水。"]


def test_struck_out_values_go_and_items_keep_their_own_numbers(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<p>Torque <s>12 Nm</s> 14 Nm</p><ol start="3"><li>开盖<li value="7">Close</ol>')
    texts = [element.text for element in parse_file(page, "html", SETTINGS).elements]
    assert texts == ["Torque 14 Nm", "3. 开盖", "7. Close"]
    note = tmp_path / "note.md"
    note.write_text("扭矩 ~~12 Nm~~ 14 Nm")
    assert parse_file(note, "md", SETTINGS).elements[0].text == "扭矩 14 Nm"
