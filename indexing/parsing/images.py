"""Pictures of pages as documents: PNG, JPEG, TIFF with its pages, WebP, BMP."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing.ocr import describe_missing, find_languages
from indexing.parsing.ocr_pages import (
    LEAST_DPI,
    MOST_DPI,
    MOST_PIXELS,
    PageImage,
    PageProgress,
    even_sizes,
    name_pages,
    no_page_progress,
    recognise_pages,
    warn_of,
)
from indexing.parsing.partition import Partition
from indexing.parsing.pdf_assembly import Assembly

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
# A picture in memory takes up to four bytes a pixel, twice while it is converted.
_MOST_PICTURE_PIXELS = 80_000_000
# Short side of a page of paper in inches, for pictures that do not say how large they are.
_PAPER_INCHES = 8.27
# Up to this it is what programs write where they know nothing: the dots of a screen.
_SCREEN_DPI = 100
_MOST_ENLARGED = 2.5
_WIDE_MODES = ("I", "F")
_WIDE_TO_BYTE = 1 / 256


def read_image(path: Path, settings: IndexSettings, on_page: PageProgress = no_page_progress) -> Partition:
    """Recognise the text of a picture.

    Raises:
        FileRefused: it holds no text, is too large, or text recognition is missing.
    """
    languages = find_languages() if settings.ocr == "auto" else ()
    missing = describe_missing(settings, languages)
    if not languages:
        raise FileRefused(path, f"is a picture, and {missing}")
    count = _count_pages(path)
    if count > settings.max_pages:
        raise FileRefused(
            path, f"has {count} pages, at most {settings.max_pages} are read ([index] max_pages)"
        )
    within = min(count, settings.ocr_pages)
    notes = [f"Chinese text is not read: {missing}"] if missing else []
    if count > within:
        beyond = name_pages(list(range(within + 1, count + 1)))
        notes.append(f"{beyond}: at most {within} pages are recognised ([index] ocr_pages)")
    found = recognise_pages(_pages(path, within), within, languages, settings, on_page)
    notes.extend(warn_of(found.values()))
    pages = [found[number].page for number in sorted(found)]
    if not any(page.lines for page in pages):
        raise FileRefused(path, f"is a picture without text that can be read; {'; '.join(notes)}")
    even_sizes(pages, 0.0)
    return Partition(
        elements=Assembly(pages).elements([]),
        page_count=count,
        warnings=notes,
        unread_pages=tuple(range(1, within + 1)) if missing else (),
    )


def _count_pages(path: Path) -> int:
    with _open(path) as picture:
        return int(getattr(picture, "n_frames", 1)) if picture.format == "TIFF" else 1


def _pages(path: Path, count: int) -> Iterator[PageImage]:
    with _open(path) as picture:
        for number in range(1, count + 1):
            if number > 1:
                picture.seek(number - 1)
            yield _prepare(path, picture, number)


def _open(path: Path) -> Image:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return Image.open(path, formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise FileRefused(path, f"is a picture of too many pixels: {error}") from error
    except (OSError, SyntaxError) as error:
        raise FileRefused(path, "is corrupt: it cannot be opened as a picture") from error


def _prepare(path: Path, picture: Image, number: int) -> PageImage:
    """Return a page upright, in shades of grey, at a resolution that recognition works well with."""
    from PIL import Image, ImageOps

    pixels = picture.width * picture.height
    if pixels > _MOST_PICTURE_PIXELS:
        raise FileRefused(
            path,
            f"page {number} is a picture of {pixels / 1e6:.0f} megapixels,"
            f" at most {_MOST_PICTURE_PIXELS / 1e6:.0f} are read",
        )
    stated = picture.info.get("dpi", (0, 0))[0]
    upright = _grey(ImageOps.exif_transpose(picture))
    dpi = float(stated) if stated > _SCREEN_DPI else min(upright.size) / _PAPER_INCHES
    factor = min(max(LEAST_DPI / dpi, 1.0), _MOST_ENLARGED) if dpi < LEAST_DPI else min(MOST_DPI / dpi, 1.0)
    factor = min(factor, math.sqrt(MOST_PIXELS / (upright.width * upright.height)))
    if factor != 1.0:
        size = (max(round(upright.width * factor), 1), max(round(upright.height * factor), 1))
        upright = upright.resize(size, Image.Resampling.BICUBIC)
    return PageImage(number=number, image=upright, dpi=max(round(dpi * factor), 1))


def _grey(picture: Image) -> Image:
    """Return shades of grey; what is transparent becomes paper."""
    from PIL import Image

    if picture.mode.startswith(_WIDE_MODES):
        return picture.point(lambda value: value * _WIDE_TO_BYTE).convert("L")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(paper, picture).convert("L")
    return picture.convert("L")
