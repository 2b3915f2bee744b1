"""From the blocks of one section to pieces that each fit into a chunk."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from assistant.core.boxes import Box, unite
from assistant.core.records import Element, ElementKind, ElementOrigin, Record

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PASSAGE_PREFIX = "passage: "
_CAPTION = re.compile(r"<caption>(.*?)</caption>", re.S)
_CELL_BORDER = " · "
_LEAD_IN = re.compile(r"[:：]\s*\Z")
# What is repeated in front of every part of a list or table may take so much of a chunk.
_REPEATED_SHARE = 4
# A link is no place for a cut: what ends sentences is masked inside it.
_URL = re.compile(r"(?:https?|ftp)://[^\s（）()<>]+")
_MASK = str.maketrans(".?!", "\ue101\ue102\ue103")
_UNMASK = str.maketrans("\ue101\ue102\ue103", ".?!")
_EVEN_SHARE = 0.85
# A short line without an end right before a table is its caption.
_CAPTION_CHARACTERS = 80
_SENTENCE_END = re.compile(r"[.。！!？?；;，,]\s*\Z")


class Piece(Record, frozen=True, kw_only=True):
    """Text that is never cut again.

    Attributes:
        text: the text.
        tokens: the embedder's count, without the prefix.
        kind: of the block it comes from.
        page: page it starts on.
        origin: ticket or dialogue that it is; never joined with another piece.
        is_line: one line of a list or table, joined to the next by a line break only.
        starts_passage: its author set a border before it.
        passage_tokens: tokens up to the author's next border.
        confidence: of text recognition; None where it stood in the file as text.
        box: around the blocks on its page that it comes from.
    """

    text: str
    tokens: int
    kind: ElementKind = "text"
    page: int | None = None
    origin: ElementOrigin = ""
    is_line: bool = False
    starts_passage: bool = False
    passage_tokens: int = 0
    confidence: float | None = None
    box: Box | None = None


class PieceCutter:
    """Cuts blocks with the embedder's own tokenizer.

    Args:
        tokenizer: the embedder's.
        max_tokens: most tokens of a chunk, the prefix and special tokens included.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        prefix = len(tokenizer.encode(PASSAGE_PREFIX).ids)
        # One token of reserve: at the border of prefix and text two tokens may come of one.
        self.budget = max(max_tokens - prefix - 1, 8)

    def fits(self, text: str, about: int) -> bool:
        """Return whether a text fits into one chunk; ``about`` is the sum of its parts' counts."""
        if about > self._max_tokens:
            return False
        return len(self._tokenizer.encode(PASSAGE_PREFIX + text).ids) <= self._max_tokens

    def cut(self, elements: Sequence[Element]) -> list[Piece]:
        """Return the pieces of a section's blocks, each within the budget."""
        pieces: list[Piece] = []
        for run in _runs(elements):
            if run[0].origin:
                pieces.extend(self._whole(run[0]))
            elif run[-1].kind == "table":
                pieces.extend(self._table(run[-1], run[0].text if len(run) > 1 else "", run[0]))
            elif len(run) > 1:
                pieces.extend(self._list(run))
            else:
                pieces.extend(self._plain(run[0]))
        return _measure_passages(pieces)

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _split(self, text: str, taken: int = 0) -> list[str]:
        """Cut a long text into parts of about one length, at sentences where it can be.

        Args:
            text: to cut.
            taken: tokens of a part's budget that something else takes.
        """
        from semantic_text_splitter import TextSplitter

        masked = _URL.sub(lambda found: found[0].translate(_MASK), text)
        total = self._count(text)
        budget = self.budget - taken
        even = int(total / -(-total // budget) * _EVEN_SHARE)
        splitter = TextSplitter.from_callback(
            lambda part: self._count(part.translate(_UNMASK)), (min(even, budget), budget)
        )
        return [part.translate(_UNMASK) for part in splitter.chunks(masked)]

    def _piece(self, text: str, element: Element, *, is_line: bool = False, is_first: bool = True) -> Piece:
        return Piece(
            text=text,
            tokens=self._count(text),
            kind=element.kind,
            page=element.page,
            origin=element.origin,
            is_line=is_line,
            starts_passage=element.starts_passage and is_first,
            confidence=element.confidence,
            box=element.box,
        )

    def _plain(self, element: Element) -> Iterator[Piece]:
        text = (
            f"- {element.text}" if element.kind == "list_item" and _needs_dash(element.text) else element.text
        )
        is_line = element.kind == "list_item"
        if self._count(text) <= self.budget:
            yield self._piece(text, element, is_line=is_line)
            return
        for place, part in enumerate(self._split(text)):
            yield self._piece(part, element, is_line=is_line and not place, is_first=not place)

    def _whole(self, element: Element) -> Iterator[Piece]:
        """Keep a ticket or dialogue whole; one that is too long is cut between its turns."""
        lines = element.text.split("\n")
        for place, part in enumerate(self._fill(lines, "")):
            yield self._piece(part, element, is_first=not place)

    def _table(self, element: Element, lead: str, first: Element) -> Iterator[Piece]:
        """Cut a table between rows, its caption in front of each part."""
        found = _CAPTION.search(element.html)
        caption = html.unescape(found[1]).strip() if found else ""
        rows = element.text.removeprefix(caption).strip("\n").split("\n")
        head = "\n".join(part for part in (lead, caption) if part)
        for place, part in enumerate(self._fill(rows, head)):
            piece = self._piece(part, element, is_first=not place)
            yield msgspec.structs.replace(
                piece, starts_passage=first.starts_passage and not place, box=_united((element, first))
            )

    def _list(self, run: Sequence[Element]) -> Iterator[Piece]:
        """Keep a list with its lead-in; a long one is cut between items, the lead-in repeated."""
        lead, *items = run
        lines = [f"- {item.text}" if _needs_dash(item.text) else item.text for item in items]
        for place, part in enumerate(self._fill(lines, lead.text)):
            yield msgspec.structs.replace(
                self._piece(part, lead, is_first=not place), box=_united((lead, *items))
            )

    def _fill(self, lines: Sequence[str], head: str) -> Iterator[str]:
        """Yield texts of as many lines as fit, as even as can be, each under the head."""
        head_tokens = self._count(head) if head else 0
        if head_tokens * _REPEATED_SHARE > self.budget:
            yield from self._split(head)
            head, head_tokens = "", 0
        room = self.budget - head_tokens - 1
        for part in _even_parts(lines, [self._count(line) + 1 for line in lines], room):
            text = "\n".join(part)
            if len(part) > 1 or self._count(text) <= room:
                yield f"{head}\n{text}" if head else text
                continue
            for piece in self._split_row(text):
                yield f"{head}\n{piece}" if head and self._count(piece) < room else piece

    def _split_row(self, row: str) -> Iterator[str]:
        """Yield the parts of a row that is too long, its first cell in front of each: what it tells of."""
        key, border, _ = row.partition(_CELL_BORDER)
        taken = self._count(key + border) + 1
        key = key + border if border and taken * _REPEATED_SHARE <= self.budget else ""
        for part in self._split(row.removeprefix(key), taken if key else 0):
            yield key + part


def _even_parts(lines: Sequence[str], counts: Sequence[int], room: int) -> Iterator[list[str]]:
    """Yield runs of lines of at most ``room`` tokens, each about as long as the others."""
    left = sum(counts)
    parts_left = max(-(-left // room), 1)
    part: list[str] = []
    tokens = 0
    for line, count in zip(lines, counts, strict=True):
        is_full = tokens + count > room or (parts_left > 1 and tokens + count / 2 > left / parts_left)
        if part and is_full:
            yield part
            left, parts_left = left - tokens, max(parts_left - 1, -(-(left - tokens) // room))
            part, tokens = [], 0
        part.append(line)
        tokens += count
    if part:
        yield part


def _united(elements: Sequence[Element]) -> Box | None:
    """Return the box around those of the blocks that stand on the first one's page."""
    return unite(element.box for element in elements if element.page == elements[0].page)


def _needs_dash(text: str) -> bool:
    return not re.match(r"\d+[.)] ", text)


def _runs(elements: Sequence[Element]) -> Iterator[list[Element]]:
    """Yield blocks one by one, but a lead-in with its list and a caption with its table."""
    place = 0
    while place < len(elements):
        end = place + 1
        if _is_lead_in(elements[place]):
            while (
                end < len(elements) and elements[end].kind == "list_item" and not elements[end].starts_passage
            ):
                end += 1
        if (
            end == place + 1 < len(elements)
            and elements[end].kind == "table"
            and _is_caption(elements[place])
        ):
            end += 1
        yield list(elements[place:end])
        place = end


def _is_lead_in(element: Element) -> bool:
    return element.kind == "text" and not element.origin and bool(_LEAD_IN.search(element.text))


def _is_caption(element: Element) -> bool:
    if element.kind != "text" or element.origin or len(element.text) > _CAPTION_CHARACTERS:
        return False
    return "\n" not in element.text and not _SENTENCE_END.search(element.text)


def _measure_passages(pieces: Sequence[Piece]) -> list[Piece]:
    """Tell each piece how many tokens stand from it to the author's next border."""
    measured: list[Piece] = []
    tokens = 0
    for piece in reversed(pieces):
        tokens += piece.tokens
        measured.append(msgspec.structs.replace(piece, passage_tokens=tokens))
        if piece.starts_passage:
            tokens = 0
    return measured[::-1]
