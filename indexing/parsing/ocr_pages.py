"""Recognised pages as PDF pages are read: lines in points, so that the same assembly puts them together."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import msgspec

from assistant.core.settings import IndexSettings
from indexing.parsing.ocr import OcrFailed, Recognizer, likely_languages
from indexing.parsing.ocr_hocr import OcrLine, Reading
from indexing.parsing.pdf_page import Frame, Page
from indexing.parsing.pdf_text import Line

if TYPE_CHECKING:
    from PIL.Image import Image

logger = logging.getLogger(__name__)

PageProgress = Callable[[int, int], None]

# Pages of so many pixels (A3 at 300 dpi) are recognised; larger ones are scaled down.
MOST_PIXELS = 18_000_000
LEAST_DPI, MOST_DPI = 200, 300
POINTS = 72
# Lines of less are the noise that a picture leaves.
_LEAST_CONFIDENCE = 0.4
# Pages of less are named: their text may be wrong.
DOUBTFUL_CONFIDENCE = 0.75
_DESCENT = 0.22
# Type of one size differs by so much as recognised; what is larger than that is another size.
_SAME_SIZE = (0.8, 1.25)
_NEXT_SIZE = 1.15


class PageImage(msgspec.Struct, frozen=True, kw_only=True):
    """A page to recognise.

    Attributes:
        number: from 1.
        image: shades of grey.
        dpi: its resolution.
    """

    number: int
    image: Image
    dpi: int


class Recognised(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one page; ``failure`` says why there is nothing.

    Attributes:
        page: the page, without lines where nothing was recognised.
        confidence: mean over its characters.
        languages: what a page like it is best read in.
        failure: why it could not be read; empty if it was.
    """

    page: Page
    confidence: float = 0.0
    languages: str = ""
    failure: str = ""


def no_page_progress(_done: int, _total: int) -> None:
    """Tell nobody."""


def recognise_pages(
    images: Iterable[PageImage],
    total: int,
    languages: Sequence[str],
    settings: IndexSettings,
    on_page: PageProgress,
    first: str = "eng",
) -> dict[int, Recognised]:
    """Recognise pages, one to a core at once, and return them by number.

    Args:
        images: the pages; taken from only as fast as they are recognised.
        total: how many there are.
        languages: installed ones.
        settings: limits.
        on_page: told at the beginning and of each page that is done.
        first: languages to try first, until a page is read.
    """
    recognizer = Recognizer(languages, settings.ocr_page_seconds)
    found: dict[int, Recognised] = {}
    cores = len(os.sched_getaffinity(0))
    on_page(0, total)
    with ThreadPoolExecutor(cores, "ocr") as executor:
        running: set[Future[Recognised]] = set()
        for image in images:
            running.add(executor.submit(_recognise, recognizer, image, first))
            if len(running) > cores:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                first = _take(done, found) or first
                on_page(len(found), total)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            _take(done, found)
            on_page(len(found), total)
    return found


def _take(done: Iterable[Future[Recognised]], found: dict[int, Recognised]) -> str:
    """Keep what is done; return what the last of it is best read in, empty where nothing was read."""
    first = ""
    for future in done:
        recognised = future.result()
        found[recognised.page.number] = recognised
        first = recognised.languages or first
    return first


def _recognise(recognizer: Recognizer, item: PageImage, first: str) -> Recognised:
    empty = _to_page(item, Reading(lines=(), languages=""))
    try:
        reading = recognizer.read(item.image, item.dpi, first)
    except OcrFailed as failure:
        return Recognised(page=empty, failure=str(failure))
    logger.debug("page %d: %s, %.2f", item.number, reading.languages, reading.confidence)
    page = _to_page(item, reading)
    if not page.lines:
        return Recognised(page=page)
    return Recognised(page=page, confidence=reading.confidence, languages=likely_languages(reading))


def _to_page(item: PageImage, reading: Reading) -> Page:
    scale = POINTS / item.dpi
    width, height = item.image.width * scale, item.image.height * scale
    if reading.turned in {90, 270}:
        width, height = height, width
    slope = _middle([(line.slope, len(line.text)) for line in reading.lines])
    lines = [
        _to_line(line, item.number, scale, height, slope)
        for line in reading.lines
        if line.confidence >= _LEAST_CONFIDENCE
    ]
    frame = None if reading.turned else Frame(left=0, bottom=0, right=width, top=height)
    return Page(
        number=item.number,
        width=width,
        height=height,
        lines=lines,
        chars=[],
        edges=[],
        has_images=True,
        frame=frame,
    )


def _to_line(line: OcrLine, number: int, scale: float, height: float, slope: float) -> Line:
    """Return a line in points; where the page is not quite straight, as it would stand if it were."""
    size = line.size * scale
    bottom = height - (line.baseline - slope * line.x0) * scale - _DESCENT * size
    return Line(
        text=line.text,
        x0=line.x0 * scale,
        x1=line.x1 * scale,
        bottom=bottom,
        top=bottom + size,
        size=size,
        is_bold=False,
        is_mono=False,
        page=number,
        confidence=line.confidence,
    )


def even_sizes(pages: Sequence[Page], body: float) -> None:
    """Set the sizes of recognised lines to few steps, as a font has them, so that headings stand out.

    Args:
        pages: the recognised pages of one document.
        body: size of the body on its other pages, 0 where there are none.
    """
    lines = sorted((line for page in pages for line in page.lines), key=lambda line: line.size)
    middle = _middle([(line.size, len(line.text)) for line in lines])
    step, steps = 0.0, []
    for line in lines:
        if _SAME_SIZE[0] <= line.size / middle <= _SAME_SIZE[1]:
            steps.append(middle)
            continue
        if line.size > step * _NEXT_SIZE:
            step = line.size
        steps.append(step)
    for line, size in zip(lines, steps, strict=True):
        line.size = round(size * (body or middle) / middle * 2) / 2


def _middle(weighted: Iterable[tuple[float, int]]) -> float:
    """Return the weighted median, 0 of nothing."""
    ordered = sorted(weighted)
    half = sum(weight for _, weight in ordered) / 2
    for value, weight in ordered:
        half -= weight
        if half <= 0:
            return value
    return 0.0


def name_pages(numbers: Sequence[int], most: int = 8) -> str:
    """Return ``page 3`` or ``pages 3, 4, …``."""
    named = ", ".join(map(str, numbers[:most])) + (", …" if len(numbers) > most else "")
    return f"page {named}" if len(numbers) == 1 else f"pages {named}"


def warn_of(recognised: Iterable[Recognised]) -> Iterator[str]:
    """Yield what a person should know of recognised pages: failures, no text, doubtful text."""
    pages = sorted(recognised, key=lambda item: item.page.number)
    for failure in dict.fromkeys(item.failure for item in pages if item.failure):
        yield f"{name_pages([item.page.number for item in pages if item.failure == failure])}: {failure}"
    empty = [item.page.number for item in pages if not item.failure and not item.page.lines]
    if empty:
        yield f"{name_pages(empty)}: pictures in which no text was recognised"
    doubtful = [
        item.page.number for item in pages if item.page.lines and item.confidence < DOUBTFUL_CONFIDENCE
    ]
    if doubtful:
        yield f"{name_pages(doubtful)}: recognised, but hard to read; compare with the original"
