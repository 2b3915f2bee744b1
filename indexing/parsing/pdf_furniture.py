"""What stands on many pages of a PDF and belongs to none: running heads, page numbers, contents lists."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from indexing.parsing.pdf_page import Page
from indexing.parsing.pdf_text import Line

# Share of the page's height, from either border, in which a running head or foot may stand.
_BAND = 0.12
_LEAST_PAGES = 3
_SHORT_DOCUMENT = 4
_DIGITS = re.compile(r"\d+|\b[ivxlc]+\b", re.I)
_PAGE_NUMBER = re.compile(
    r"(?:(?:page|seite|p\.|第)\s*)?[-–—]?\s*(?:\d{1,4}|[ivxlc]{1,7})\s*(?:页)?\s*[-–—]?(?:\s*(?:/|of|共)\s*\d{1,4}\s*页?)?\Z",
    re.I,
)
_LEADERS = re.compile(r"(?:[.·…‥]\s?){4,}\s*[\dA-Za-z.-]{0,8}\s*\Z|\s(?:\.\s){3,}")
_CONTENTS_LINES = 4
_CONTENTS_SHARE = 0.5
_ENDS_IN_NUMBER = re.compile(r"\D\s+\d{1,4}\Z")


def drop_running_lines(pages: Sequence[Page]) -> dict[int, set[int]]:
    """Return for each page number the places of lines that are running heads, feet or page numbers."""
    where: dict[tuple[str, int], set[int]] = defaultdict(set)
    for page in pages:
        for place in _band_places(page):
            where[_key(page.lines[place])].add(page.number)
    least = _LEAST_PAGES if len(pages) > _SHORT_DOCUMENT else 2
    repeated = {key for key, numbers in where.items() if len(numbers) >= least}
    dropped: dict[int, set[int]] = {}
    for page in pages:
        places = set()
        for place in _band_places(page):
            line = page.lines[place]
            if _key(line) in repeated or (_PAGE_NUMBER.match(line.text) and _is_outermost(page, line)):
                places.add(place)
        dropped[page.number] = places
    return dropped


def _band_places(page: Page) -> list[int]:
    low, high = page.height * _BAND, page.height * (1 - _BAND)
    return [place for place, line in enumerate(page.lines) if line.bottom >= high or line.top <= low]


def _key(line: Line) -> tuple[str, int]:
    return "".join(_DIGITS.sub("#", line.text.lower()).split()), round(line.bottom / 6)


def _is_outermost(page: Page, line: Line) -> bool:
    others = [other for other in page.lines if other is not line]
    return all(other.bottom >= line.bottom - 1 for other in others) or all(
        other.top <= line.top + 1 for other in others
    )


def contents_places(page: Page) -> set[int]:
    """Return the places of lines that belong to a list of contents: leaders and a page number."""
    led = {place for place, line in enumerate(page.lines) if _LEADERS.search(line.text)}
    if len(led) < _CONTENTS_LINES:
        return set()
    listed = led | {place for place, line in enumerate(page.lines) if _ENDS_IN_NUMBER.search(line.text)}
    return set(range(len(page.lines))) if len(listed) >= _CONTENTS_SHARE * len(page.lines) else listed


def body_size(pages: Sequence[Page]) -> float:
    """Return the font size that most of the text is set in."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page.lines:
            sizes[line.size] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0
