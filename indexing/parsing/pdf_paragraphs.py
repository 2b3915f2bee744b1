"""From the lines of a PDF page to paragraphs, list items and code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from assistant.core.language import han_count
from indexing.parsing.pdf_page import Page
from indexing.parsing.pdf_text import LABEL_CHARACTERS, Line
from indexing.parsing.text_joining import join_lines

_GLYPH = re.compile(r"[•●○◦▪■□◆◇▶►‣∙·*–—]\s+|-\s+|[\uf0b7\uf0a7\u27a2]\s*")
_NUMBERED = re.compile(r"\(?(?:\d{1,2}|[a-z])[.)]\s+\S|[（(]\d{1,2}[）)]|\d{1,2}、|[①-⑳]")
_SIGNAL = re.compile(
    r"(?:note|notes|notice|warning|caution|danger|tip|hint|important|attention|注意|警告|小心|当心|危险|提示|重要|说明|备注)[:：!！]?",
    re.I,
)
_TERMINAL = re.compile(r"[.。！!？?：:；;…][\"”’)）]?\Z")
_CONTINUES = re.compile(r"[a-z\u4e00-\u9fff(（,，]")
# Paragraphs are apart where the pitch of two lines is so much more than usual.
_APART = 1.35
_OTHER_SIZE = 0.15
# Two lines of one height: their lower edges differ by less than half a letter.
_SAME_LINE = -0.4
_SHORT_LINE = 0.82
# A label stands in the middle of its text: so many lines below its first line, or above.
_LABEL_REACH = (10, -2)


class Block(msgspec.Struct, kw_only=True):
    """A paragraph, list item or piece of code, with the lines it came from.

    A labelled one begins with a word such as WARNING that stands to the left of its lines.
    """

    kind: Literal["text", "list_item", "code"]
    text: str
    page: int
    lines: list[Line]
    is_labelled: bool = False


class Joiner:
    """Joins lines with what is known of the whole document.

    Args:
        pages: all pages.
        is_spaced: the text sets a space between Chinese and Latin.
    """

    def __init__(self, pages: Sequence[Page], *, is_spaced: bool) -> None:
        self.is_spaced = is_spaced
        words = (
            word
            for page in pages
            for line in page.lines
            for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", line.text)
        )
        self.words = frozenset(word.lower() for word in words)
        pitches: Counter[float] = Counter()
        for page in pages:
            for one, two in zip(page.lines, page.lines[1:], strict=False):
                if one.size == two.size and 0 < one.bottom - two.bottom < 3 * one.size:
                    pitches[round((one.bottom - two.bottom) / one.size, 1)] += 1
        self.pitch = pitches.most_common(1)[0][0] if pitches else 1.2

    def join(self, first: str, second: str) -> str:
        """Join two texts at a line break."""
        return join_lines(first, second, is_spaced=self.is_spaced, words=self.words)

    def blocks(self, lines: Iterable[Line], right: float) -> list[Block]:
        """Group consecutive lines of one page; ``right`` is the right edge of its text."""
        blocks: list[Block] = []
        for line in lines:
            if blocks and _is_label(blocks[-1], line):
                colon = "：" if han_count(blocks[-1].text) else ": "
                blocks[-1].text = f"{blocks[-1].text.rstrip(':： ')}{colon}{line.text}"
                blocks[-1].lines, blocks[-1].is_labelled = [line], True
            elif blocks and self._continues(blocks[-1], line, right):
                self._append(blocks[-1], line)
            else:
                blocks.append(_start(line))
        for block in blocks:
            if block.kind == "code":
                block.text = _code_text(block.lines)
        return blocks

    def _append(self, block: Block, line: Line) -> None:
        block.text = self.join(block.text, line.text)
        block.lines.append(line)

    def _continues(self, block: Block, line: Line, right: float) -> bool:
        last = block.lines[-1]
        pitch = (last.bottom - line.bottom) / max(line.size, 1.0)
        if line.is_mono or block.kind == "code":
            return line.is_mono and block.kind == "code" and _SAME_LINE < pitch < 2 * self.pitch
        if _is_other_style(last, line) or _starts_item(line.text):
            return False
        if pitch < -1:  # a new column
            return not _TERMINAL.search(block.text) and bool(_CONTINUES.match(line.text))
        is_lone_bold = last.is_bold and not line.is_bold and len(block.lines) == 1 and pitch > -_SAME_LINE
        return pitch <= _APART * self.pitch and not is_lone_bold and not _ends_before(block, line, right)

    def continues_page(self, block: Block, following: Block) -> bool:
        """Return whether a paragraph goes on with the first block of the next page."""
        if block.kind == "code" or following.kind != "text" or _TERMINAL.search(block.text):
            return False
        return block.lines[-1].size == following.lines[0].size and bool(_CONTINUES.match(following.text))


def _is_other_style(last: Line, line: Line) -> bool:
    return abs(line.size - last.size) > _OTHER_SIZE * max(line.size, last.size)


def _ends_before(block: Block, line: Line, right: float) -> bool:
    """Return whether a paragraph ends by its shape: a short last line, or the next one set in or out."""
    last, left = block.lines[-1], block.lines[0].x0
    is_short = last.x1 - left < _SHORT_LINE * (right - left)
    if _TERMINAL.search(last.text) and (is_short or line.x0 - last.x0 > line.size):
        return True
    is_outdented = line.x0 < left - line.size / 2
    return is_outdented and (block.kind == "list_item" or block.is_labelled)


def _starts_item(text: str) -> bool:
    return bool(_GLYPH.match(text) or _NUMBERED.match(text))


def _is_label(block: Block, line: Line) -> bool:
    """Return whether the block is a label such as WARNING that stands to the left of its text or over it."""
    label = block.lines[-1]
    if _SIGNAL.fullmatch(block.text) and line.bottom < label.top and not line.is_mono:
        return True
    if block.kind != "text" or len(block.lines) > 1 or len(block.text) > LABEL_CHARACTERS or line.is_mono:
        return False
    above, below = _LABEL_REACH
    is_beside = below < (line.bottom - label.bottom) / line.size < above
    return is_beside and line.x0 > label.x1 + label.size / 5 and label.text[-1].isalpha()


def _start(line: Line) -> Block:
    if line.is_mono:
        return Block(kind="code", text=line.text, page=line.page, lines=[line])
    if _starts_item(line.text):
        text = _GLYPH.sub("", line.text, count=1)
        return Block(kind="list_item", text=text, page=line.page, lines=[line])
    return Block(kind="text", text=line.text, page=line.page, lines=[line])


def _code_text(lines: Sequence[Line]) -> str:
    """Return lines of code with the indentation that their left edges show."""
    left = min(line.x0 for line in lines)
    widths = sorted((line.x1 - line.x0) / max(len(line.text), 1) for line in lines)
    width = widths[len(widths) // 2] or 1.0
    return "\n".join(" " * min(round((line.x0 - left) / width), 60) + line.text for line in lines)
