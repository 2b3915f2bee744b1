"""Plain text: paragraphs through unstructured, headings by rules that hold for Chinese too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assistant.core.language import han_count
from assistant.core.settings import IndexSettings
from indexing.parsing.decoding import decode
from indexing.parsing.front_matter import front_metadata, front_title, split_front_matter
from indexing.parsing.partition import BORDER, Partition
from indexing.parsing.text_joining import join_lines, spaces_scripts

_RULE = re.compile(r"\s*([-=~*_#^])\1{3,}\s*\Z")
_NUMBERED = re.compile(
    r"(?P<chinese>第[一二三四五六七八九十百\d]+[章节篇部]|[一二三四五六七八九十]+、|附录\s*[A-Z\d一二三四五六七八九十]*)|"
    r"(?P<arabic>(?:chapter |section |appendix )?\d{1,3}(?:\.\d{1,3}){0,4}\.?)(?=\s+\D)", re.I
)  # fmt: skip
_CAPITALS = re.compile(r"[A-Z][A-Z&/,'’-]+(?: [A-Z0-9&/,'’-]+)+")
_BULLET = re.compile(r"\s*(?:[-*•●○▪◦·–—]|\(?\d{1,3}[.)、]|\(?[a-z][.)])\s+")
# a line of a list of faults, by a code or by a word with a number
_ENTRY = re.compile(
    r"(?:[A-Z][A-Za-z]{0,5}[-_ ]?\d{1,6}|0x[0-9A-F]+|[㐀-鿿]{2,4}\s?\d{1,5})\s*(?:[:：,，|\t-]|\s\S)"
)
_FEWEST_ENTRIES = 2
_TERMINAL = re.compile(r"[.。！!？?；;：:，,、…]\Z")
_TITLE_CHARACTERS = 80
_CJK_TITLE_CHARACTERS = 36
# A line is wrapped where it is nearly as long as the longest of its block, and that is a full line.
_WRAPPED_WIDTH = 40
_WRAPPED_SHARE = 0.7


def read_txt(path: Path, settings: IndexSettings) -> Partition:  # noqa: ARG001
    """Read a plain text file, front matter included."""
    fields, text = split_front_matter(decode(path.read_bytes(), path), is_certain=False)
    partition = read_text(text)
    partition.title, partition.metadata = front_title(fields) or partition.title, front_metadata(fields)
    return partition


def read_text(text: str) -> Partition:
    """Read plain text.

    unstructured decides by words and capitals what a title is, which takes two of three Chinese
    paragraphs for one; here a title is underlined or numbered, or stands in capitals on a line of its own.
    """
    from unstructured.documents.elements import Text, Title
    from unstructured.partition.text import partition_text

    paragraphs, titles = _paragraphs(text)
    if not paragraphs:
        return Partition(elements=[])
    elements: list[Any] = []
    for part in partition_text(text="\n\n".join(paragraphs), paragraph_grouper=False, languages=[""]):
        depth = titles.get(part.text)
        if depth is not None:
            element = Title(part.text, metadata=part.metadata)
            element.metadata.category_depth = depth
        elif type(part).__name__ == "ListItem":
            element = part
        else:
            element = Text(part.text, metadata=part.metadata)
        elements.append(element)
    return Partition(elements=elements)


def _paragraphs(text: str) -> tuple[list[str], dict[str, int]]:
    """Return paragraphs, each one line, and the depth of those that are titles."""
    is_spaced = spaces_scripts(text)
    paragraphs: list[str] = []
    titles: dict[str, int] = {}
    for block in re.split(r"\n[ \t]*(?:\n[ \t]*)+", text):
        for part in _parts([line.strip() for line in block.split("\n") if line.strip()]):
            lines = part
            while lines and (found := _title_of(lines)):
                title, depth, used = found
                paragraphs.append(title)
                titles.setdefault(title, depth)
                lines = lines[used:]
            if len(lines) == 1 and _RULE.match(lines[0]):
                paragraphs.append(BORDER)
            else:
                paragraphs.extend(_join_wrapped(lines, is_spaced=is_spaced))
    return paragraphs, titles


def _parts(lines: list[str]) -> Iterator[list[str]]:
    """Yield a block cut before each chapter of a Chinese text, which often has no empty lines."""
    start = 0
    for place in range(1, len(lines)):
        numbered = _NUMBERED.match(lines[place])
        if numbered and numbered["chinese"] and _title_of(lines[place:]):
            yield lines[start:place]
            start = place
    yield lines[start:]


def _title_of(lines: list[str]) -> tuple[str, int, int] | None:
    """Return the title that a block begins with, its depth and the lines it takes."""
    first = lines[0]
    limit = _CJK_TITLE_CHARACTERS if han_count(first) else _TITLE_CHARACTERS
    if len(first) > limit or _TERMINAL.search(first) or _RULE.match(first):
        return None
    if len(lines) > 1 and (rule := _RULE.match(lines[1])):
        return first, 0 if rule[1] in "=#*" else 1, 2
    numbered = _NUMBERED.match(first)
    if numbered and (len(lines) == 1 or numbered["chinese"]):
        return first, _depth_of(numbered[0]), 1
    if len(lines) == 1 and _CAPITALS.fullmatch(first):
        return first, 1, 1
    return None


def _depth_of(number: str) -> int:
    return number.strip(". ").count(".") + (0 if number.startswith("第") else 1)


def _join_wrapped(lines: list[str], *, is_spaced: bool) -> list[str]:
    """Join the lines of paragraphs that were wrapped; a bullet or a short line ends a paragraph.

    So does a line that begins with a code, where several do: a list of faults.
    """
    width = max((_width(line) for line in lines), default=0)
    has_entries = sum(bool(_ENTRY.match(line)) for line in lines) >= _FEWEST_ENTRIES
    joined: list[str] = []
    is_open = False
    for line in lines:
        if _RULE.match(line):
            is_open = False
            continue
        if is_open and not _BULLET.match(line) and not (has_entries and _ENTRY.match(line)):
            joined[-1] = join_lines(joined[-1], line, is_spaced=is_spaced)
        else:
            joined.append(line)
        is_open = _width(line) > _WRAPPED_SHARE * width and width >= _WRAPPED_WIDTH
    return joined


def _width(line: str) -> int:
    return len(line) + han_count(line)
