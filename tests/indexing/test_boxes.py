"""Where on its page a passage stands: from the lines of a PDF to what search returns."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from assistant.cli.search import passage_row
from assistant.core.boxes import unite
from assistant.core.home import Home
from assistant.core.records import Element, ParsedDocument
from assistant.core.settings import EmbedderSettings, IndexSettings, Settings
from assistant.store.chunks import Chunks
from assistant.store.documents import Documents
from indexing.build import Builder
from indexing.chunking import chunk_document
from indexing.embedding import HashingEmbedder
from indexing.parsing import parse_file
from indexing.parsing.ocr_pages import PageProgress, no_page_progress
from indexing.parsing.pdf_boxes import box_of_lines
from indexing.parsing.pdf_page import read_page
from indexing.search import Searcher
from indexing.sources import SourceFile

SETTINGS = Settings(embedder=EmbedderSettings(model="hashing"))
WIDTH, HEIGHT = A4


def test_boxes_unite_and_unknown_ones_do_not_count() -> None:
    assert unite([(1, 2, 3, 4), None, (0, 3, 2, 9)]) == (0, 2, 3, 9)
    assert unite([None]) is None


@pytest.fixture
def manual(tmp_path: Path) -> Path:
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    canvas = Canvas(str(tmp_path / "manual.pdf"), pagesize=A4, invariant=1)
    canvas.setFont("Helvetica", 10)
    canvas.drawString(72, HEIGHT - 100, "Replace the seal of the pump every two years, and close both")
    canvas.drawString(72, HEIGHT - 112, "valves before.")
    canvas.setFont("STSong-Light", 12)
    canvas.drawString(200, HEIGHT - 300, "每月清洗一次过滤器。")
    canvas.showPage()
    canvas.setFont("Helvetica", 10)
    canvas.drawString(72, HEIGHT - 700, "The second page stands for itself.")
    canvas.save()
    return tmp_path / "manual.pdf"


def test_blocks_of_a_pdf_know_their_place(manual: Path) -> None:
    first, second, third = parse_file(manual, "pdf", IndexSettings()).elements
    assert first.box is not None
    left, top, right, bottom = first.box
    assert left == pytest.approx(72, abs=2)
    assert top == pytest.approx(100 - 8, abs=3)  # the upper edge of its first line
    assert bottom == pytest.approx(112 + 2, abs=2)
    assert 300 < right < WIDTH
    assert second.box is not None
    assert second.box[0] == pytest.approx(200, abs=2)
    assert second.box[3] == pytest.approx(300, abs=4)
    assert third.box is not None
    assert (third.page, round(third.box[0])) == (2, 72)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_turned_and_cropped_page_has_its_boxes_where_it_shows_them(manual: Path, degrees: int) -> None:
    import pypdfium2
    import pypdfium2.raw as pdfium

    document = pypdfium2.PdfDocument(manual)
    page = document[0]
    page.set_cropbox(50, 100, 550, 800)
    page.set_rotation(degrees)
    read = read_page(document, 1)
    line = read.lines[0]
    box = box_of_lines(read, [line])
    width, height = page.get_size()
    corners = []
    for x, y in ((line.x0, line.bottom), (line.x1, line.top)):
        across, down = ctypes.c_int(), ctypes.c_int()
        scale = 100  # the device has whole pixels only
        pdfium.FPDF_PageToDevice(page, 0, 0, int(width * scale), int(height * scale), 0, x, y, across, down)
        corners.append((across.value / scale, down.value / scale))
    (x0, y0), (x1, y1) = corners
    assert box == pytest.approx((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), abs=0.2)
    document.close()


def test_a_chunk_has_the_box_of_its_blocks_on_its_first_page() -> None:
    parts = [("Stop.", 1, (10.0, 10.0, 50.0, 20.0)), ("停机。", 1, (10.0, 25.0, 90.0, 40.0))]
    parts += [("Go on.", 2, (0.0, 0.0, 500.0, 500.0))]
    elements = [Element(kind="text", text=text, page=page, box=box) for text, page, box in parts]
    (chunk,) = chunk_document(
        ParsedDocument(title="a", elements=tuple(elements)), "a.pdf", 1, HashingEmbedder().tokenizer, 64
    )
    assert (chunk.page, chunk.box) == (1, (10.0, 10.0, 90.0, 40.0))


def test_a_list_and_a_table_have_the_box_of_all_their_blocks() -> None:
    lead = Element(kind="text", text="You need:", page=3, box=(10.0, 10.0, 60.0, 20.0))
    item = Element(kind="list_item", text="a seal", page=3, box=(20.0, 22.0, 80.0, 30.0))
    caption = Element(kind="text", text="Torques", page=3, box=(10.0, 40.0, 60.0, 50.0))
    html = "<table><tr><th>Screw</th><th>Nm</th></tr><tr><td>M8</td><td>25</td></tr></table>"
    table = Element(kind="table", text="Screw: M8 · Nm: 25", html=html, page=3, box=(10.0, 52.0, 300.0, 90.0))
    parsed = ParsedDocument(title="a", elements=(lead, item, caption, table))
    chunks = chunk_document(parsed, "a.pdf", 1, HashingEmbedder().tokenizer, 64)
    assert unite(chunk.box for chunk in chunks) == (10.0, 10.0, 300.0, 90.0)
    assert chunks[-1].box is not None
    assert chunks[-1].box[1:] == (40.0 if len(chunks) > 1 else 10.0, 300.0, 90.0)


class BoxParser:
    """Makes one placed block a line."""

    def parse(self, source: SourceFile, on_page: PageProgress = no_page_progress) -> ParsedDocument:
        lines = source.path.read_text("utf-8").splitlines()
        elements = tuple(
            Element(
                kind="text", text=line, page=1, box=(1.0, float(place), 2.0, place + 0.5), starts_passage=True
            )
            for place, line in enumerate(lines)
        )
        return ParsedDocument(title=source.path.stem, elements=elements)


@contextmanager
def open_parser(settings: IndexSettings) -> Iterator[BoxParser]:
    yield BoxParser()


def test_the_box_reaches_database_snapshot_and_passage(
    make_builder: Callable[..., Builder], home: Home, tmp_path: Path
) -> None:
    (tmp_path / "泵.txt").write_text("每两年更换一次水泵密封圈。\n", "utf-8")
    builder = make_builder()
    builder._open_parser = open_parser  # the builder's only door to a parser
    builder.add([tmp_path / "泵.txt"])
    (passage,) = Searcher(home.collection("pumps"), SETTINGS, HashingEmbedder()).search("密封圈")
    assert passage.chunk.box == (1.0, 0.0, 2.0, 0.5)
    assert passage_row(passage)["box"] == (1.0, 0.0, 2.0, 0.5)
    with builder.database.read() as session:
        (version,) = Documents(session).live_versions(builder.existing().id)
        assert Chunks(session).of(version.id) == [passage.chunk]
