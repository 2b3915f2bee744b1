"""Text cut into sentences with their offsets, and words to compare them by; English and Chinese alike."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

# a full stop ends a sentence only before white space, so that "3.5 bar" and "v2.1" stay whole
_END = re.compile(r"[。！？；]+[”」』）]*|(?<![.!?])[.!?]++[\"')\]]*+(?=\s|$)|\n+")
_WORD = re.compile(r"[a-z0-9]+(?:[.\-/_][a-z0-9]+)*|[㐀-䶿一-鿿豈-﫿]+")
# the 7 of "Q7" and of "Q-7" is part of a name, the 20 of "-20 °C" is a number
_NUMBER = re.compile(r"(?<![A-Za-z0-9])(?<![A-Za-z0-9]-)\d+(?:[.,]\d+)*")
# checking an answer compares each of its sentences with each of its context, the same ones again and again
_REMEMBERED = 2048
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be by can do does for from has have how i if in is it its my of on or our should "
        "that the their there this to was we what when where which who why will with you your",
    )
)


class Span(NamedTuple):
    """A piece of a text: ``text[start:end]``."""

    start: int
    end: int
    text: str


def split_sentences(text: str) -> list[Span]:
    """Return the sentences of a text with their offsets; white space around them is left out."""
    spans: list[Span] = []
    start = 0
    for match in [*_END.finditer(text), None]:
        end = match.end() if match else len(text)
        piece = text[start:end]
        stripped = piece.strip()
        if stripped:
            offset = start + piece.index(stripped)
            spans.append(Span(offset, offset + len(stripped), stripped))
        start = end
    return spans


@functools.lru_cache(_REMEMBERED)
def terms(text: str) -> frozenset[str]:
    """Return what a text is compared by: words and codes without stop words, Chinese character pairs."""
    found: set[str] = set()
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text).lower()):
        word = match.group()
        if word[0] > "\u33ff":
            found.update(word[i : i + 2] for i in range(max(1, len(word) - 1)))
        elif word not in _STOP_WORDS:
            found.add(word)
    return frozenset(found)


@functools.lru_cache(_REMEMBERED)
def numbers(text: str) -> frozenset[str]:
    """Return the numbers in a text, thousands separators removed."""
    found = _NUMBER.finditer(unicodedata.normalize("NFKC", text))
    return frozenset(match.group().replace(",", "") for match in found)


def support(claim: str, evidence: str) -> float:
    """Return how well the evidence carries the claim, from 0 to 1.

    The share of the claim's terms that stand in the evidence; numbers weigh double, since a claim
    with another number is another claim.
    """
    wanted, offered = terms(claim), terms(evidence)
    wanted_numbers, offered_numbers = numbers(claim), numbers(evidence)
    weight = len(wanted) + 2 * len(wanted_numbers)
    if not weight:
        return 0.0
    return (len(wanted & offered) + 2 * len(wanted_numbers & offered_numbers)) / weight


def place_marks(sentence: str, marks: Sequence[int]) -> str:
    """Return the sentence with ``[n]`` marks before its full stop; no space follows a Chinese character."""
    if not marks:
        return sentence
    body = sentence.rstrip("。.!?！？；")
    space = "" if body and body[-1] > "\u2e7f" else " "
    return body + space + "".join(f"[{mark}]" for mark in marks) + sentence[len(body) :]
