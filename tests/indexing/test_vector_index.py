from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from assistant.core.errors import IndexBroken
from indexing.snapshots import VectorKind
from indexing.vector_index import Selection, VectorIndex, kind_for, write_vectors

KINDS: list[VectorKind] = ["flat", "hnsw", "ivf-sq8"]


def unit_vectors(count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_the_nearest_come_first(tmp_path: Path, kind: VectorKind) -> None:
    vectors = unit_vectors(600)
    recall = write_vectors(tmp_path / "v", vectors, kind)
    assert recall > 0.97
    index = VectorIndex(tmp_path / "v")
    assert (len(index), index.dimension) == (600, 16)
    queries = unit_vectors(5, seed=1)
    cosines, places = index.search(queries, 10)
    for query, near, at in zip(queries, cosines, places, strict=True):
        exact = vectors @ query
        best = np.argsort(-exact)[:10]
        assert len(set(at) & set(best)) >= 9
        assert near == pytest.approx(exact[at], abs=0.02)
        assert index.cosines(query, np.array([200, 5])) == pytest.approx(exact[[200, 5]], abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_selected_is_found_and_all_of_it_can_be(tmp_path: Path, kind: VectorKind) -> None:
    vectors = unit_vectors(600)
    write_vectors(tmp_path / "v", vectors, kind)
    index = VectorIndex(tmp_path / "v")
    allowed = np.zeros(600, np.bool_)
    allowed[::7] = True
    _, places = index.search(vectors[[1, 70]], 20, Selection(allowed))
    found = places[places >= 0]
    assert len(found) >= 36
    assert allowed[found].all()
    assert places[1][0] == 70


def test_recall_is_of_others_than_the_vector_itself(tmp_path: Path) -> None:
    assert write_vectors(tmp_path / "v", unit_vectors(300), "flat") == 1.0
    # far more directions than the lists' centres can tell apart: not everything is found
    rough = np.random.default_rng(0).normal(size=(20_000, 16)).astype(np.float32)
    rough /= np.linalg.norm(rough, axis=1, keepdims=True)
    assert 0.5 < write_vectors(tmp_path / "v", rough, "ivf-sq8") < 1.0


def test_the_kind_follows_the_size() -> None:
    assert [kind_for(count) for count in (0, 50_000, 50_001, 300_000, 300_001)] == [
        "flat",
        "flat",
        "hnsw",
        "hnsw",
        "ivf-sq8",
    ]


def test_more_than_there_is_and_nothing_at_all(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v", unit_vectors(3), "flat")
    assert set(VectorIndex(tmp_path / "v").search(unit_vectors(1), 50)[1][0]) == {0, 1, 2}
    write_vectors(tmp_path / "empty", np.zeros((0, 16), np.float32), "flat")
    assert len(VectorIndex(tmp_path / "empty")) == 0


def test_a_mapped_index_outlives_its_file(tmp_path: Path) -> None:
    vectors = unit_vectors(50)
    write_vectors(tmp_path / "v", vectors, "flat")
    index = VectorIndex(tmp_path / "v")
    (tmp_path / "v").unlink()
    found: list[int] = []
    threads = [
        threading.Thread(
            target=lambda place=place: found.append(int(index.search(vectors[[place]], 1)[1][0][0]))
        )
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


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf-sq8"])
@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_of_a_small_selection_the_nearest_are_found_too(
    tmp_path: Path, kind: VectorKind, share: float
) -> None:
    vectors = unit_vectors(3000)
    write_vectors(tmp_path / "vectors", vectors, kind)
    allowed = np.random.default_rng(3).random(len(vectors)) < share
    places = np.flatnonzero(allowed)
    _, found = VectorIndex(tmp_path / "vectors").search(vectors[:20], 10, Selection(allowed))
    hits = 0
    for query, near in zip(vectors[:20], found, strict=True):
        nearest = places[np.argsort(-(vectors[places] @ query))[:10]]
        hits += len({*near.tolist()} & {*nearest.tolist()})
    assert hits >= 0.9 * 200
