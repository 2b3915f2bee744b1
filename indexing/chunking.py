"""From a parsed document to chunks: pieces of one section that fit the embedder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from assistant.core.boxes import unite
from assistant.core.confidence import mean_confidence
from assistant.core.ids import content_id
from assistant.core.language import detect_language
from assistant.core.records import Chunk, ChunkKind, Element, ParsedDocument
from indexing.pieces import Piece, PieceCutter

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Where the author set a border, pieces of at least so many tokens stay apart.
_PASSAGE_TOKENS = 40
_LABEL_TOKENS = 24
_TOLD = re.compile(r"[。！!？?；;]\s*\Z|[^\d.]\.\s*\Z|[:：]\s*\S|(?<![A-Za-z])[A-Z]{1,6}-?\d{2,6}(?!\d)")
_COLON = re.compile(r"[:：]\s*\Z")


def chunk_document(
    parsed: ParsedDocument, document: str, version: int, tokenizer: Tokenizer, max_tokens: int
) -> list[Chunk]:
    """Cut a document into chunks.

    A chunk never crosses a title, keeps the titles above it and the page it starts on, and counts at
    most ``max_tokens`` with the embedder's ``passage: `` in front. An unchanged chunk keeps its id in
    every version of its document.

    Args:
        parsed: the document.
        document: its path relative to the folder that was added.
        version: number of its version.
        tokenizer: the embedder's.
        max_tokens: most tokens of one chunk.
    """
    cutter = PieceCutter(tokenizer, max_tokens)
    stem = PurePosixPath(document).stem
    top = "" if parsed.title == stem else parsed.title
    chunks: list[Chunk] = []
    seen: Counter[tuple[tuple[str, ...], str]] = Counter()
    for path, elements in _sections(parsed.elements, top):
        for group in _pack(cutter.cut(elements), max_tokens, cutter):
            text = _join(group)
            ordinal = seen[path, text]
            seen[path, text] += 1
            chunks.append(
                Chunk(
                    id=content_id(document, "\n".join(path), text, str(ordinal)),
                    document=document,
                    version=version,
                    position=len(chunks),
                    text=text,
                    heading_path=path,
                    page=group[0].page,
                    kind=_kind(group),
                    language=detect_language(text),
                    confidence=_confidence(group),
                    box=unite(piece.box for piece in group if piece.page == group[0].page),
                )
            )
    return chunks


def _sections(elements: Sequence[Element], top: str) -> Iterator[tuple[tuple[str, ...], list[Element]]]:
    """Yield each title's own blocks with the path of titles above them.

    Titles without anything below them are content themselves where several follow each other (a list
    written as headings), and where they tell something: a sentence, a code, words behind a colon. Another
    one alone says nothing and is left out.
    """
    stack: list[Element] = []
    body: list[Element] = []
    is_empty = True
    for place, element in enumerate(elements):
        if element.kind != "title":
            body.append(element)
            continue
        above = [title for title in stack if title.depth < element.depth]
        is_listed = _is_bare(elements, place) and (
            _is_bare(elements, place - 1) or _is_bare(elements, place + 1) or bool(_TOLD.search(element.text))
        )
        if body and not (is_listed and above == stack):
            yield _path(stack, top), body
            body, is_empty = [], False
        if is_listed:
            stack = above
            body.append(msgspec.structs.replace(element, kind="list_item", depth=0, starts_passage=False))
        else:
            stack = [*above, element]
    if body:
        yield _path(stack, top), body
    elif is_empty:  # all that the document says, it says in its titles
        yield (), list(elements)


def _is_bare(elements: Sequence[Element], place: int) -> bool:
    """Return whether the block is a title with neither text nor lower titles below it."""
    if not 0 <= place < len(elements) or elements[place].kind != "title":
        return False
    if place + 1 == len(elements):
        return True
    follower = elements[place + 1]
    return follower.kind == "title" and follower.depth <= elements[place].depth


def _path(stack: Sequence[Element], top: str) -> tuple[str, ...]:
    titles = tuple(" ".join(title.text.split()) for title in stack)
    return titles if not top or top in titles[:1] else (top, *titles)


def _pack(pieces: Sequence[Piece], max_tokens: int, cutter: PieceCutter) -> Iterator[list[Piece]]:
    """Group neighbouring pieces into chunks, as full as borders allow; a label stays with what it labels."""
    group: list[Piece] = []
    for piece in pieces:
        if group and not _may_join(group, piece, max_tokens, cutter):
            label = group[-1:] if len(group) > 1 and _is_label(group[-1], piece) else []
            if label and not _may_join(label, piece, max_tokens, cutter):
                label = []
            yield group[: len(group) - len(label)]
            group = label
        group.append(piece)
    if group:
        yield group


def _is_label(piece: Piece, follower: Piece) -> bool:
    """Tell whether a piece only names what follows: "- Error Number: 8003", "Run this command:"."""
    if piece.tokens > _LABEL_TOKENS or piece.origin or follower.starts_passage:
        return False
    return bool(_COLON.search(piece.text)) or (piece.is_line and not follower.is_line)


def _may_join(group: Sequence[Piece], piece: Piece, max_tokens: int, cutter: PieceCutter) -> bool:
    if piece.origin or group[-1].origin:
        return False
    held = sum(member.tokens for member in group)
    if piece.starts_passage and held + piece.passage_tokens > max_tokens >= piece.passage_tokens:
        return False
    if piece.starts_passage and held >= _PASSAGE_TOKENS and piece.passage_tokens >= _PASSAGE_TOKENS:
        return False
    if piece.page != group[0].page and held >= max_tokens // 2:
        return False
    return cutter.fits(_join([*group, piece]), held + piece.tokens)


def _join(group: Sequence[Piece]) -> str:
    text = group[0].text
    for before, piece in pairwise(group):
        text += ("\n" if before.is_line and piece.is_line else "\n\n") + piece.text
    return text


def _kind(group: Sequence[Piece]) -> ChunkKind:
    if group[0].origin:
        return group[0].origin
    in_tables = sum(piece.tokens for piece in group if piece.kind == "table")
    return "table" if 2 * in_tables > sum(piece.tokens for piece in group) else "text"


def _confidence(group: Sequence[Piece]) -> float | None:
    mean = mean_confidence((piece.confidence, len(piece.text)) for piece in group)
    return None if mean is None else round(mean, 3)
