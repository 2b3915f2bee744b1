"""The dense lane: unit vectors by number, searched by cosine. The only module that sees faiss."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assistant.core.errors import IndexBroken

FLAT_LIMIT = 50_000
_HNSW_LINKS = 32
_HNSW_BUILD_BREADTH = 200
_HNSW_SEARCH_BREADTH = 128


def write_vectors(
    path: Path,
    vectors: npt.NDArray[np.float32],
    numbers: Sequence[int],
    *,
    flat_limit: int = FLAT_LIMIT,
    threads: int = 0,
) -> None:
    """Write an index file: exact up to ``flat_limit`` vectors, a graph (HNSW) above.

    Args:
        path: file to write.
        vectors: unit vectors, shape ``(len(numbers), dimension)``.
        numbers: what each vector is found as.
        flat_limit: most vectors that are compared one by one.
        threads: for building a graph, 0 for all cores.
    """
    import faiss

    _use_threads(threads)
    dimension = vectors.shape[1]
    if len(numbers) <= flat_limit:
        base: Any = faiss.IndexFlatIP(dimension)
    else:
        base = faiss.IndexHNSWFlat(dimension, _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
        base.hnsw.efConstruction = _HNSW_BUILD_BREADTH
        base.hnsw.efSearch = _HNSW_SEARCH_BREADTH
    index = faiss.IndexIDMap2(base)
    index.add_with_ids(np.ascontiguousarray(vectors, np.float32), np.asarray(numbers, np.int64))
    faiss.write_index(index, str(path))


class VectorIndex:
    """An index file, mapped into memory. Safe to search from several threads.

    Args:
        path: written by ``write_vectors``.
        threads: for one search, 0 for all cores; one is best where many requests run at once.

    Raises:
        IndexBroken: the file cannot be read.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        import faiss

        self._threads = threads
        try:
            self._index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise IndexBroken(f"vector index {path} cannot be read: {error}") from error

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def search(self, queries: npt.NDArray[np.float32], count: int) -> list[list[tuple[int, float]]]:
        """Return, for each query vector, up to ``count`` (number, cosine), best first."""
        if not len(self) or not len(queries):
            return [[] for _ in queries]
        _use_threads(self._threads)
        cosines, numbers = self._index.search(
            np.ascontiguousarray(queries, np.float32), min(count, len(self))
        )
        return [
            [(int(number), float(cosine)) for number, cosine in zip(*row, strict=True) if number >= 0]
            for row in zip(numbers, cosines, strict=True)
        ]

    def cosines(self, query: npt.NDArray[np.float32], numbers: Sequence[int]) -> list[float]:
        """Return the cosine of a query vector to each of the numbers' vectors."""
        if not numbers:
            return []
        vectors = self._index.reconstruct_batch(np.asarray(numbers, np.int64))
        return [float(cosine) for cosine in vectors @ query]


def _use_threads(threads: int) -> None:
    """Set the thread count of the calling thread, which is what OpenMP's setting applies to."""
    import faiss

    faiss.omp_set_num_threads(threads or len(os.sched_getaffinity(0)))
