"""Pages without text: which are recognised, in what language, and what a person is told.

A shell script stands in for tesseract: it prints what it is given, so that these tests need no models.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing import parse_file
from indexing.parsing.ocr import OcrFailed, Recognizer, find_languages
from indexing.parsing.ocr_hocr import join_words, parse_hocr

SETTINGS = IndexSettings()
PAGE = (600, 800)  # points, and pixels of the pictures on it
_SCRIPT = """#!/bin/sh
here=$(dirname "$0")
case "$*" in
*--list-langs*) cat "$here/langs"; exit ;;
esac
read -r magic width rest
cat > /dev/null
case "$*" in
*"--psm 0"*) cat "$here/turn" ;;
*) echo "$4" >> "$here/log"; cat "$here/$4-$width.hocr" 2> /dev/null || cat "$here/$4.hocr" ;;
esac
"""

Line = tuple[str, int, float]  # text, upper edge in pixels, confidence


class FakeTesseract:
    """What the script prints for each language, and what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        script = folder / "tesseract"
        script.write_text(_SCRIPT)
        script.chmod(0o755)
        self.installs("eng", "chi_sim")
        (folder / "turn").write_text("Rotate: 0\n")

    def installs(self, *languages: str) -> None:
        (self.folder / "langs").write_text("List of available languages (2):\n" + "\n".join(languages) + "\n")

    def reads(
        self, language: str, lines: Sequence[Line], *, width: int | None = None, size: int = 40
    ) -> None:
        name = f"{language}-{width}.hocr" if width else f"{language}.hocr"
        (self.folder / name).write_text(hocr(lines, size), "utf-8")

    @property
    def asked(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text().split() if log.exists() else []


def hocr(lines: Sequence[Line], size: int = 40) -> str:
    spans = []
    for text, top, confidence in lines:
        height = size * 2 if text.startswith("# ") else size
        words = " ".join(
            f"<span class='ocrx_word' title='bbox 0 0 9 9; x_wconf {confidence * 100:.0f}'>{word}</span>"
            for word in text.removeprefix("# ").split()
        )
        place = f"bbox 100 {top} 1500 {top + height}; baseline 0 0; x_size {height}"
        spans.append(f"<span class='ocr_line' title='{place}'>{words}</span>")
    body = "\n".join(spans)
    return f"<html xmlns='http://www.w3.org/1999/xhtml'><body><div><p>{body}</p></div></body></html>"


@pytest.fixture
def tesseract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTesseract:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return FakeTesseract(folder)


@pytest.fixture
def no_tesseract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


DrawPdf = Callable[..., Path]


@pytest.fixture
def draw_pdf(tmp_path: Path) -> DrawPdf:
    """Return a function that makes a PDF of pages: a text, None for a scan, or both as ``(text,)``."""
    picture = tmp_path / "scan.png"
    image = Image.new("L", PAGE, "white")
    ImageDraw.Draw(image).rectangle((100, 100, 500, 140), fill=0)
    image.save(picture)

    def draw(*pages: str | tuple[str] | None) -> Path:
        path = tmp_path / "a.pdf"
        canvas = Canvas(str(path), pagesize=PAGE)
        for page in pages:
            if not isinstance(page, str):
                canvas.drawImage(str(picture), 0, 0, *PAGE)
            text = page if isinstance(page, str) else page[0] if page else ""
            canvas.drawString(72, 700, text)
            canvas.showPage()
        canvas.save()
        return path

    return draw


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["Stop", "the", "pump."], "Stop the pump."),
        (["用", "主", "开关", "停", "泵", "，", "等"], "用主开关停泵，等"),
        (["螺栓", ":", "超过", "0.05", "mm", "时"], "螺栓：超过0.05 mm时"),
        (["工具", "EX-204", "(零件", "号", "8830)", "将"], "工具EX-204（零件号8830）将"),
        (["130", "*C。", "at", "95", "“C"], "130 °C。at 95 °C"),
        (["ratio", "1:2", "(see", "below)"], "ratio 1:2 (see below)"),
    ],
)
def test_words_are_joined_as_their_language_is_written(words: list[str], line: str) -> None:
    assert join_words(words) == line


def test_nothing_recognised_is_an_empty_reading() -> None:
    for raw in (b"", b"<html", hocr([]).encode()):
        assert parse_hocr(raw, "eng").lines == ()


def test_scanned_page_becomes_elements_with_confidence(tesseract: FakeTesseract, draw_pdf: DrawPdf) -> None:
    lines = [
        ("# Shaft seal", 100, 0.9),
        ("Stop the pump and close", 300, 0.8),
        ("both valves.", 360, 1.0),
        ("The line of a drawing", 500, 0.3),
        ("Clean the seat.", 700, 0.9),
        ("Fit the seal.", 900, 0.9),
    ]
    tesseract.reads("eng", lines)
    tesseract.reads("chi_sim+eng", [])
    parsed = parse_file(draw_pdf("Chapter one is text.", None), "pdf", SETTINGS)
    found = [(e.kind, e.text, e.page, e.confidence and round(e.confidence, 2)) for e in parsed.elements]
    assert found == [
        ("text", "Chapter one is text.", 1, None),
        ("title", "Shaft seal", 2, 0.9),
        ("text", "Stop the pump and close both valves.", 2, 0.87),
        ("text", "Clean the seat.", 2, 0.9),
        ("text", "Fit the seal.", 2, 0.9),
    ]
    assert parsed.warnings == ()


def test_only_pages_without_text_are_recognised(tesseract: FakeTesseract, draw_pdf: DrawPdf) -> None:
    tesseract.reads("eng", [("All that the scan says stands here.", 300, 0.95)])
    parsed = parse_file(draw_pdf("Text.", "", None, ("SCANNED 7",)), "pdf", SETTINGS)
    assert tesseract.asked == ["eng", "eng"]  # neither the page of text nor the blank one
    assert [(e.page, e.text) for e in parsed.elements] == [
        (1, "Text."),
        (3, "All that the scan says stands here."),
        (4, "All that the scan says stands here."),
    ]


def test_a_page_whose_font_says_nothing_is_recognised(tesseract: FakeTesseract, tmp_path: Path) -> None:
    pdfmetrics.registerFont(TTFont("Vera", "Vera.ttf"))
    path = tmp_path / "a.pdf"
    canvas = Canvas(str(path), pageCompression=0)
    canvas.setFont("Vera", 14)
    canvas.drawString(72, 700, "Stop the pump")
    canvas.save()
    path.write_bytes(re.sub(rb"> <00([0-9A-F]{2})>", rb"> <E0\1>", path.read_bytes()))
    tesseract.reads("eng", [("Stop the pump", 300, 0.95)])
    assert [e.text for e in parse_file(path, "pdf", SETTINGS).elements] == ["Stop the pump"]
    with pytest.raises(FileRefused, match=r"fonts do not say which characters they draw.*switched off"):
        parse_file(path, "pdf", IndexSettings(ocr="off"))


GARBLED = ("FH RA i FR HF HE", 0.2)


@pytest.mark.parametrize(
    ("first", "readings", "asked", "best"),
    [
        ("eng", {"eng": [("Stop the pump", 0.95)]}, ["eng"], "eng"),
        ("eng", {"eng": [GARBLED], "chi_sim": [("更换轴封", 0.9)]}, ["eng", "chi_sim"], "chi_sim"),
        (
            "eng",  # a table of numbers in bad print: nothing reads it better
            {"eng": [("Stcp tne pvmp", 0.5), ("and wait a minute", 0.9)], "chi_sim+eng": [("Stcp tne", 0.4)]},
            ["eng", "chi_sim+eng"],
            "eng",
        ),
        (
            "eng",
            {
                "eng": [("Stop the pump", 0.95), GARBLED],
                "chi_sim+eng": [("Stop the pump", 0.9), ("停泵", 0.9)],
            },
            ["eng", "chi_sim+eng"],
            "chi_sim+eng",
        ),
        (
            "eng",
            {"eng": [GARBLED], "chi_sim": [("用Stcp停泵", 0.7)], "chi_sim+eng": [("用 Stop 停泵", 0.9)]},
            ["eng", "chi_sim", "chi_sim+eng"],
            "chi_sim+eng",
        ),
        ("chi_sim", {"chi_sim": [("更换轴封", 0.9)]}, ["chi_sim"], "chi_sim"),
        ("chi_sim", {"chi_sim": [("Stcp", 0.7)], "eng": [("Stop", 0.9)]}, ["chi_sim", "eng"], "eng"),
        (
            "chi_sim+eng",
            {"chi_sim+eng": [("更换轴封", 0.5)], "chi_sim": [("更换轴封", 0.9)]},
            ["chi_sim+eng", "chi_sim"],
            "chi_sim",
        ),
        ("chi_sim+eng", {"chi_sim+eng": [("用 Stop 停泵", 0.9)]}, ["chi_sim+eng"], "chi_sim+eng"),
    ],
)
def test_languages_are_tried_until_one_fits(
    tesseract: FakeTesseract,
    first: str,
    readings: dict[str, list[tuple[str, float]]],
    asked: list[str],
    best: str,
) -> None:
    for languages, lines in readings.items():
        tesseract.reads(
            languages, [(text, 300 + 60 * place, sure) for place, (text, sure) in enumerate(lines)]
        )
    reading = Recognizer(find_languages(), 20).read(Image.new("L", PAGE, "white"), 300, first)
    assert (tesseract.asked, reading.languages) == (asked, best)


def test_a_document_of_one_language_is_tried_in_it_first(tesseract: FakeTesseract, draw_pdf: DrawPdf) -> None:
    tesseract.reads("eng", [(GARBLED[0], 300, GARBLED[1])])
    tesseract.reads("chi_sim", [("更换轴封", 300, 0.9)])
    pages = 3 * len(os.sched_getaffinity(0)) + 3
    parse_file(draw_pdf(*[None] * pages), "pdf", SETTINGS)
    assert tesseract.asked.count("chi_sim") == pages
    assert tesseract.asked.count("eng") < pages


def test_a_page_that_lies_on_its_side_is_turned(tesseract: FakeTesseract) -> None:
    (tesseract.folder / "turn").write_text("Orientation in degrees: 270\nRotate: 90\nScript: Latin\n")
    tesseract.reads("eng", [("Hm W", 300, 0.2)], width=600)
    tesseract.reads("chi_sim", [])
    tesseract.reads("eng", [("Stop the pump", 300, 0.95)], width=800)
    reading = Recognizer(find_languages(), 20).read(Image.new("L", PAGE, "white"), 300)
    assert ([line.text for line in reading.lines], reading.turned) == (["Stop the pump"], 90)


def test_a_page_that_takes_too_long_or_fails_is_left_out(tesseract: FakeTesseract, draw_pdf: DrawPdf) -> None:
    blank = Image.new("L", PAGE, "white")
    (tesseract.folder / "tesseract").write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(OcrFailed, match="takes too long"):
        Recognizer(["eng"], 0.1).read(blank, 300)
    (tesseract.folder / "tesseract").write_text(
        '#!/bin/sh\ncase "$*" in *--list*) echo eng; echo chi_sim; exit;; esac\necho no memory >&2; exit 1\n'
    )
    parsed = parse_file(draw_pdf("Text.", None), "pdf", SETTINGS)
    assert parsed.warnings == ("page 2: cannot be recognised (tesseract: no memory)",)


def test_what_cannot_be_relied_on_is_told(tesseract: FakeTesseract, draw_pdf: DrawPdf) -> None:
    tesseract.reads("eng", [("Stop the pump", 300, 0.65)])
    tesseract.reads("chi_sim", [])
    parsed = parse_file(draw_pdf("Text.", None, None), "pdf", IndexSettings(ocr_pages=1))
    assert parsed.warnings == (
        "page 3: no text that can be read; at most 1 pages are recognised ([index] ocr_pages)",
        "page 2: recognised, but hard to read; compare with the original",
    )


@pytest.mark.usefixtures("no_tesseract")
def test_without_tesseract_the_pages_and_the_remedy_are_named(draw_pdf: DrawPdf) -> None:
    parsed = parse_file(draw_pdf("Text.", None, None), "pdf", SETTINGS)
    assert [e.text for e in parsed.elements] == ["Text."]
    assert parsed.unread_pages == (2, 3)
    assert parsed.warnings == (
        "pages 2, 3: no text that can be read; text recognition (OCR) is not installed; "
        "run: apt-get install tesseract-ocr tesseract-ocr-chi-sim, then add the file again",
    )
    with pytest.raises(FileRefused, match=r"is a scan: .*apt-get install tesseract-ocr"):
        parse_file(draw_pdf(None), "pdf", SETTINGS)


def test_without_the_chinese_model_english_is_read_and_the_rest_named(
    tesseract: FakeTesseract, draw_pdf: DrawPdf
) -> None:
    tesseract.installs("eng", "osd")
    tesseract.reads("eng", [("Stop the pump", 300, 0.95)])
    parsed = parse_file(draw_pdf(None), "pdf", SETTINGS)
    assert [e.text for e in parsed.elements] == ["Stop the pump"]
    assert "(OCR) for chi_sim is not installed" in parsed.warnings[0]
