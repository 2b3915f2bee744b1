"""How sure recognition was goes with a passage; pages left out are tried again when they can be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assistant.cli.search import passage_row
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.records import Element, ParsedDocument, Passage
from assistant.core.settings import EmbedderSettings, IndexSettings, Settings
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Documents
from indexing.build import Builder
from indexing.chunking import chunk_document
from indexing.corpus import load_corpus
from indexing.embedding import HashingEmbedder
from indexing.parsing.ocr_pages import PageProgress, no_page_progress
from indexing.reports import AddReport
from indexing.sources import SourceFile

PARTS = [("Stop the pump.", None), ("Close both valves.", 0.5), ("清洁密封座。", 0.75)]
DOCUMENT = ParsedDocument(
    title="scan",
    elements=tuple(Element(kind="text", text=text, page=1, confidence=sure) for text, sure in PARTS),
)


class ScanParser:
    """Finds one page of text, and one that waits for recognition as long as ``pending``."""

    pending = True

    def parse(self, source: SourceFile, on_page: PageProgress = no_page_progress) -> ParsedDocument:
        on_page(0, 1)
        unread = (2,) if self.pending else ()
        return ParsedDocument(title="scan", elements=DOCUMENT.elements, page_count=2, unread_pages=unread)


def add(home: Home, parser: ScanParser, path: Path, index: IndexSettings | None = None) -> AddReport:
    @contextmanager
    def open_parser(settings: IndexSettings) -> Iterator[ScanParser]:
        yield parser

    settings = Settings(embedder=EmbedderSettings(model="hashing"), index=index or IndexSettings())
    database = Database(home.database_url)
    builder = Builder("pumps", home, settings, database, HashingEmbedder(), NoProgress(), open_parser)
    try:
        return builder.add([path])
    finally:
        database.close()


@pytest.fixture
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))  # no tesseract
    (tmp_path / "scan.txt").write_text("stands for a scan")
    return tmp_path / "scan.txt"


def install(bin_folder: Path, *languages: str) -> None:
    bin_folder.mkdir(exist_ok=True)
    lines = "\n".join(f"echo {language}" for language in languages)
    (bin_folder / "tesseract").write_text(f"#!/bin/sh\n{lines}\n")
    (bin_folder / "tesseract").chmod(0o755)


def test_a_chunk_is_as_sure_as_what_was_recognised_of_it() -> None:
    (chunk,) = chunk_document(DOCUMENT, "scan.pdf", 1, HashingEmbedder().tokenizer, 64)
    assert chunk.confidence == pytest.approx((18 * 0.5 + 6 * 0.75) / 24, abs=0.001)
    text = ParsedDocument(title="text", elements=DOCUMENT.elements[:1])
    assert chunk_document(text, "a.pdf", 1, HashingEmbedder().tokenizer, 64)[0].confidence is None


def test_confidence_reaches_database_snapshot_and_search(home: Home, scan: Path) -> None:
    add(home, ScanParser(), scan)
    (chunk,) = load_corpus("pumps", home).chunks
    assert chunk.confidence == 0.562
    database = Database(home.database_url)
    with database.read() as session:
        collection = Documents(session).make_collection("pumps")
        (version,) = Documents(session).live_versions(collection.id)
        assert Chunks(session).of(version.id) == [chunk]
    database.close()
    assert passage_row(Passage(rank=1, score=1.0, chunk=chunk))["confidence"] == 0.562
    (sure,) = chunk_document(
        ParsedDocument(title="text", elements=DOCUMENT.elements[:1]),
        "a.pdf",
        1,
        HashingEmbedder().tokenizer,
        64,
    )
    assert "confidence" not in passage_row(Passage(rank=1, score=1.0, chunk=sure))


def test_unread_pages_are_tried_again_when_recognition_is_there(home: Home, scan: Path) -> None:
    parser, bin_folder = ScanParser(), scan.parent / "bin"
    assert add(home, parser, scan).added == ("scan.txt",)
    assert add(home, parser, scan).unchanged == ("scan.txt",)
    install(bin_folder, "eng", "osd")
    assert add(home, parser, scan).replaced == ("scan.txt",)
    assert add(home, parser, scan).unchanged == ("scan.txt",)
    install(bin_folder, "eng", "chi_sim")
    parser.pending = False
    assert add(home, parser, scan).replaced == ("scan.txt",)
    (bin_folder / "tesseract").unlink()  # what is read stays read
    assert add(home, parser, scan).unchanged == ("scan.txt",)
    assert add(home, parser, scan, IndexSettings(ocr="off")).unchanged == ("scan.txt",)
