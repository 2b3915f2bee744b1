from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import assistant.samples
from assistant.core.errors import FileRefused, InputError
from assistant.core.records import ParsedDocument
from assistant.core.settings import IndexSettings
from indexing.parsing import parse_file
from indexing.parsing.pdf_bench import bench_pdf, is_found, read_fast
from indexing.parsing.pdf_headings import OutlineEntry
from indexing.sources import SourceFile

MANUAL = Path(assistant.samples.__file__).parent / "files" / "pumps" / "en" / "q-series-service-manual.pdf"


class HereParser:
    """Parses in this process."""

    def __init__(self, settings: IndexSettings) -> None:
        self.settings = settings

    def parse(self, source: SourceFile) -> ParsedDocument:
        return parse_file(source.path, source.kind, self.settings)


@contextmanager
def open_here(settings: IndexSettings) -> Iterator[HereParser]:
    yield HereParser(settings)


@pytest.mark.parametrize(
    ("title", "page", "found"),
    [
        ("3.2 Starting up", 4, True),
        ("Starting up", 4, True),
        ("Starting up", 5, False),
        ("Starting", 4, False),
        ("第 3 章 启动", 6, True),
    ],
)
def test_an_entry_of_the_outline_is_found_on_its_page_with_or_without_its_number(
    title: str, page: int, found: bool
) -> None:
    titles = [("3.2 Starting up", 4), ("启动", 6)]
    assert is_found(OutlineEntry(page=page, level=1, title=title), titles) is found


def test_a_reading_is_described_beside_the_outline() -> None:
    lines = bench_pdf(MANUAL, IndexSettings(), has_peer=False, open_parser=open_here)
    assert [line.partition(":")[0] for line in lines] == ["Deskmate", "Deskmate, no pictures recognised"]
    for line in lines:
        assert " tables; " in line
        assert " 0 tables" not in line
        assert "entries are titles on their page" in line


def test_what_is_no_pdf_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.pdf"
    text.write_text("not a PDF at all", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be opened as a PDF"):
        bench_pdf(text, IndexSettings(), has_peer=False)
    with pytest.raises((InputError, FileRefused), match="cannot be opened as a PDF"):
        bench_pdf(tmp_path / "missing.pdf", IndexSettings(), has_peer=False)


@pytest.mark.skipif(
    importlib.util.find_spec("unstructured_inference") is not None,
    reason="unstructured's part for PDF is there",
)
def test_without_the_peers_part_for_pdf_the_next_command_is_named() -> None:
    with pytest.raises(InputError, match=r"unstructured\[pdf\]"):
        read_fast(MANUAL)
