"""How crowded the place of a chunk is: its mean cosine to the chunks that are nearest to it.

A chunk among many that say much the same lies near to every query, whatever it asks. Taking a share of the
crowd from its cosine sets such chunks back; the thought is that of cross-domain similarity local scaling
(Conneau and others, 2018). Measured over support questions and manuals in both languages, see
``docs/experiments.md``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from assistant.core.errors import IndexBroken
from indexing.vector_index import Floats, Places, VectorIndex

CROWDING_FILE = "crowding.npy"
# measured: a sample of a thousand ranks as well as all chunks do
_SAMPLE = 1000
_NEAREST = 10
_AT_ONCE = 4096
_ITSELF = 1 - 1e-5
_SEED = 7


def sample_places(count: int) -> Places:
    """Return the places of the chunks that stand for a segment of so many, the same ones each time."""
    if count <= _SAMPLE:
        return np.arange(count)
    return np.sort(np.random.default_rng(_SEED).choice(count, _SAMPLE, replace=False))


def sample_vectors(path: Path) -> Floats:
    """Return the vectors that stand for a segment.

    Args:
        path: of its vector index.

    Raises:
        IndexBroken: it cannot be read.
    """
    index = VectorIndex(path)
    return index.vectors(sample_places(len(index)))


def measure_crowding(vectors: Floats, sample: Floats) -> Floats:
    """Return for each vector its mean cosine to the ten nearest of a sample, itself and its copies left out.

    Args:
        vectors: unit vectors, shape ``(count, dimension)``.
        sample: unit vectors of the collection, shape ``(sample, dimension)``.

    Returns:
        shape ``(count,)``; 0 where there is nothing to be near to.
    """
    crowding = np.zeros(len(vectors), np.float32)
    nearest = min(_NEAREST, len(sample) - 1)
    if nearest < 1:
        return crowding
    for start in range(0, len(vectors), _AT_ONCE):
        cosines = vectors[start : start + _AT_ONCE] @ sample.T
        cosines[cosines >= _ITSELF] = 0.0
        best = np.partition(cosines, len(sample) - nearest, axis=1)[:, len(sample) - nearest :]
        crowding[start : start + _AT_ONCE] = best.mean(axis=1)
    return crowding


def write_crowding(folder: Path, crowding: Floats) -> None:
    """Write what was measured into a segment's folder."""
    np.save(folder / CROWDING_FILE, crowding)


def read_crowding(folder: Path, count: int) -> Floats:
    """Return what was measured of a segment of so many chunks; zeros where an earlier Deskmate wrote it.

    Raises:
        IndexBroken: the file cannot be read.
    """
    file = folder / CROWDING_FILE
    if not file.exists():
        return np.zeros(count, np.float32)
    try:
        crowding = np.asarray(np.load(file), np.float32)
    except (OSError, EOFError, ValueError) as error:
        raise IndexBroken(f"crowding {file} cannot be read: {error}") from error
    if crowding.shape != (count,):
        raise IndexBroken(f"crowding {file} is of {crowding.shape} chunks, not of {count}")
    return crowding
