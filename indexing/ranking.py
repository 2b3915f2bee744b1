"""From the candidates of the dense, the lexical and the exact-code lane to passages, best first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set

import numpy as np

from assistant.core.records import Chunk, Passage
from assistant.core.settings import SearchSettings
from indexing.candidates import Candidates, Scores
from indexing.opening import OpenSnapshot
from indexing.queries import CROSSING_WEIGHT, Query
from indexing.reranking import FEATURES, Lanes, rerank, scaled
from indexing.second_step import second_step, with_second_step

Lane = Sequence[tuple[int, float]]
# for each better chunk of its document; measured: pages of a manual .70 to .74 in the first five, none lower;
# with more, the first thousand tokens hold less of answers that run over two chunks
_EARLIER_COST = 0.01
_MOST_EARLIER = 2
_CROWD_SHARE = 0.2
_LETTER_SHARE = 0.4
_FRONT = 3
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
    codes = snapshot.codes.known(query.text)
    held = snapshot.codes.chunks_of(codes)
    lanes = ask_lanes(snapshot, query, dense, lexical, _passing(held, allowed))
    dense_weight = max(settings.dense_weight, CROSSING_WEIGHT if query.is_crossing else 0.0)
    is_reranked = len(settings.reranker) == len(FEATURES) and not query.is_crossing
    scored = rerank(lanes, settings.reranker) if is_reranked else fuse(lanes, dense_weight)
    fused = dict(zip(lanes.numbers, scored.tolist(), strict=True))
    closeness = dict(zip(lanes.numbers, lanes.cosines.tolist(), strict=True))
    for front, sure_count in _fronts(fused, top_k, is_whole=bool(held)):
        chunks = snapshot.corpus.by_number(front)
        defining = snapshot.codes.defining(codes)
        coded = _coded(held, defining, chunks)
        scores = spread({number: fused[number] for number in front}, chunks)
        explaining = [chunks[number] for number in coded.keys() & defining]
        totals = {number: scores[number] + coded.get(number, 0.0) for number in front}
        order = sorted(front, key=lambda number: (-coded.get(number, 0.0), -scores[number], number))
        step = second_step(query.text, snapshot.codes, explaining, chunks, fused) if explaining else None
        if step is not None and step not in coded:
            order = with_second_step(order, step)
        distinct: dict[str, int] = {}
        for number in order[:sure_count]:
            distinct.setdefault(chunks[number].text, number)
        best = list(distinct.values())[:top_k]
        if len(best) == top_k:
            break
    return tuple(
        Passage(
            rank=place,
            score=round(max(totals[later] for later in best[place - 1 :]), 6),
            chunk=chunks[number],
            dense=closeness[number],
            lexical=lexical.get(number),
            is_code_match=number in coded,
        )
        for place, number in enumerate(best, 1)
    )


def ask_lanes(
    snapshot: OpenSnapshot, query: Query, dense: Lane, lexical: Mapping[int, float], further: Set[int]
) -> Lanes:
    """Return what all lanes say of what one of them found.

    Args:
        snapshot: what is searched.
        query: what is looked for.
        dense: the dense lane's (number, closeness).
        lexical: the lexical lane's number → BM25 score.
        further: numbers of other candidates.
    """
    candidates = Candidates({number for number, _ in dense} | lexical.keys() | further)
    cosines = snapshot.vectors.cosines(query.aim, candidates)
    return Lanes(
        numbers=candidates.numbers,
        cosines=cosines,
        # see indexing/crowding.py
        uncrowded=cosines - _CROWD_SHARE * snapshot.vectors.crowding(candidates),
        lexical=np.array([lexical.get(number, 0.0) for number in candidates.numbers], np.float64),
        letters=snapshot.letters.scores(query.text, candidates),
    )


def fuse(lanes: Lanes, dense_weight: float) -> Scores:
    """Return the fused score from 0 to 1 of each candidate.

    The scores are scaled to 0 to 1 over the candidates and summed by weight. A candidate that only one lane
    brought has its true cosine, and a BM25 score of 0. Beside reciprocal rank fusion this keeps how far apart
    the candidates are: measured, the right passage of a support question comes first more often.

    Args:
        lanes: what they say of the candidates.
        dense_weight: from 0 to 1; the rest is of the words.
    """
    dense, terms, letters = map(scaled, (lanes.uncrowded, lanes.lexical, lanes.letters))
    words = (1 - _LETTER_SHARE) * terms + _LETTER_SHARE * letters
    return dense_weight * dense + (1 - dense_weight) * words


def spread(scores: Mapping[int, float], chunks: Mapping[int, Chunk]) -> dict[int, float]:
    """Return the scores with a small cost for chunks that come after better ones of their document.

    They often say much the same, so that another document that is as good comes before the second.
    """
    taken: Counter[str] = Counter()
    spaced = dict(scores)
    for number in sorted(scores, key=lambda number: (-scores[number], number)):
        document = chunks[number].document
        spaced[number] -= _EARLIER_COST * min(taken[document], _MOST_EARLIER)
        taken[document] += 1
    return spaced


def _fronts(scores: Mapping[int, float], top_k: int, *, is_whole: bool) -> Iterator[tuple[list[int], int]]:
    """Yield ever more of the best candidates, so that few are read: most are far from the first passages.

    With each comes how many of its first places are sure: no cost of spreading lets one left out pass them.

    Args:
        scores: fused scores of all candidates.
        top_k: most passages.
        is_whole: take all candidates at once, because something else than their scores decides.
    """
    ranked = sorted(scores, key=lambda number: (-scores[number], number))
    count = len(ranked) if is_whole else _FRONT * top_k
    while count < len(ranked):
        least = scores[ranked[count - 1]] - _EARLIER_COST * _MOST_EARLIER
        yield [number for number in ranked if scores[number] >= least], count
        count *= _FRONT
    yield ranked, len(ranked)


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
