"""From the candidates of the dense, the lexical and the exact-code lane to passages, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assistant.core.records import Passage
from assistant.core.settings import SearchSettings
from indexing.embedding import Vectors
from indexing.opening import OpenSnapshot

Lane = Sequence[tuple[int, float]]


def rank(
    snapshot: OpenSnapshot, query: str, vector: Vectors, dense: Lane, settings: SearchSettings, top_k: int
) -> tuple[Passage, ...]:
    """Return the best passages for a query.

    Args:
        snapshot: what is searched.
        query: what is looked for.
        vector: the query's embedding, shape ``(dimension,)``.
        dense: the dense lane's (number, cosine), best first.
        settings: ``[search]``.
        top_k: most passages.
    """
    lexical = dict(snapshot.lexical.search(query, settings.pool))
    coded = snapshot.codes.chunks_of(query)
    numbers = sorted({number for number, _ in dense} | set(lexical) | set(coded))
    cosines = dict(zip(numbers, snapshot.vectors.cosines(vector, numbers), strict=True))
    scores = fuse(cosines, lexical, settings.dense_weight)
    order = sorted(numbers, key=lambda number: (-coded.get(number, 0), -scores[number], number))
    chunks = snapshot.corpus.by_number
    distinct = {chunks[number].text: number for number in reversed(order)}
    best = [number for number in order if distinct[chunks[number].text] == number][:top_k]
    return tuple(
        Passage(
            rank=place,
            score=round(scores[number] + coded.get(number, 0), 6),
            chunk=chunks[number],
            dense=cosines[number],
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


def _scaled(scores: Mapping[int, float]) -> dict[int, float]:
    lowest, highest = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    spread = highest - lowest
    return {number: (score - lowest) / spread if spread else 0.0 for number, score in scores.items()}
