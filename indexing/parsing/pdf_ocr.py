"""Pages of a PDF that say no text: found, rendered and recognised."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from assistant.core.language import detect_language
from assistant.core.settings import IndexSettings
from indexing.parsing.ocr import BOTH, describe_missing, find_languages
from indexing.parsing.ocr_pages import (
    LEAST_DPI,
    MOST_DPI,
    MOST_PIXELS,
    POINTS,
    PageImage,
    PageProgress,
    even_sizes,
    name_pages,
    recognise_pages,
    warn_of,
)
from indexing.parsing.pdf_furniture import body_size
from indexing.parsing.pdf_page import Page

if TYPE_CHECKING:
    from PIL.Image import Image

_UNREADABLE = re.compile(r"[\ufffd\ue000-\uf8ff]")
_UNREADABLE_SHARE = 0.3
# A page with a picture over so much of it and fewer characters is a scan with a stamp on it.
_STAMP_CHARACTERS = 100
_PICTURE_SHARE = 0.5
_FORM_DEPTH = 3
# Recognition must find so many times the characters of a stamp to be worth more.
_BETTER = 2
_GLANCE_DPI = 40
_BLANK_CONTRAST = 24


class Recognition(msgspec.Struct, kw_only=True):
    """What recognition left.

    Attributes:
        pages: all pages, the recognised ones in place of those without text.
        warnings: what is missing, for a person.
        unread: numbers of pages that could be read where recognition is installed and switched on.
    """

    pages: list[Page]
    warnings: list[str]
    unread: tuple[int, ...] = ()


def recognise_scans(
    document: Any, pages: Sequence[Page], settings: IndexSettings, on_page: PageProgress
) -> Recognition:
    """Recognise the pages that have no text of their own, or one that says nothing."""
    result = Recognition(pages=list(pages), warnings=[])
    wanted = [page for page in pages if page.width and page.height and _lacks_text(document, page)]
    if not wanted:
        return result
    numbers = [page.number for page in wanted]
    languages = find_languages() if settings.ocr == "auto" else ()
    missing = describe_missing(settings, languages)
    if missing:
        result.warnings.append(f"{name_pages(numbers)}: no text that can be read; {missing}")
        result.unread = tuple(numbers)
    if languages:
        _recognise(document, wanted, languages, settings, on_page, result)
    return result


def is_unreadable(page: Page) -> bool:
    """Return whether the page's fonts do not say which characters they draw."""
    text = "".join(line.text for line in page.lines)
    return len(_UNREADABLE.findall(text)) + page.unmapped_count > _UNREADABLE_SHARE * (
        len(text) + page.unmapped_count
    )


def _recognise(
    document: Any,
    wanted: Sequence[Page],
    languages: Sequence[str],
    settings: IndexSettings,
    on_page: PageProgress,
    result: Recognition,
) -> None:
    within, beyond = wanted[: settings.ocr_pages], wanted[settings.ocr_pages :]
    if beyond:
        numbers = name_pages([page.number for page in beyond])
        result.warnings.append(
            f"{numbers}: no text that can be read; at most {settings.ocr_pages} pages are recognised"
            " ([index] ocr_pages)"
        )
    with_text = [page for page in result.pages if page not in wanted]
    text = "".join(line.text for page in with_text for line in page.lines)
    found = recognise_pages(
        _render_all(document, within),
        len(within),
        languages,
        settings,
        on_page,
        first=BOTH if detect_language(text) == "zh" else "eng",
    )
    result.warnings.extend(warn_of(item for item in found.values()))
    even_sizes([item.page for item in found.values()], body_size(with_text))
    for place, page in enumerate(result.pages):
        recognised = found.get(page.number)
        length = _length(recognised.page) if recognised else 0
        if recognised and length and (is_unreadable(page) or length > _BETTER * _length(page)):
            result.pages[place] = recognised.page


def _length(page: Page) -> int:
    return sum(len(line.text) for line in page.lines)


def _lacks_text(document: Any, page: Page) -> bool:
    length = _length(page)
    if not length:
        return not _is_blank(document, page)
    if is_unreadable(page):
        return True
    return page.has_images and length < _STAMP_CHARACTERS and _picture_share(document, page) > _PICTURE_SHARE


def _is_blank(document: Any, page: Page) -> bool:
    shades = _render(document, page, _dpi_within(page, _GLANCE_DPI)).histogram()
    used = [shade for shade, count in enumerate(shades) if count]
    return used[-1] - used[0] < _BLANK_CONTRAST


def _picture_share(document: Any, page: Page) -> float:
    """Return the share of the page that its largest picture covers."""
    return max((area for area, _ in _pictures(document, page)), default=0.0) / (page.width * page.height)


def _pictures(document: Any, page: Page) -> Iterator[tuple[float, int]]:
    """Yield the area of each picture in square points and its number of pixels."""
    import pypdfium2
    import pypdfium2.raw as pdfium

    opened = document[page.number - 1]
    try:
        for item in opened.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=_FORM_DEPTH):
            try:
                left, bottom, right, top = item.get_bounds()
                width, height = item.get_px_size()
                yield (right - left) * (top - bottom), width * height
            except pypdfium2.PdfiumError:  # a broken picture covers nothing
                continue
    finally:
        opened.close()


def _render_all(document: Any, pages: Sequence[Page]) -> Iterator[PageImage]:
    for page in pages:
        dpi = _dpi_within(page, _native_dpi(document, page))
        yield PageImage(number=page.number, image=_render(document, page, dpi), dpi=dpi)


def _native_dpi(document: Any, page: Page) -> int:
    """Return the resolution of the largest picture, within what recognition needs; more only costs time."""
    area, pixels = max(_pictures(document, page), default=(0.0, 0))
    if area < page.width * page.height * _PICTURE_SHARE:
        return MOST_DPI
    return min(max(math.ceil(math.sqrt(pixels / area) * POINTS), LEAST_DPI), MOST_DPI)


def _dpi_within(page: Page, dpi: int) -> int:
    """Return the resolution, less where the page would have too many pixels."""
    most = math.sqrt(MOST_PIXELS / (page.width * page.height)) * POINTS
    return max(min(dpi, int(most)), 1)


def _render(document: Any, page: Page, dpi: int) -> Image:
    opened = document[page.number - 1]
    try:
        bitmap = opened.render(scale=dpi / POINTS, grayscale=True)
        image: Image = bitmap.to_pil().convert("L")
        bitmap.close()
        return image
    finally:
        opened.close()
