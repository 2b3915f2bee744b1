"""What each reader makes of its format; English and Chinese."""

from __future__ import annotations

import codecs
import datetime
from pathlib import Path

import docx
import openpyxl
import pytest

from assistant.core.errors import FileRefused
from assistant.core.records import Element, ParsedDocument
from assistant.core.settings import IndexSettings
from indexing.parsing import parse_file
from indexing.parsing.decoding import decode
from indexing.parsing.text_joining import join_lines

SETTINGS = IndexSettings()
CHINESE = "设备在启动时出现故障，我们已经更换了主控板，现在可以正常工作了。请用户注意保养的时间。"
TRADITIONAL = "設備在啟動時出現故障，我們已經更換了主機板，現在可以正常工作了。這是一個說明。"


def parse(path: Path, kind: str, content: str | bytes) -> ParsedDocument:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return parse_file(path, kind, SETTINGS)


def shape(elements: tuple[Element, ...]) -> list[tuple[str, int, str]]:
    return [(element.kind, element.depth, element.text) for element in elements]


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        (CHINESE, CHINESE.encode("gb18030")),
        (TRADITIONAL, TRADITIONAL.encode("big5")),
        (CHINESE, CHINESE.encode("utf-8-sig")),
        (CHINESE, codecs.BOM_UTF16_BE + CHINESE.encode("utf-16-be")),
        ("Gap at the wear ring: 0.4 mm", "Gap at the wear ring: 0.4 mm".encode("utf-16-le")),
        ("Das Gerät läuft für Sie – überall.", "Das Gerät läuft für Sie – überall.".encode("cp1252")),
        (f"{CHINESE * 3}\ufffd", f"{CHINESE * 3}".encode() + b"\xff"),
    ],
    ids=["gb18030", "big5", "utf-8-sig", "utf-16-bom", "utf-16-no-bom", "cp1252", "one-bad-byte"],
)
def test_decoding(text: str, raw: bytes) -> None:
    assert decode(raw, Path("x.txt")) == text


def test_decoding_declared_in_the_page() -> None:
    page = f'<html><meta charset="gb2312"><p>{CHINESE}</p>'
    assert CHINESE in decode(page.encode("gbk"), Path("x.html"))


MARKDOWN = """---
title: "T 系列手册"
---
# 手册

这是一段
跨行的中文。
Steps:
- open
  - the `lid`
- close

<a id="p1"></a>

Second passage.

---

## Codes

```sh
# not a heading
reset  --all
```

| Code | Meaning |
|------|---------|
| E-11 | Dry running |
"""


def test_markdown_keeps_structure(tmp_path: Path) -> None:
    parsed = parse(tmp_path / "a.md", "md", MARKDOWN)
    assert parsed.title == "T 系列手册"
    assert shape(parsed.elements) == [
        ("title", 0, "手册"),
        ("text", 0, "这是一段跨行的中文。 Steps:"),
        ("list_item", 0, "open"),
        ("list_item", 0, "the lid"),
        ("list_item", 0, "close"),
        ("text", 0, "Second passage."),
        ("title", 1, "Codes"),
        ("code", 0, "# not a heading\nreset  --all"),
        ("table", 0, "Code: E-11 · Meaning: Dry running"),
    ]
    assert [e.text for e in parsed.elements if e.starts_passage] == ["Second passage.", "Codes"]


PAGE = """<html><head><title>Policy – Maker</title><style>p {}</style></head><body>
<nav><ul><li><a href="/">Home</a></li></ul></nav>
<main><h1>Policy <a class="headerlink" href="#p">¶</a></h1>
<ol><li>Stop the pump<ul><li>both models</li></ul></li><li><p>Drain it</p><p>slowly</p></li></ol>
<dl><dt>LINK</dt><dd>starts pairing</dd></dl>
<table><caption>Fees</caption><tr><th>Item</th><th>Price</th></tr>
<tr><td rowspan="2">Visit</td><td>96<br>EUR</td></tr><tr><td>120 EUR</td></tr></table>
<table><tr><td>Note</td><td><p>Prices without tax.</p></td></tr></table>
first line<br><br>second line
<h3>保修
期限</h3><p>整机
保修</p></main>
<footer>Imprint</footer><script>track()</script></body></html>"""


def test_html_without_furniture(tmp_path: Path) -> None:
    parsed = parse(tmp_path / "a.html", "html", PAGE)
    assert parsed.title == "Policy"
    assert shape(parsed.elements) == [
        ("title", 0, "Policy"),
        ("list_item", 0, "1. Stop the pump"),
        ("list_item", 0, "both models"),
        ("list_item", 0, "2. Drain it"),
        ("text", 0, "slowly"),
        ("list_item", 0, "LINK: starts pairing"),
        ("table", 0, "Fees\nItem: Visit · Price: 96 EUR\nItem: Visit · Price: 120 EUR"),
        ("text", 0, "Note"),
        ("text", 0, "Prices without tax."),
        ("text", 0, "first line"),
        ("text", 0, "second line"),
        ("title", 2, "保修期限"),
        ("text", 0, "整机保修"),
    ]


def test_table_without_header_cells_is_not_given_a_header(tmp_path: Path) -> None:
    rows = "".join(f"<tr><td>m{n}</td><td>ATmega{n}</td></tr>" for n in (16, 32, 64))
    parsed = parse(tmp_path / "a.html", "html", f"<p>Parts</p><table>{rows}</table>")
    assert parsed.elements[1].text == "m16 | ATmega16\nm32 | ATmega32\nm64 | ATmega64"


def test_page_that_holds_links_only_is_kept(tmp_path: Path) -> None:
    links = "".join(f'<li><a href="p{n}.html">Page {n}</a></li>' for n in range(9))
    parsed = parse(tmp_path / "a.html", "html", f"<ul>{links}</ul>")
    assert [element.text for element in parsed.elements][:2] == ["Page 0", "Page 1"]


def test_chinese_text_file_has_titles_only_where_numbered_or_underlined(tmp_path: Path) -> None:
    text = (
        "维修手册\n========\n\n第一章 概述\n\n设备由三部分组成\n\n本机适用于厨房\n\n1.2 安装\n\n- 打开水阀\n"
    )
    parsed = parse(tmp_path / "a.txt", "txt", text)
    assert shape(parsed.elements) == [
        ("title", 0, "维修手册"),
        ("title", 0, "第一章 概述"),
        ("text", 0, "设备由三部分组成"),
        ("text", 0, "本机适用于厨房"),
        ("title", 2, "1.2 安装"),
        ("list_item", 0, "打开水阀"),
    ]


def test_wrapped_lines_of_a_text_file_are_joined(tmp_path: Path) -> None:
    text = (
        "The pump moves warm water through the heating pipes\nof your building. It finds the right\nspeed.\n"
    )
    parsed = parse(tmp_path / "a.txt", "txt", text)
    assert [e.text for e in parsed.elements] == [
        "The pump moves warm water through the heating pipes of your building. It finds the right speed."
    ]


PACKED = """手册
一、安装
将设备放在平稳处，远离热源，周围留出十厘米的空隙，电源线不得受压。
二、故障
故障12：电机过载，请检查负载并重新启动设备，仍不能启动时请联系服务商处理。
故障13：门未关好，请关好门并重新启动设备，仍不能启动时请联系服务商处理吧。

E01 Over temperature: let the unit cool down for ten minutes.
E02 Door open while running: close the door and press reset
and wait for the lamp to go out before starting it again.
"""


def test_text_without_empty_lines_keeps_its_chapters_and_its_list_of_faults(tmp_path: Path) -> None:
    elements = parse(tmp_path / "packed.txt", "txt", PACKED).elements
    assert [element.text for element in elements if element.kind == "title"] == ["一、安装", "二、故障"]
    assert [element.text[:4] for element in elements[-4:]] == ["故障12", "故障13", "E01 ", "E02 "]
    assert elements[-1].text.endswith("press reset and wait for the lamp to go out before starting it again.")


def test_csv_keeps_cells_as_written(tmp_path: Path) -> None:
    parsed = parse(
        tmp_path / "a.csv", "csv", "零件号;名称;价格\n007;加热管;64.50\n008;;7\n".encode("gb18030")
    )
    assert parsed.elements[0].text == "零件号: 007 · 名称: 加热管 · 价格: 64.50\n零件号: 008 · 价格: 7"


def test_tickets_are_one_element_each(tmp_path: Path) -> None:
    parsed = parse(tmp_path / "t.csv", "csv", 'id,问题,处理结果\n1,"趴窝了,\n没反应",换主板\n2,漏水,换密封\n')
    assert [(e.origin, e.text) for e in parsed.elements] == [
        ("ticket", "id: 1\n问题: 趴窝了, 没反应\n答复: 换主板"),
        ("ticket", "id: 2\n问题: 漏水\n答复: 换密封"),
    ]


def test_dialogues_are_one_element_each_and_bad_lines_are_named(tmp_path: Path) -> None:
    rows = (
        '{"turns":[{"role":"user","text":"E-14?"},{"role":"agent","text":"Rotor."}],"resolution":"Freed"}\n'
    )
    parsed = parse(tmp_path / "d.jsonl", "jsonl", rows + '{"turns":\n\n{"question":"q","answer":"a"}\n')
    assert [(e.origin, e.text) for e in parsed.elements] == [
        ("dialogue", "user: E-14?\nagent: Rotor.\nresolution: Freed"),
        ("ticket", "question: q\nresolution: a"),
    ]
    assert parsed.warnings == ("1 lines hold no dialogue and are left out (line 2)",)


def test_workbook_shows_cells_as_the_sheet_does(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "配件"
    sheet.append(["Prices of 2025"])
    sheet.append(["Part number", "Price", "Share", "Since"])
    sheet.append(["0042", 64.5, 0.125, datetime.date(2025, 3, 1)])
    sheet["B3"].number_format, sheet["C3"].number_format = "0.00", "0.0%"
    book.create_sheet("Old").append(["secret"])
    book["Old"].sheet_state = "hidden"
    book.save(tmp_path / "a.xlsx")
    parsed = parse_file(tmp_path / "a.xlsx", "xlsx", SETTINGS)
    assert shape(parsed.elements) == [
        ("title", 1, "配件"),
        ("text", 0, "Prices of 2025"),
        ("table", 0, "Part number: 0042 · Price: 64.50 · Share: 12.5% · Since: 2025-03-01"),
    ]
    assert parsed.warnings == ("hidden sheet 'Old' is left out",)


def test_word_keeps_headings_lists_and_tables(tmp_path: Path) -> None:
    document = docx.Document()
    document.core_properties.title = "用户手册"
    document.add_heading("Guide", 0)
    document.add_heading("Buttons", 1)
    document.add_paragraph("There are two.")
    document.add_paragraph("UP", style="List Bullet")
    table = document.add_table(rows=0, cols=2)
    for row in [("Button", "What it does"), ("OK", "Saves a value")]:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    document.save(str(tmp_path / "a.docx"))
    parsed = parse_file(tmp_path / "a.docx", "docx", SETTINGS)
    assert parsed.title == "用户手册"
    assert shape(parsed.elements) == [
        ("title", 0, "Guide"),
        ("title", 1, "Buttons"),
        ("text", 0, "There are two."),
        ("list_item", 0, "UP"),
        ("table", 0, "Button: OK · What it does: Saves a value"),
    ]


@pytest.mark.parametrize(
    ("kind", "content", "says"),
    [
        ("txt", " \n \n", "holds no text"),
        ("html", "<html><script>x()</script></html>", "holds no text"),
        ("jsonl", "{}\n", "holds no dialogue"),
        ("docx", "PK\x03\x04 broken", "is corrupt"),
        ("xlsx", "PK\x03\x04 broken", "is corrupt"),
        ("pdf", "%PDF-1.7 broken", "is corrupt"),
    ],
)
def test_nothing_readable_is_refused(tmp_path: Path, kind: str, content: str, says: str) -> None:
    with pytest.raises(FileRefused, match=says):
        parse(tmp_path / f"a.{kind}", kind, content)


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("拆下右", "侧板", "拆下右侧板"),
        ("a per-", "manent magnet", "a permanent magnet"),
        ("a self-", "resetting fault", "a self-resetting fault"),
        ("the Q-", "Series", "the Q-Series"),
        ("with plug", "X7", "with plug X7"),
        ("插头", "X7", "插头 X7"),
        ("http://host/\u00ad", "path", "http://host/path"),
    ],
)
def test_joining_of_wrapped_lines(first: str, second: str, joined: str) -> None:
    assert join_lines(first, second, words=frozenset({"self-resetting"})) == joined
