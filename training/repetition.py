"""Pairs that say the same: exactly, by their runs of words (MinHash), by embedding."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from assistant.core.sentences import numbers, terms
from indexing.minhash import candidates, sign
from indexing.shingles import jaccard, shingles
from training.checks import PEOPLE, Verdict
from training.pairs import Pair

if TYPE_CHECKING:
    from indexing.embedding import Embedder

NEAR = 0.8
ALIKE = 0.97
_SAME_ANSWER = 0.8
_CODE = re.compile(r"[A-Z]{1,4}-?\d{1,5}")


def near_duplicates(pairs: Sequence[Pair]) -> dict[int, int]:
    """Return place → earlier place for pairs whose wording is nearly that of an earlier one.

    Pairs that name other numbers or codes are never duplicates, however alike they are.
    """
    if len(pairs) < 2:  # noqa: PLR2004 - a pair alone repeats nothing
        return {}
    runs = [shingles(f"{pair.question} {pair.answer}", pair.chunk.language) for pair in pairs]
    found: dict[int, int] = {}
    for left, right in candidates(sign(runs)).tolist():
        if left in found or right in found or _facts(pairs[left]) != _facts(pairs[right]):
            continue
        if _frame(pairs[left]) == _frame(pairs[right]) and jaccard(runs[left], runs[right]) >= NEAR:
            found[right] = left
    return found


def alike_by_embedding(pairs: Sequence[Pair], embedder: Embedder) -> dict[int, tuple[int, float]]:
    """Return place → earlier place and likeness for questions about the same chunk that mean the same."""
    by_chunk: dict[str, list[int]] = {}
    for place, pair in enumerate(pairs):
        if pair.chunks:
            by_chunk.setdefault(pair.chunk.id, []).append(place)
    vectors = embedder.embed_queries([pair.question for pair in pairs]) if pairs else None
    found: dict[int, tuple[int, float]] = {}
    for places in by_chunk.values():
        for index, right in enumerate(places):
            for left in places[:index]:
                if vectors is None or left in found or not _says_the_same(pairs[left], pairs[right]):
                    continue
                value = float(vectors[left] @ vectors[right])
                if value >= ALIKE and _frame(pairs[left]) == _frame(pairs[right]):
                    found[right] = (left, value)
                    break
    return found


def contradictions(pairs: Sequence[Pair]) -> dict[int, Verdict]:
    """Return the places of questions that other chunks answer with other numbers, each with such an answer.

    "What is the CPU of the server?" stands in the tables of two sizes: known by heart, neither is right.
    """
    asked: dict[str, list[int]] = {}
    for place, pair in enumerate(pairs):
        if pair.chunks and pair.teacher not in PEOPLE:
            asked.setdefault(exact_key(pair), []).append(place)
    found: dict[int, Verdict] = {}
    for places in asked.values():
        said = {place: numbers(pairs[place].answer) - numbers(pairs[place].question) for place in places}
        for place in places:
            others = (other for other in places if said[place] and said[other] and said[other] != said[place])
            if (other := next(others, None)) is not None:
                found[place] = Verdict("same question, other answer", pairs[other].answer)
    return found


def exact_key(pair: Pair) -> str:
    """Return what two pairs share that ask the same in the same situation."""
    turns = "\n".join(f"{turn.role}: {turn.content}" for turn in pair.history)
    context = " ".join(passage.chunk.id for passage in pair.passages or ())
    return f"{''.join(pair.question.lower().split())}\n{turns}\n{context}"


def _says_the_same(left: Pair, right: Pair) -> bool:
    """Return whether two answers hold the same: questions of one table resemble each other by form alone."""
    if _facts(left) != _facts(right):
        return False
    one, other = terms(left.answer), terms(right.answer)
    return 2 * len(one & other) > _SAME_ANSWER * (len(one) + len(other))


def _facts(pair: Pair) -> tuple[frozenset[str], frozenset[str]]:
    text = f"{pair.question} {pair.answer}"
    return frozenset(_CODE.findall(text)), frozenset(numbers(text))


def _frame(pair: Pair) -> tuple[object, ...]:
    """Return what of a pair's situation makes the same words another lesson.

    A rewording means what its question means, so it is only compared with other rewordings.
    """
    return pair.history, pair.passages is None, pair.is_covered, pair.is_reworded
