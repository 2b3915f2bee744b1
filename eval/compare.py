"""Bootstrap intervals of a metric and of the paired difference of a metric between two arms.

Every metric is a ratio of two sums over cases: a mean counts 1 a case below the line, precision counts
what was cited, F1 counts twice the hits above and all hits and misses below. So one resampling serves all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from assistant.core.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

# what a case adds above and below the line; (0, 0) where the metric does not concern it
Part = tuple[float, float]
Column = Sequence[Part]

LEVEL = 0.95
_Z = 1.959964
_LEAST_CASES = 5
# Beyond it the bootstrap of a mean is the normal distribution to the printed digits.
_BOOTSTRAP_CASES = 5000
_BLOCK_DRAWS = 2_000_000


class Interval(Record, frozen=True, kw_only=True):
    """A metric with its 95 % interval.

    Attributes:
        mean: its value.
        low: lower end.
        high: upper end.
        case_count: cases that it concerns.
    """

    mean: float
    low: float
    high: float
    case_count: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves zero out; with fewer than 5 cases it says nothing."""
        return self.case_count >= _LEAST_CASES and (self.low > 0 or self.high < 0)


def ratio_intervals(columns: Sequence[Column], *, samples: int, seed: int) -> list[Interval | None]:
    """Return each column's ratio with its percentile bootstrap interval, None where it is undefined.

    Cases are resampled with replacement, and every column sees the same resamples. Efron and
    Tibshirani, An Introduction to the Bootstrap (1993), ch. 13. Above 5000 cases the normal
    interval of the linearised ratio, to which it converges, is returned.

    Args:
        columns: parts, each of the same cases in the same order; at least one case.
        samples: number of resamples.
        seed: of the resampling.
    """
    nothing: Column = [(0.0, 0.0)] * len(columns[0]) if columns else ()
    pairs = [(column, nothing) for column in columns]
    return _intervals(pairs, samples=samples, seed=seed, is_paired=False)


def ratio_differences(
    pairs: Sequence[tuple[Column, Column]], *, samples: int, seed: int
) -> list[Interval | None]:
    """Return for each pair of columns over the same cases the first ratio minus the second, paired by case.

    None where either is undefined.
    """
    return _intervals(pairs, samples=samples, seed=seed, is_paired=True)


def mean_intervals(columns: Sequence[Sequence[float]], *, samples: int, seed: int) -> list[Interval]:
    """Return the mean of each column of scores with its interval, as ``ratio_intervals`` does."""
    found = ratio_intervals(
        [[(score, 1.0) for score in column] for column in columns], samples=samples, seed=seed
    )
    return [interval for interval in found if interval is not None]


def paired_difference(ours: Sequence[float], theirs: Sequence[float], *, samples: int, seed: int) -> Interval:
    """Return the mean difference ``ours - theirs`` over the same cases with its bootstrap interval."""
    gaps = [a - b for a, b in zip(ours, theirs, strict=True)]
    return mean_intervals([gaps], samples=samples, seed=seed)[0]


def _intervals(
    pairs: Sequence[tuple[Column, Column]], *, samples: int, seed: int, is_paired: bool
) -> list[Interval | None]:
    import numpy as np

    if not pairs:
        return []
    # axes: pair, ours or theirs, case, above or below the line
    values = np.asarray(pairs, dtype=np.float64)
    sums = values.sum(axis=2)
    is_defined = (sums[:, :, 1] > 0).all(axis=1) if is_paired else sums[:, 0, 1] > 0
    means = _ratio(sums, np.zeros(sums.shape[:2]))
    count = values.shape[2]
    if count > _BOOTSTRAP_CASES:
        low, high = _normal_ends(values, means)
    else:
        low, high = _bootstrap_ends(values, means, samples, seed)
    middle = means[:, 0] - means[:, 1]
    concerned = (values[..., 1] > 0).any(axis=1).sum(axis=1)
    rows = zip(middle.tolist(), low.tolist(), high.tolist(), concerned.tolist(), strict=True)
    return [
        Interval(mean=row[0], low=row[1], high=row[2], case_count=row[3]) if known else None
        for known, row in zip(is_defined.tolist(), rows, strict=True)
    ]


def _ratio(sums: Matrix, instead: Matrix) -> Matrix:
    """Return sums above / sums below, and ``instead`` where nothing is below."""
    import numpy as np

    below = sums[..., 1]
    found: Matrix = np.where(below > 0, sums[..., 0] / np.where(below > 0, below, 1.0), instead)
    return found


def _normal_ends(values: Matrix, means: Matrix) -> tuple[Matrix, Matrix]:
    count = values.shape[2]
    below = values[..., 1].sum(axis=2, keepdims=True) / count
    below[below == 0] = 1.0
    bent = (values[..., 0] - means[..., None] * values[..., 1]) / below
    gaps = bent[:, 0] - bent[:, 1]
    half = _Z * gaps.std(axis=1) / math.sqrt(count)
    middle = means[:, 0] - means[:, 1]
    return middle - half, middle + half


def _bootstrap_ends(values: Matrix, means: Matrix, samples: int, seed: int) -> tuple[Matrix, Matrix]:
    import numpy as np

    pair_count, _, count, _ = values.shape
    flat = values.transpose(2, 0, 1, 3).reshape(count, -1)
    random = np.random.default_rng(seed)
    block = max(1, _BLOCK_DRAWS // count)
    parts = []
    for start in range(0, samples, block):
        size = min(block, samples - start)
        draws = random.integers(0, count, size=(size, count)) + count * np.arange(size)[:, None]
        times = np.bincount(draws.ravel(), minlength=size * count).reshape(size, count)
        ratios = _ratio((times @ flat).reshape(size, pair_count, 2, 2), means)
        parts.append(ratios[..., 0] - ratios[..., 1])
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.concatenate(parts), [tail, 1 - tail], axis=0)
    return low, high
