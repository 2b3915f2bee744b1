"""The vectors of one segment by place, searched by cosine. The only module that sees faiss."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from assistant.core.errors import IndexBroken
from indexing.snapshots import VectorKind

Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

# exact search of 50,000 vectors takes 3 ms; a graph of 300,000 takes minutes to build and 500 MB
FLAT_LIMIT = 50_000
GRAPH_LIMIT = 300_000
_HNSW_LINKS = 32
# measured on 50,000 vectors: 80 finds as much as 200 in a third of the time
_HNSW_BUILD_BREADTH = 80
_HNSW_SEARCH_BREADTH = 64
_LISTS_PER_ROOT = 4
_TRAINED_PER_LIST = 40
_PROBED_LISTS = 64
_GRAPH_SHARE = 0.5
_RECALL_AT = 10
_RECALL_SAMPLE = 200
_SEED = 7


def kind_for(count: int, flat_limit: int = FLAT_LIMIT, graph_limit: int = GRAPH_LIMIT) -> VectorKind:
    """Return the kind of index for so many vectors."""
    if count <= flat_limit:
        return "flat"
    return "hnsw" if count <= graph_limit else "ivf-sq8"


def write_vectors(path: Path, vectors: Floats, kind: VectorKind, *, threads: int = 0) -> float:
    """Write an index file and return its recall@10 on a sample of its own vectors.

    Args:
        path: file to write.
        vectors: unit vectors, shape ``(count, dimension)``; each is found as its place.
        kind: ``flat`` is exact, ``hnsw`` a graph, ``ivf-sq8`` lists of vectors of a byte a number.
        threads: for building, 0 for all cores.
    """
    import faiss

    _use_threads(threads)
    vectors = np.ascontiguousarray(vectors, np.float32)
    index = _build(vectors, kind)
    faiss.write_index(index, str(path))
    return 1.0 if kind == "flat" else _measure_recall(index, vectors)


def _build(vectors: Floats, kind: VectorKind) -> Any:
    import faiss

    count, dimension = vectors.shape
    index: Any
    if kind == "flat":
        index = faiss.IndexFlatIP(dimension)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(dimension, _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _HNSW_BUILD_BREADTH
        index.hnsw.efSearch = _HNSW_SEARCH_BREADTH
    else:
        lists = max(1, int(_LISTS_PER_ROOT * count**0.5))
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(dimension),
            dimension,
            lists,
            faiss.ScalarQuantizer.QT_8bit,
            faiss.METRIC_INNER_PRODUCT,
        )
        sample = min(count, lists * _TRAINED_PER_LIST)
        index.train(vectors[np.random.default_rng(_SEED).choice(count, sample, replace=False)])
        index.nprobe = _PROBED_LISTS
    index.add(vectors)
    if kind == "ivf-sq8":
        index.make_direct_map(True)  # noqa: FBT003 - faiss takes it by place; vectors are read by place
    return index


def _measure_recall(index: Any, vectors: Floats) -> float:
    """Return the share of ten true neighbours found; equal cosines count as found."""
    count = min(_RECALL_SAMPLE, len(vectors))
    sample = np.random.default_rng(_SEED).choice(len(vectors), count, replace=False)
    wanted = min(_RECALL_AT + 1, len(vectors))  # a vector finds itself
    _, found = index.search(vectors[sample], wanted)
    hits = 0
    for place, neighbours in zip(sample, found, strict=True):
        cosines = vectors @ vectors[place]
        least = np.partition(cosines, len(vectors) - wanted)[len(vectors) - wanted]
        hits += int((cosines[neighbours[neighbours >= 0]] >= least - 1e-6).sum()) - 1
    return round(hits / (count * (wanted - 1)), 4)


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

    def search(
        self, queries: Floats, count: int, selection: Selection | None = None
    ) -> tuple[Floats, Places]:
        """Return for each query the cosines and places of the nearest, best first, padded with place -1.

        Args:
            queries: shape ``(queries, dimension)``.
            count: most for each.
            selection: what may be found; all where None.
        """
        _use_threads(self._threads)
        index, options = self._selecting(selection) if selection else (self._index, {})
        found: tuple[Floats, Places] = index.search(
            np.ascontiguousarray(queries, np.float32), min(count, len(self)), **options
        )
        return found

    def cosines(self, query: Floats, places: Places) -> Floats:
        """Return the cosine of a query vector to the vector at each place."""
        return np.asarray(self.vectors(places) @ query, np.float32)

    def vectors(self, places: Places) -> Floats:
        """Return the vector at each place, shape ``(places, dimension)``."""
        return np.asarray(self._index.reconstruct_batch(np.ascontiguousarray(places)), np.float32)

    def _selecting(self, selection: Selection) -> tuple[Any, dict[str, Any]]:
        """Return what is searched, and how, so that a small selection is found as well as all are.

        A graph finds the fewer of a selection, the smaller it is (measured on 60,000: .49 of the 50 nearest
        in a tenth), so below half its vectors are compared one by one; of lists more are looked into.
        """
        import faiss as untyped

        faiss: Any = untyped  # its stubs know neither keywords nor the graph's parameters
        index, selector = self._index, selection.selector
        if isinstance(index, faiss.IndexHNSW):
            if selection.share >= _GRAPH_SHARE:
                parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=_HNSW_SEARCH_BREADTH)
                return index, {"params": parameters}
            index = index.storage
        if isinstance(index, faiss.IndexIVF):
            probed = min(index.nlist, math.ceil(_PROBED_LISTS / max(selection.share, 1 / len(self))))
            return index, {"params": faiss.SearchParametersIVF(sel=selector, nprobe=probed)}
        return index, {"params": faiss.SearchParameters(sel=selector)}


class Selection:
    """The places of an index that a search may return.

    Args:
        allowed: one truth value a place.

    Attributes:
        share: of the places, from 0 to 1.
    """

    def __init__(self, allowed: npt.NDArray[np.bool_]) -> None:
        import faiss as untyped

        faiss: Any = untyped
        self.allowed = allowed
        self.share = float(allowed.mean()) if len(allowed) else 0.0
        self.selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def _use_threads(threads: int) -> None:
    """Set the thread count of the calling thread, which is what OpenMP's setting applies to."""
    import faiss

    faiss.omp_set_num_threads(threads or len(os.sched_getaffinity(0)))
