"""Citations that hold: each ``[n]`` points at a passage of the context and carries a verbatim quote of it."""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from assistant.core.records import Citation, Passage
from assistant.core.sentences import Span, place_marks, split_sentences, support

# also the forms that models slip into: full-width brackets, "[1, 2]", "[1][2]"
_MARK = re.compile(r"\s*[\[【［]\s*(\d{1,2}(?:\s*[,，、]\s*\d{1,2})*)\s*[\]】］]")
MIN_SUPPORT = 0.5
MAX_QUOTE_CHARACTERS = 320
# measured on the sample suite's answers: from .25 on, made-up answers are caught; from .3 on, right but
# wordy ones too
MIN_GROUNDED = 0.26
# a sentence without a figure or code has only its words to be held to: "The Q7 does not have a Bluetooth
# speaker" shares the Q7 with any passage
MIN_GROUNDED_WORDS = 0.55
_FIGURE = re.compile(r"(?<![A-Za-z0-9-])\d|[A-Z]{1,4}-?\d{2,}")


class Statement(NamedTuple):
    """A sentence of an answer without its marks, and the numbers that they named."""

    claim: str
    numbers: tuple[int, ...]


def cite(text: str, passages: tuple[Passage, ...]) -> tuple[str, tuple[Citation, ...]]:
    """Check the marks of an answer and give each its quote.

    A mark whose number is not in the context, or whose passage does not carry the sentence, is
    dropped; a sentence that a passage carries and that has no mark left gets one.

    Args:
        text: the engine's text.
        passages: the context, numbered from 1.

    Returns:
        The text with good marks only, and one citation per number used, in order of number.
    """
    pieces: list[str] = []
    claims: dict[int, list[str]] = {}
    end = 0
    for sentence in _sentences_with_marks(text):
        pieces.append(text[end : sentence.start])
        claim = _MARK.sub("", sentence.text).strip()
        good = _good_numbers(claim, _marked(sentence.text), passages)
        for number in good:
            claims.setdefault(number, []).append(claim)
        pieces.append(place_marks(claim, good))
        end = sentence.end
    pieces.append(text[end:])
    citations = tuple(
        make_citation(number, passages[number - 1], " ".join(claims[number])) for number in sorted(claims)
    )
    return "".join(pieces).strip(), citations


def is_grounded(text: str, passages: tuple[Passage, ...]) -> bool:
    """Return whether a passage carries any sentence of the answer at least a little; else it is made up."""
    claims = [_MARK.sub("", span.text) for span in split_sentences(text)]
    return any(is_claim_grounded(claim, passages) for claim in claims)


def is_claim_grounded(claim: str, passages: tuple[Passage, ...]) -> bool:
    """Return whether a passage carries a claim, without marks, at least a little."""
    least = MIN_GROUNDED if _FIGURE.search(claim) else MIN_GROUNDED_WORDS
    return any(support(claim, evidence_text(passage)) >= least for passage in passages)


def without_marks(text: str) -> str:
    """Return a text without its ``[n]`` marks."""
    return _MARK.sub("", text)


def statements(text: str) -> list[Statement]:
    """Return the sentences of an answer with the numbers that their marks name."""
    rows = [
        Statement(_MARK.sub("", span.text).strip(), tuple(_marked(span.text)))
        for span in _sentences_with_marks(text)
    ]
    return [row for row in rows if row.claim]


def evidence_text(passage: Passage) -> str:
    """Return what a claim is held against: a passage's headings and text."""
    return " ".join((*passage.chunk.heading_path, passage.chunk.text))


def make_citation(number: int, passage: Passage, claim: str) -> Citation:
    """Return a citation whose quote is the span of the passage that fits the claim best."""
    chunk = passage.chunk
    quote = best_quote(chunk.text, claim)
    return Citation(
        number=number,
        document=chunk.document,
        version=chunk.version,
        page=chunk.page,
        quote=quote.text,
        heading_path=chunk.heading_path,
        chunk_id=chunk.id,
        start=quote.start,
        end=quote.end,
    )


def best_quote(text: str, claim: str) -> Span:
    """Return the sentence of a text that carries the claim best, with the next one where that helps."""
    spans = split_sentences(text) or [Span(0, len(text), text)]
    candidates = list(spans)
    for first, second in itertools.pairwise(spans):
        if second.end - first.start <= MAX_QUOTE_CHARACTERS:
            candidates.append(Span(first.start, second.end, text[first.start : second.end]))
    # a longer span never scores lower, so it must earn its length
    best = max(candidates, key=lambda span: support(claim, span.text) - len(span.text) / 4000)
    cut = min(best.end, best.start + MAX_QUOTE_CHARACTERS)
    return Span(best.start, cut, text[best.start : cut])


def _sentences_with_marks(text: str) -> list[Span]:
    """Return sentences, each together with marks that stand behind its full stop."""
    merged: list[Span] = []
    for span in split_sentences(text):
        rest = _MARK.sub("", span.text).strip()
        leading = _MARK.match(span.text)
        if merged and leading and not rest:
            merged[-1] = Span(merged[-1].start, span.end, text[merged[-1].start : span.end])
        elif merged and leading:
            border = span.start + leading.end()
            merged[-1] = Span(merged[-1].start, border, text[merged[-1].start : border])
            start = border + len(text[border : span.end]) - len(text[border : span.end].lstrip())
            merged.append(Span(start, span.end, text[start : span.end]))
        else:
            merged.append(span)
    return merged


def _marked(sentence: str) -> list[int]:
    found: list[int] = []
    for match in _MARK.finditer(sentence):
        for number in re.split(r"\s*[,，、]\s*", match.group(1)):
            if int(number) not in found:
                found.append(int(number))
    return found


def _good_numbers(claim: str, marked: list[int], passages: tuple[Passage, ...]) -> list[int]:
    if not claim:
        return []
    scores = {n: support(claim, evidence_text(passage)) for n, passage in enumerate(passages, 1)}
    good = [n for n in marked if scores.get(n, 0.0) >= MIN_SUPPORT]
    if good or not scores:
        return good
    best = max(scores, key=lambda n: scores[n])
    return [best] if scores[best] >= MIN_SUPPORT else []
