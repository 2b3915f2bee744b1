"""Bootstrap intervals of an arm's mean score and of the paired difference between two arms."""

from __future__ import annotations

import math
from collections.abc import Sequence

from assistant.core.records import Record

LEVEL = 0.95
_Z = 1.959964
_LEAST_CASES = 5
# Beyond it the bootstrap of a mean is the normal distribution to the printed digits.
_BOOTSTRAP_CASES = 5000
_BLOCK_DRAWS = 2_000_000


class Interval(Record, frozen=True, kw_only=True):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float
    case_count: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves zero out; with fewer than 5 cases it says nothing."""
        return self.case_count >= _LEAST_CASES and (self.low > 0 or self.high < 0)


def mean_intervals(columns: Sequence[Sequence[float]], *, samples: int, seed: int) -> list[Interval]:
    """Return the mean of each column with its percentile bootstrap interval.

    Cases are resampled with replacement, and every column sees the same resamples. Efron and
    Tibshirani, An Introduction to the Bootstrap (1993), ch. 13. Above 5000 cases the normal
    interval, to which it converges, is returned.

    Args:
        columns: scores, each of the same cases in the same order; at least one case.
        samples: number of resamples.
        seed: of the resampling.
    """
    count = len(columns[0])
    means = [math.fsum(column) / count for column in columns]
    if count > _BOOTSTRAP_CASES:
        ends = [_normal_ends(column, mean) for column, mean in zip(columns, means, strict=True)]
    else:
        ends = _bootstrap_ends(columns, samples, seed)
    return [
        Interval(mean=mean, low=low, high=high, case_count=count)
        for mean, (low, high) in zip(means, ends, strict=True)
    ]


def paired_difference(ours: Sequence[float], theirs: Sequence[float], *, samples: int, seed: int) -> Interval:
    """Return the mean difference ``ours - theirs`` over the same cases with its bootstrap interval."""
    gaps = [a - b for a, b in zip(ours, theirs, strict=True)]
    return mean_intervals([gaps], samples=samples, seed=seed)[0]


def _normal_ends(column: Sequence[float], mean: float) -> tuple[float, float]:
    variance = math.fsum((value - mean) ** 2 for value in column) / len(column)
    half = _Z * math.sqrt(variance / len(column))
    return mean - half, mean + half


def _bootstrap_ends(columns: Sequence[Sequence[float]], samples: int, seed: int) -> list[tuple[float, float]]:
    import numpy as np

    values = np.asarray(columns, dtype=np.float64)
    count = values.shape[1]
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK_DRAWS // count)
    parts = []
    for start in range(0, samples, block):
        draws = random.integers(0, count, size=(min(block, samples - start), count))
        parts.append(np.stack([row[draws].mean(axis=1) for row in values]))
    means = np.concatenate(parts, axis=1)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=1)
    return list(zip(low.tolist(), high.tolist(), strict=True))
