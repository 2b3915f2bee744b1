"""MinHash signatures of texts and the pairs that may be alike, over all texts at once.

By hand in numpy, because that takes a tenth of the time of the library that does the same text by text; the
signatures are datasketch's of its scheme ``affine32`` (docs/decisions/0009-near-duplicates.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np
import numpy.typing as npt

from indexing.shingles import Hashes, mix

# 16 bands of 4 hashes bring together 9,998 of 10,000 pairs of likeness 0.8
_BANDS, _BAND_HASHES = 16, 4
SIGNATURE_HASHES = _BANDS * _BAND_HASHES
# the estimate from 64 hashes is off by 0.05 (one standard deviation) at likeness 0.8
_WORTH_COMPARING = 0.65
_TEXTS_AT_ONCE = 256
_PAIRS_AT_ONCE = 1 << 16
_SEED = 1

Pairs = npt.NDArray[np.int64]


def sign(runs: Iterable[Hashes]) -> Hashes:
    """Return the signatures of texts, shape ``(texts, SIGNATURE_HASHES)``, few texts held at a time.

    The signature of several texts together is the lowest of theirs, column by column.

    Args:
        runs: of each text, from ``shingles``.
    """
    generator = np.random.default_rng(_SEED)
    # odd factors make each a permutation of 32 bits
    factors = generator.integers(0, 1 << 31, SIGNATURE_HASHES, np.uint32) * np.uint32(2) + np.uint32(1)
    offsets = generator.integers(0, 1 << 32, SIGNATURE_HASHES, np.uint32)
    signed = [np.zeros((0, SIGNATURE_HASHES), np.uint32)]
    texts = iter(runs)
    while batch := list(islice(texts, _TEXTS_AT_ONCE)):
        # a text without any run has the empty one, hashed as 0
        filled = [row if len(row) else np.zeros(1, np.uint32) for row in batch]
        mixed = mix(np.concatenate(filled))
        starts = np.cumsum([0, *map(len, filled[:-1])])
        columns = [
            np.minimum.reduceat(mixed * factor + offset, starts)
            for factor, offset in zip(factors, offsets, strict=True)
        ]
        signed.append(np.stack(columns, axis=1))
    return np.concatenate(signed)


def candidates(signatures: Hashes) -> Pairs:
    """Return the pairs of rows that may be alike, shape ``(pairs, 2)``, the lower row first.

    Rows meet where all hashes of a band are equal. Each is paired with the first of those and with the one
    before it, so that a text which stands in thousands of files costs no square of them.
    """
    found = [_pairs_of_band(signatures[:, band::_BANDS]) for band in range(_BANDS)]
    pairs = np.unique(np.concatenate(found), axis=0)
    likely = [
        (signatures[part[:, 0]] == signatures[part[:, 1]]).mean(axis=1) >= _WORTH_COMPARING
        for part in np.array_split(pairs, len(pairs) // _PAIRS_AT_ONCE + 1)
    ]
    probable: Pairs = pairs[np.concatenate(likely)]
    return probable


def _pairs_of_band(columns: Hashes) -> Pairs:
    keys = np.ascontiguousarray(columns).view(np.dtype((np.void, columns.itemsize * columns.shape[1])))[:, 0]
    order = np.argsort(keys, kind="stable")
    is_same = keys[order][1:] == keys[order][:-1]
    later = np.flatnonzero(is_same) + 1
    places = np.arange(len(order))
    first = np.maximum.accumulate(np.where(np.concatenate([[True], ~is_same])[: len(order)], places, 0))
    pairs: Pairs = np.stack(
        [np.concatenate([order[first[later]], order[later - 1]]), np.tile(order[later], 2)], axis=1
    )
    return pairs
