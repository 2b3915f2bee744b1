"""Metrics of one ranking, from the places at which the right things stand.

A place counts from 1 and is None for what was not found. ``tests/eval/test_eval_references.py`` holds them
against trec_eval's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

CUTOFF = 10
Ranks = Sequence[int | None]


def ranks_in(relevant: Sequence[str], ranking: Sequence[str]) -> list[int | None]:
    """Return the place of each relevant id in a ranking."""
    places: Mapping[str, int] = {name: place for place, name in reversed(list(enumerate(ranking, 1)))}
    return [places.get(name) for name in relevant]


def hit_at_k(ranks: Ranks, k: int) -> float:
    """Return 1 if any right thing is among the first ``k``, else 0."""
    return float(any(rank is not None and rank <= k for rank in ranks))


def recall_at_k(ranks: Ranks, k: int) -> float:
    """Return the share of right things among the first ``k``."""
    return sum(rank is not None and rank <= k for rank in ranks) / len(ranks) if ranks else 0.0


def mrr(ranks: Ranks, k: int = CUTOFF) -> float:
    """Return 1 / the place of the first right thing, 0 if it is not among the first ``k``."""
    best = min((rank for rank in ranks if rank is not None), default=k + 1)
    return 1 / best if best <= k else 0.0


def ndcg(ranks: Ranks, k: int = CUTOFF, grades: Sequence[float] | None = None) -> float:
    """Return the normalised discounted cumulative gain (Järvelin and Kekäläinen 2002).

    Each right thing gains ``grade / log2(1 + place)`` once. The ideal has the best grades at places 1, 2,
    ...; where one place holds several right things the value is cut at 1.

    Args:
        ranks: the places.
        k: places that count.
        grades: of the right things, above 0; None takes 1 for each (binary).
    """
    gains = grades if grades is not None else [1.0] * len(ranks)
    if not ranks:
        return 0.0
    best = sorted(gains, reverse=True)[:k]
    ideal = sum(gain / math.log2(1 + place) for place, gain in enumerate(best, 1))
    found = sum(
        gain / math.log2(1 + rank)
        for rank, gain in zip(ranks, gains, strict=True)
        if rank is not None and rank <= k
    )
    return min(1.0, found / ideal) if ideal else 0.0
