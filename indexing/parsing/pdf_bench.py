"""One PDF read by Deskmate and by unstructured's ``fast`` strategy: seconds, headings and tables.

The file's own outline says which headings it has and on which page each stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from assistant.core.errors import InputError
from assistant.core.records import ParsedDocument, Record
from assistant.core.settings import IndexSettings
from indexing.parsing.partition import prepare_unstructured
from indexing.parsing.pdf_headings import OutlineEntry, normal_titles, read_outline
from indexing.parsing.pool import ParserPool
from indexing.sources import SourceFile, find_sources

_LEAST_RATIO = 20


class Parser(Protocol):
    """What parses one file."""

    def parse(self, source: SourceFile) -> ParsedDocument:
        """Parse one file."""
        ...


OpenParser = Callable[[IndexSettings], AbstractContextManager[Parser]]


class PdfReading(Record, frozen=True, kw_only=True):
    """What one reader made of a PDF.

    Attributes:
        name: of the reader.
        seconds: wall time, its libraries imported before.
        element_count: elements.
        titles: text and page of each title.
        table_count: tables.
    """

    name: str
    seconds: float
    element_count: int
    titles: tuple[tuple[str, int | None], ...]
    table_count: int


def bench_pdf(
    path: Path, settings: IndexSettings, *, has_peer: bool = True, open_parser: OpenParser = ParserPool
) -> list[str]:
    """Read a PDF with both and return a line for each way, and one for their ratios.

    Args:
        path: the file.
        settings: ``[index]``.
        has_peer: read it with unstructured too.
        open_parser: gives what parses files for indexing.

    Raises:
        InputError: it is no PDF, or unstructured's part for PDF is not installed.
    """
    outline = _outline(path)
    ways = {"Deskmate": settings, "Deskmate, no pictures recognised": replace(settings, ocr="off")}
    owns = [read_own(path, name, way, open_parser) for name, way in ways.items()]
    lines = [describe(own, outline) for own in owns]
    if has_peer:
        peer = read_fast(path)
        times = ", ".join(f"{peer.seconds / own.seconds:.1f}" for own in owns)
        lines += [
            describe(peer, outline),
            f"{times} times as fast (limit {_LEAST_RATIO}); fast recognises no pictures",
        ]
    return lines


def _outline(path: Path) -> list[OutlineEntry]:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
    except (pypdfium2.PdfiumError, FileNotFoundError) as error:
        raise InputError(f"{path} cannot be opened as a PDF") from error
    try:
        return read_outline(document)
    finally:
        document.close()


def read_own(path: Path, name: str, settings: IndexSettings, open_parser: OpenParser) -> PdfReading:
    """Read a PDF as indexing does, in the parsing process; the better of two readings.

    Raises:
        FileRefused: it cannot be read.
        InputError: there is no such file.
    """
    sources, refused = find_sources([path], settings)
    if not sources:
        raise refused[0] if refused else InputError(f"{path} is no file that can be indexed")
    seconds = []
    with open_parser(settings) as pool:
        for _ in range(2):
            started = time.perf_counter()
            parsed = pool.parse(sources[0])
            seconds.append(time.perf_counter() - started)
    return PdfReading(
        name=name,
        seconds=min(seconds),
        element_count=len(parsed.elements),
        titles=tuple((row.text, row.page) for row in parsed.elements if row.kind == "title"),
        table_count=sum(row.kind == "table" for row in parsed.elements),
    )


def read_fast(path: Path) -> PdfReading:
    """Read a PDF with unstructured's ``fast`` strategy, with the tokenizer that needs no network.

    Raises:
        InputError: its part for PDF is not installed.
    """
    prepare_unstructured()
    try:
        from unstructured.partition.pdf import partition_pdf
    except ImportError as error:
        raise InputError(
            f"unstructured's part for PDF is not installed: {error}",
            next_command='pip install "unstructured[pdf]", or leave it out with --own',
        ) from error
    started = time.perf_counter()
    elements = partition_pdf(str(path), strategy="fast")
    seconds = time.perf_counter() - started
    titles = [row for row in elements if row.category == "Title"]
    return PdfReading(
        name="unstructured, fast",
        seconds=seconds,
        element_count=len(elements),
        titles=tuple((row.text, row.metadata.page_number) for row in titles),
        table_count=sum(row.category == "Table" for row in elements),
    )


def describe(reading: PdfReading, outline: Iterable[OutlineEntry]) -> str:
    """Return a line on a reading: what it took, and how many of the outline's entries are titles in it."""
    entries = list(outline)
    found = sum(is_found(entry, reading.titles) for entry in entries)
    return (
        f"{reading.name}: {reading.seconds:.2f} s, {reading.element_count} elements, "
        f"{len(reading.titles)} titles, {reading.table_count} tables; "
        f"{found} of the outline's {len(entries)} entries are titles on their page"
    )


def is_found(entry: OutlineEntry, titles: Iterable[tuple[str, int | None]]) -> bool:
    """Return whether an entry of the outline is a title on its page, with or without its number."""
    wanted = normal_titles(entry.title)
    return any(page == entry.page and normal_titles(text) & wanted for text, page in titles)
