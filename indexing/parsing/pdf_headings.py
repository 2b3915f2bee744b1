"""Which lines of a PDF are headings, and of which level: outline first, then type."""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from indexing.parsing.pdf_page import Page
from indexing.parsing.pdf_text import Line
from indexing.parsing.text_joining import join_lines

_NUMBER = r"(?:(?:chapter|section|appendix|part)\s+)?(?:[A-Z]|\d{1,3})(?:\.\d{1,3}){0,5}\.?"
_LABEL = re.compile(
    rf"\s*(?:{_NUMBER}|第\s*[一二三四五六七八九十百\d]+\s*[章节篇部]|附录\s*[A-Z\d]?)(?=[\s:：、]|[一-鿿])[\s:：、.]*",
    re.I,
)
_LONE_LABEL = re.compile(
    r"(?:(?:chapter|appendix|part|section)\s+[\dA-Z]+|第\s*[一二三四五六七八九十百\d]+\s*[章篇部分])\Z", re.I
)
_DOTTED = re.compile(r"\s*(\d{1,3}(?:\.\d{1,3}){1,4})\.?\s+\S")
_NOISE = re.compile(r"[\W_]+")
_TERMINAL = re.compile(r"[.。！!？?；;，,：:]\Z")
_MOST_LINES = 4
_MOST_CHARACTERS = 160
_MOST_LEVEL = 6
# A heading by type alone is so much larger than the body.
_LARGER = 1.12
# Where more lines than this look like headings, their type says nothing.
_MOST_SHARE = 0.3
_LEAST_OUTLINE = 3


class Heading(msgspec.Struct, kw_only=True):
    """A heading: the places of its lines on its page, and its level from 0."""

    page: int
    places: tuple[int, ...]
    level: int
    text: str


class OutlineEntry(msgspec.Struct, kw_only=True):
    """One entry of the PDF's outline."""

    page: int
    level: int
    title: str


def read_outline(document: Any, most: int = 5000) -> list[OutlineEntry]:
    """Return the outline's entries that lead to a page."""
    entries: list[OutlineEntry] = []
    for bookmark in document.get_toc(max_depth=8):
        target = bookmark.get_dest()
        index = target.get_index() if target else None
        title = " ".join((bookmark.get_title() or "").split())
        if index is not None and 0 <= index < len(document) and title:
            entries.append(OutlineEntry(page=index + 1, level=bookmark.level, title=title))
        if len(entries) >= most:
            break
    return entries


def find_headings(
    pages: Sequence[Page], taken: Mapping[int, set[int]], outline: Sequence[OutlineEntry], body: float
) -> tuple[dict[tuple[int, int], Heading], int]:
    """Return headings by page number and first place, and how many outline entries were found.

    Args:
        pages: the pages.
        taken: places of lines that are furniture or tables, by page number.
        outline: entries of the outline.
        body: font size of the body.
    """
    by_outline = _match_outline(pages, taken, outline)
    headings = {(heading.page, heading.places[0]): heading for heading in by_outline}
    used = {(heading.page, place) for heading in by_outline for place in heading.places}
    trusts_outline = len(by_outline) >= _LEAST_OUTLINE
    free = [
        (page, place, line)
        for page in pages
        for place, line in enumerate(page.lines)
        if place not in taken.get(page.number, ()) and (page.number, place) not in used
    ]
    candidates = [item for item in free if _looks_like_heading(item[2], body, needs_size=trusts_outline)]
    if len(candidates) > _MOST_SHARE * max(len(free), 1):
        candidates = [item for item in candidates if item[2].size >= body * _LARGER]
    levels = _levels_by_style(pages, by_outline, [line for _, _, line in candidates])
    for heading in _merge(candidates, levels, is_numbered=not trusts_outline):
        headings[heading.page, heading.places[0]] = heading
    return headings, len(by_outline)


def _match_outline(
    pages: Sequence[Page], taken: Mapping[int, set[int]], outline: Sequence[OutlineEntry]
) -> list[Heading]:
    found: list[Heading] = []
    used: set[tuple[int, int]] = set()
    for entry in outline:
        for number in (entry.page, entry.page + 1):
            if number > len(pages):
                continue
            page = pages[number - 1]
            places = _find_title(page, taken.get(page.number, set()), entry.title, used)
            if places:
                found.append(_outline_heading(page, places, entry.level))
                used.update((page.number, place) for place in places)
                break
    return found


@functools.lru_cache(maxsize=4096)
def normal_titles(title: str) -> frozenset[str]:
    """Return a title's letters and digits, with its number and without."""
    texts = (title, _LABEL.sub("", title, count=1))
    return frozenset(_NOISE.sub("", text).casefold() for text in texts) - {""}


def _find_title(page: Page, taken: set[int], title: str, used: set[tuple[int, int]]) -> tuple[int, ...]:
    """Return the places of the lines that spell the title, with or without its number."""
    wanted = normal_titles(title)
    best: tuple[int, ...] = ()
    best_size = 0.0
    for start in range(len(page.lines)):
        spelled = ""
        for end in range(start, min(start + _MOST_LINES, len(page.lines))):
            if end in taken or (page.number, end) in used:
                break
            spelled = join_lines(spelled, page.lines[end].text)
            if normal_titles(spelled) & wanted:
                if page.lines[start].size > best_size:
                    best, best_size = tuple(range(start, end + 1)), page.lines[start].size
                break
            if len(spelled) > len(title) + _MOST_CHARACTERS // 4:
                break
    if best and best[0] and (page.number, best[0] - 1) not in used and best[0] - 1 not in taken:
        before = page.lines[best[0] - 1]
        if _LONE_LABEL.match(before.text.strip()):
            best = (best[0] - 1, *best)
    return best


def _outline_heading(page: Page, places: tuple[int, ...], level: int) -> Heading:
    text = ""
    for place in places:
        text = join_lines(text, page.lines[place].text)
    return Heading(page=page.number, places=places, level=min(level, _MOST_LEVEL), text=text)


def _looks_like_heading(line: Line, body: float, *, needs_size: bool) -> bool:
    text = line.text.strip()
    if not 1 < len(text) <= _MOST_CHARACTERS or line.is_mono or not re.search(r"[^\W\d_]", text):
        return False
    if line.size >= body * _LARGER:
        return True
    return (
        not needs_size and line.is_bold and line.size >= body * 0.97
        and len(text) <= _MOST_CHARACTERS // 2 and not _TERMINAL.search(text)
    )  # fmt: skip


def _style(line: Line) -> tuple[float, bool]:
    return line.size, line.is_bold


def _levels_by_style(
    pages: Sequence[Page], outline: Iterable[Heading], lines: Sequence[Line]
) -> dict[tuple[float, bool], int]:
    """Return a level for each style: the outline's where it knows it, else by size."""
    votes: dict[tuple[float, bool], Counter[int]] = defaultdict(Counter)
    for heading in outline:
        votes[_style(pages[heading.page - 1].lines[heading.places[-1]])][heading.level] += 1
    levels = {style: counter.most_common(1)[0][0] for style, counter in votes.items()}
    known = dict(levels)
    rank = 0
    for style in sorted({_style(line) for line in lines} - set(known), reverse=True):
        if known:
            larger = [level for other, level in known.items() if other[0] > style[0]]
            levels[style] = max(larger) + 1 if larger else 0
        else:
            levels[style] = rank
            rank += 1
    return {style: min(level, _MOST_LEVEL) for style, level in levels.items()}


def _merge(
    candidates: Sequence[tuple[Page, int, Line]],
    levels: Mapping[tuple[float, bool], int],
    *,
    is_numbered: bool,
) -> list[Heading]:
    """Join candidate lines that continue each other into headings."""
    headings: list[Heading] = []
    last: Line | None = None
    for page, place, line in candidates:
        before = headings[-1] if headings else None
        if (
            before is not None and last is not None and before.page == page.number
            and before.places[-1] == place - 1 and _style(line) == _style(last)
            and 0 < last.bottom - line.bottom < 2.2 * line.size and not _LABEL.match(line.text)
            and len(before.text) < _MOST_CHARACTERS
        ):  # fmt: skip
            before.text = join_lines(before.text, line.text)
            before.places = (*before.places, place)
        else:
            level = levels[_style(line)]
            dotted = _DOTTED.match(line.text)
            if is_numbered and dotted:
                level = min(dotted[1].count(".") + 1, _MOST_LEVEL)
            headings.append(Heading(page=page.number, places=(place,), level=level, text=line.text))
        last = line
    return headings
