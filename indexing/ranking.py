"""From the candidates of the dense, the lexical and the exact-code lane to passages, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from assistant.core.records import Chunk, Passage
from assistant.core.settings import SearchSettings
from indexing.opening import OpenSnapshot
from indexing.queries import CROSSING_WEIGHT, Query

Lane = Sequence[tuple[int, float]]
_DEFINING = 0.5
_EXPLAINING = frozenset({"text", "table"})


def rank(
    snapshot: OpenSnapshot,
    query: Query,
    dense: Lane,
    settings: SearchSettings,
    top_k: int,
    allowed: Set[int] | None = None,
) -> tuple[Passage, ...]:
    """Return the best passages for a query.

    Args:
        snapshot: what is searched.
        query: what is looked for.
        dense: the dense lane's (number, closeness), best first.
        settings: ``[search]``.
        top_k: most passages.
        allowed: numbers of the chunks that pass the filters, None where nothing is filtered.
    """
    lexical = dict(snapshot.lexical.search(query.text, settings.pool, allowed))
    held = snapshot.codes.chunks_of(query.text)
    numbers = sorted({number for number, _ in dense} | set(lexical) | _passing(held, allowed))
    closeness = dict(zip(numbers, snapshot.vectors.cosines(query.aim, numbers), strict=True))
    dense_weight = max(settings.dense_weight, CROSSING_WEIGHT if query.is_crossing else 0.0)
    chunks = snapshot.corpus.by_number(numbers)
    coded = _coded(held, snapshot.codes.defining(query.text), chunks)
    scores = fuse(closeness, lexical, dense_weight)
    order = sorted(numbers, key=lambda number: (-coded.get(number, 0), -scores[number], number))
    distinct = {chunks[number].text: number for number in reversed(order)}
    best = [number for number in order if distinct[chunks[number].text] == number][:top_k]
    return tuple(
        Passage(
            rank=place,
            score=round(scores[number] + coded.get(number, 0), 6),
            chunk=chunks[number],
            dense=closeness[number],
            lexical=lexical.get(number),
            is_code_match=number in coded,
        )
        for place, number in enumerate(best, 1)
    )


def fuse(cosines: Mapping[int, float], lexical: Mapping[int, float], dense_weight: float) -> dict[int, float]:
    """Return number → fused score from 0 to 1 of all candidates.

    Both lanes' scores are scaled to 0 to 1 over the candidates and summed by weight. A candidate that only
    one lane brought has its true cosine, and a BM25 score of 0. Beside reciprocal rank fusion this keeps how
    far apart the candidates are: measured, the right passage of a support question comes first more often.

    Args:
        cosines: of every candidate.
        lexical: BM25 scores of those that the lexical lane found.
        dense_weight: from 0 to 1.
    """
    dense = _scaled(cosines)
    terms = _scaled({number: lexical.get(number, 0.0) for number in cosines})
    return {number: dense_weight * dense[number] + (1 - dense_weight) * terms[number] for number in cosines}


def _passing(held: Mapping[int, int], allowed: Set[int] | None) -> set[int]:
    return {number for number in held if allowed is None or number in allowed}


def _coded(held: Mapping[int, int], defining: Set[int], chunks: Mapping[int, Chunk]) -> dict[int, float]:
    """Return the chunks that hold the query's codes: the more of them the higher, what explains one first.

    A ticket is about a code and never explains it.
    """
    return {
        number: count + (_DEFINING if number in defining and chunks[number].kind in _EXPLAINING else 0.0)
        for number, count in held.items()
        if number in chunks
    }


def _scaled(scores: Mapping[int, float]) -> dict[int, float]:
    lowest, highest = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    spread = highest - lowest
    return {number: (score - lowest) / spread if spread else 0.0 for number, score in scores.items()}
