"""Mails with attachments, saved web pages, books and reStructuredText; English and Chinese."""

from __future__ import annotations

import io
import zipfile
from email.message import EmailMessage
from pathlib import Path

import openpyxl
import pytest

from assistant.core.errors import FileRefused
from assistant.core.records import Element, ParsedDocument
from assistant.core.settings import IndexSettings
from indexing.parsing import parse_file
from indexing.parsing.ocr_pages import PageProgress
from indexing.parsing.partition import Partition

SETTINGS = IndexSettings()


def parse(path: Path, kind: str, content: str | bytes) -> ParsedDocument:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return parse_file(path, kind, SETTINGS)


def shape(elements: tuple[Element, ...]) -> list[tuple[str, int, str]]:
    return [(element.kind, element.depth, element.text) for element in elements]


@pytest.fixture
def message() -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "水泵漏水 pump leaks"
    message["From"] = "李雷 <li@example.com>"
    message["To"] = "service@example.com"
    message["Date"] = "Mon, 02 Mar 2026 09:00:00 +0800"
    return message


HEAD = [
    ("title", 0, "水泵漏水 pump leaks"),
    ("text", 0, "From: 李雷 <li@example.com> · To: service@example.com · Date: 2026-03-02 09:00+08:00"),
]


def test_mail_with_two_bodies_and_attachments(tmp_path: Path, message: EmailMessage) -> None:
    message.set_content("plain words only\n")
    message.add_alternative("<p>Parts:</p><ul><li>Seal</li><li>密封圈</li></ul>", subtype="html")
    book = openpyxl.Workbook()
    book.worksheets[0].append(["Part", "Price"])
    book.worksheets[0].append(["S-7", "12"])
    table = io.BytesIO()
    book.save(table)
    message.add_attachment(
        table.getvalue(), maintype="application", subtype="octet-stream", filename="价格.xlsx"
    )
    message.add_attachment(bytes(range(256)), maintype="application", subtype="x", filename="tool.bin")
    inner = EmailMessage()
    inner["Subject"], inner["From"] = "Earlier", "b@example.com"
    inner.set_content("It began on Monday.")
    message.add_attachment(inner)
    parsed = parse(tmp_path / "a.eml", "eml", message.as_bytes())
    assert shape(parsed.elements) == [
        *HEAD,
        ("text", 0, "Parts:"),
        ("list_item", 0, "Seal"),
        ("list_item", 0, "密封圈"),
        ("title", 1, "价格.xlsx"),
        ("title", 3, "Sheet"),
        ("table", 0, "Part: S-7 · Price: 12"),
        ("title", 1, "Earlier.eml"),
        ("title", 2, "Earlier"),
        ("text", 0, "From: b@example.com"),
        ("text", 0, "It began on Monday."),
    ]
    assert len(parsed.warnings) == 1
    assert parsed.warnings[0].startswith("attachment 'tool.bin' is not read: it is binary")


def test_plain_body_is_taken_where_the_page_lacks_the_text(tmp_path: Path, message: EmailMessage) -> None:
    message.set_content("The pump leaks at the lower seal.\n\n-- \nLi Lei\nExample Ltd\n")
    message.add_alternative("<p><img src='x'>Hi</p>", subtype="html")
    parsed = parse(tmp_path / "a.eml", "eml", message.as_bytes())
    assert shape(parsed.elements) == [*HEAD, ("text", 0, "The pump leaks at the lower seal.")]


def test_quotes_behind_a_signature_are_kept(tmp_path: Path, message: EmailMessage) -> None:
    message.set_content("Hi.\n\n-- \nLi\n" + ("> " + "x" * 60 + "\n") * 30)
    parsed = parse(tmp_path / "a.eml", "eml", message.as_bytes())
    assert sum(element.text.count("x" * 60) for element in parsed.elements) == 30


def test_flowed_lines_are_joined_and_their_signature_is_left_out(
    tmp_path: Path, message: EmailMessage
) -> None:
    message.set_content("text \nmore \n-- \nLi\n")
    message.set_param("format", "flowed")
    parsed = parse(tmp_path / "a.eml", "eml", message.as_bytes())
    assert shape(parsed.elements) == [*HEAD, ("text", 0, "text more")]


def test_each_attachment_tells_its_recognised_pages(
    tmp_path: Path, message: EmailMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recognise(_path: Path, _settings: IndexSettings, on_page: PageProgress) -> Partition:
        on_page(0, 1)
        on_page(1, 1)
        return Partition(elements=[])

    monkeypatch.setattr("indexing.parsing.pdf.read_pdf", recognise)
    message.set_content("See the scans.")
    for name in ("a.pdf", "b.pdf"):
        message.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename=name)
    (tmp_path / "a.eml").write_bytes(message.as_bytes())
    told: list[tuple[int, int]] = []
    parse_file(tmp_path / "a.eml", "eml", SETTINGS, lambda done, total: told.append((done, total)))
    assert told == [(0, 1), (1, 1)] * 2


def test_mail_whose_charset_is_missing_or_wrong(tmp_path: Path) -> None:
    body = "设备在启动时出现故障，我们已经更换了主控板，现在可以正常工作了。"
    head = b"From: a@example.com\nSubject: " + "水泵在漏水，请处理问题".encode("gb18030")
    for declared in (b"", b"Content-Type: text/plain; charset=iso-8859-1\n"):
        raw = head + b"\nMIME-Version: 1.0\n" + declared + b"\n" + body.encode("gb18030") + b"\n"
        parsed = parse(tmp_path / "a.eml", "eml", raw)
        assert (parsed.title, parsed.elements[-1].text) == ("水泵在漏水，请处理问题", body)


def test_mails_inside_mails_end(tmp_path: Path) -> None:
    message = EmailMessage()
    message.set_content("core")
    for number in range(9):
        outer = EmailMessage()
        outer["Subject"] = f"level {number}"
        outer.set_content("see below")
        outer.add_attachment(message)
        message = outer
    parsed = parse(tmp_path / "a.eml", "eml", message.as_bytes())
    assert "core" not in [element.text for element in parsed.elements]
    assert "is a mail inside too many mails" in parsed.warnings[0]


MHTML = """From: <Saved by Blink>
Snapshot-Content-Location: https://example.com/
Subject: Manual
MIME-Version: 1.0
Content-Type: multipart/related; type="text/html"; boundary="----b"

------b
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<html><nav>Menu</nav><body><h1>Q7</h1><p>=E5=85=88=E6=96=AD=E7=94=B5=E3=80=
=82</p></body></html>
------b
Content-Type: text/css

p { color: red }
------b--
"""


def test_saved_web_page(tmp_path: Path) -> None:
    parsed = parse(tmp_path / "a.mhtml", "mhtml", MHTML)
    assert shape(parsed.elements) == [("title", 0, "Q7"), ("text", 0, "先断电。")]
    with pytest.raises(FileRefused, match="holds no web page"):
        parse(tmp_path / "b.mhtml", "mhtml", MHTML.replace("text/html; charset", "text/x; charset"))


def write_book(path: Path, *, encryption: str = "", pack: int = zipfile.ZIP_STORED) -> None:
    chapters = {
        "c 1.xhtml": "<h1>第一章</h1><p>先断电。</p>",
        "c2.xhtml": "<h1>Two</h1><ul><li>Open</li></ul><aside>Note: see page 3.</aside>",
    }
    items = (
        '<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
        '<item id="b" href="c2.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="a" href="c%201.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="gone" href="gone.xhtml" media-type="application/xhtml+xml"/>'
    )
    order = "".join(f'<itemref idref="{name}"/>' for name in ("nav", "a", "b", "gone"))
    with zipfile.ZipFile(path, "w", pack) as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr(
            "META-INF/container.xml", '<container><rootfile full-path="OPS/book.opf"/></container>'
        )
        archive.writestr(
            "OPS/book.opf",
            f"<package><metadata><title>手册</title></metadata><manifest>{items}</manifest>"
            f"<spine>{order}</spine></package>",
        )
        archive.writestr("OPS/nav.xhtml", "<html><body><p>Contents</p></body></html>")
        for name, body in chapters.items():
            archive.writestr(f"OPS/{name}", f"<html><body>{body}</body></html>")
        if encryption:
            archive.writestr(
                "META-INF/encryption.xml", f'<e><EncryptionMethod Algorithm="{encryption}"/></e>'
            )


def test_book_is_read_in_its_order(tmp_path: Path) -> None:
    write_book(tmp_path / "a.epub", encryption="http://www.idpf.org/2008/embedding")
    parsed = parse_file(tmp_path / "a.epub", "epub", SETTINGS)
    assert parsed.title == "手册"
    assert shape(parsed.elements) == [
        ("title", 0, "第一章"),
        ("text", 0, "先断电。"),
        ("title", 0, "Two"),
        ("list_item", 0, "Open"),
        ("text", 0, "Note: see page 3."),
    ]
    assert parsed.warnings == ("chapter 'gone.xhtml' is missing",)


def test_damaged_chapter_costs_no_other(tmp_path: Path) -> None:
    write_book(
        tmp_path / "a.epub", encryption="http://www.idpf.org/2008/embedding", pack=zipfile.ZIP_DEFLATED
    )
    with zipfile.ZipFile(tmp_path / "a.epub") as archive:
        info = archive.getinfo("OPS/c 1.xhtml")
    raw = bytearray((tmp_path / "a.epub").read_bytes())
    start = info.header_offset + 30 + len(info.filename)
    raw[start : start + info.compress_size] = b"\xff" * info.compress_size
    (tmp_path / "a.epub").write_bytes(raw)
    parsed = parse_file(tmp_path / "a.epub", "epub", SETTINGS)
    assert parsed.elements[0].text == "Two"
    assert parsed.warnings == ("chapter 'c%201.xhtml' is damaged", "chapter 'gone.xhtml' is missing")


def test_protected_book_is_refused(tmp_path: Path) -> None:
    write_book(tmp_path / "a.epub", encryption="http://www.w3.org/2001/04/xmlenc#aes128-cbc")
    with pytest.raises(FileRefused, match="protected"):
        parse_file(tmp_path / "a.epub", "epub", SETTINGS)


RST = """
手册
====

.. toctree::
   :maxdepth: 2

   other

这是一段
跨行的中文，见 :ref:`安装 <install>` 和 :custom:`~mod.name`。

Codes
-----

.. list-table::
   :header-rows: 1

   * - Code
     - Meaning
   * - E-11
     - Dry running

.. warning:: Switch off first.

.. deviceinfo:: Model Q7
   :flags: a, b

   Weighs 3 kg [1]_.

.. code-block:: sh
   :emphasize-lines: 1

   reset --all

.. include:: /etc/passwd

.. raw:: html

   <script>x()</script>

.. [1] Without water.
"""


def test_restructured_text_keeps_what_only_sphinx_knows(tmp_path: Path) -> None:
    parsed = parse(tmp_path / "a.rst", "rst", RST)
    assert parsed.title == "手册"
    assert shape(parsed.elements) == [
        ("title", 0, "手册"),
        ("text", 0, "这是一段跨行的中文，见 安装 和 mod.name。"),
        ("title", 1, "Codes"),
        ("table", 0, "Code: E-11 · Meaning: Dry running"),
        ("text", 0, "Warning: Switch off first."),
        ("text", 0, "Model Q7"),
        ("text", 0, "Weighs 3 kg."),
        ("text", 0, "Without water."),
        ("code", 0, "reset --all"),
    ]


@pytest.mark.parametrize("directive", ["image", "figure"])
def test_restructured_text_embeds_no_file(tmp_path: Path, directive: str) -> None:
    secret = tmp_path / "secret.svg"
    secret.write_text("<p>SECRET</p>", "utf-8")
    source = f"Before\n\n.. {directive}:: {secret.as_uri()}\n   :loading: embed\n\n|p|\n\n.. |p| image:: "
    parsed = parse(tmp_path / "a.rst", "rst", f"{source}{secret}\n   :loading: embed\n")
    assert parsed.elements[0].text == "Before"
    assert "SECRET" not in repr(parsed)
