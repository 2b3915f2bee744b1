from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from assistant.core.errors import IndexBroken
from indexing.vector_index import VectorIndex, write_vectors


def unit_vectors(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("flat_limit", [1000, 10], ids=["flat", "graph"])
def test_the_nearest_come_first_under_their_numbers(tmp_path: Path, flat_limit: int) -> None:
    vectors, numbers = unit_vectors(300), [7_000_000_000 + 3 * place for place in range(300)]
    write_vectors(tmp_path / "v", vectors, numbers, flat_limit=flat_limit)
    index = VectorIndex(tmp_path / "v")
    assert (len(index), index.dimension) == (300, 16)
    queries = unit_vectors(5, seed=1)
    found = index.search(queries, 10)
    for query, row in zip(queries, found, strict=True):
        cosines = vectors @ query
        best = np.argsort(-cosines)[:10]
        assert [number for number, _ in row] == [numbers[place] for place in best]
        assert [cosine for _, cosine in row] == pytest.approx(cosines[best], abs=1e-5)
        some = [numbers[200], numbers[5]]
        assert index.cosines(query, some) == pytest.approx([cosines[200], cosines[5]], abs=1e-5)
    assert index.cosines(queries[0], []) == []


def test_more_than_there_is_and_nothing_at_all(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v", unit_vectors(3), [1, 2, 3])
    assert {number for number, _ in VectorIndex(tmp_path / "v").search(unit_vectors(1), 50)[0]} == {1, 2, 3}
    write_vectors(tmp_path / "empty", np.zeros((0, 16), np.float32), [])
    assert VectorIndex(tmp_path / "empty").search(unit_vectors(2), 5) == [[], []]


def test_a_mapped_index_outlives_its_file(tmp_path: Path) -> None:
    vectors = unit_vectors(50)
    write_vectors(tmp_path / "v", vectors, range(50))
    index = VectorIndex(tmp_path / "v")
    (tmp_path / "v").unlink()
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda place=place: found.append(index.search(vectors[[place]], 1)[0][0][0]))
        for place in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(8))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "v").write_bytes(b"no index")
    with pytest.raises(IndexBroken, match="vector index"):
        VectorIndex(tmp_path / "v")
