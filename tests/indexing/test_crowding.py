"""Chunks among many alike are set back by a share of the crowd around them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from assistant.core.errors import IndexBroken
from assistant.core.home import Home
from indexing.build import Builder
from indexing.candidates import Candidates
from indexing.crowding import (
    CROWDING_FILE,
    measure_crowding,
    read_crowding,
    sample_places,
    sample_vectors,
    write_crowding,
)
from indexing.embedding import HashingEmbedder
from indexing.opening import OpenSnapshot
from indexing.queries import Query
from indexing.ranking import ask_lanes
from indexing.snapshots import BASE, DELTA, open_current
from indexing.vector_index import Floats, write_vectors

MakeBuilder = Callable[..., Builder]


def units(count: int, dimension: int = 16, seed: int = 1) -> Floats:
    made = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def test_it_is_the_mean_cosine_to_the_ten_nearest_others() -> None:
    vectors = units(40)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    expected = np.sort(cosines, axis=1)[:, -10:].mean(axis=1)
    assert measure_crowding(vectors, vectors) == pytest.approx(expected, abs=1e-5)


def test_a_copy_is_no_crowd() -> None:
    vectors = units(40)
    alone = measure_crowding(vectors, vectors)
    with_copies = measure_crowding(vectors, np.vstack((vectors, np.repeat(vectors[:1], 9, axis=0))))
    assert with_copies[0] == pytest.approx(alone[0])


@pytest.mark.parametrize("count", [0, 1])
def test_where_there_is_nobody_there_is_no_crowd(count: int) -> None:
    assert measure_crowding(units(count), units(count)).tolist() == [0.0] * count


def test_a_large_segment_is_sampled_the_same_way_each_time(tmp_path: Path) -> None:
    crowds = units(8)[np.random.default_rng(2).integers(8, size=1500) ** 2 // 7]
    vectors = crowds + np.linspace(0.1, 2, 1500, dtype=np.float32)[:, np.newaxis] * units(1500, seed=3)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_vectors(tmp_path / "vectors.faiss", vectors, "flat")
    places = sample_places(1500)
    assert len(set(places.tolist())) == 1000
    assert np.array_equal(sample_vectors(tmp_path / "vectors.faiss"), vectors[places])
    whole, sampled = measure_crowding(vectors, vectors), measure_crowding(vectors, vectors[places])
    assert np.corrcoef(whole, sampled)[0, 1] > 0.95


def test_what_cannot_be_read_or_belongs_to_other_chunks_is_refused(tmp_path: Path) -> None:
    assert read_crowding(tmp_path, 3).tolist() == [0.0, 0.0, 0.0]
    write_crowding(tmp_path, np.ones(2, np.float32))
    with pytest.raises(IndexBroken, match="not of 3"):
        read_crowding(tmp_path, 3)
    (tmp_path / CROWDING_FILE).write_bytes(b"no array")
    with pytest.raises(IndexBroken, match="cannot be read"):
        read_crowding(tmp_path, 3)


def test_new_chunks_are_measured_against_the_collection(
    make_builder: MakeBuilder, home: Home, tmp_path: Path
) -> None:
    embedder = HashingEmbedder()
    files = tmp_path / "files"
    files.mkdir()
    for number in range(30):
        (files / f"{number}.txt").write_text(f"replace the seal of pump {number} 更换水泵密封圈 {number}")
    builder = make_builder()
    builder.add([files])
    (files / "new.txt").write_text("replace the seal of a pump 更换水泵密封圈")
    builder.add([files])
    folder, manifest = open_current(builder.folder)
    assert [segment.name for segment in manifest.segments] == [BASE, DELTA]
    sample = sample_vectors(folder / BASE / "vectors.faiss")
    vector = embedder.embed_passages(["replace the seal of a pump 更换水泵密封圈"])
    expected = measure_crowding(vector, sample)
    assert read_crowding(folder / DELTA, 1) == pytest.approx(expected, abs=1e-5)
    assert expected[0] > 0.3
    snapshot = OpenSnapshot(builder.folder, embedder)
    (number,) = snapshot.segments[1].chunks.numbers.tolist()
    query = Query(text="seal", aim=vector[0])
    lanes = ask_lanes(snapshot, query, [], {}, {number})
    assert lanes.uncrowded == pytest.approx(lanes.cosines - 0.2 * float(expected[0]), abs=1e-5)
    with pytest.raises(KeyError):
        snapshot.vectors.crowding(Candidates([10**6]))


def test_an_earlier_snapshot_is_searched_as_it_is_and_written_whole_next(
    make_builder: MakeBuilder, tmp_path: Path
) -> None:
    file = tmp_path / "pump.txt"
    file.write_text("replace the seal")
    builder = make_builder()
    builder.add([file])
    folder, _ = open_current(builder.folder)
    (folder / BASE / CROWDING_FILE).unlink()
    other = tmp_path / "fan.txt"
    other.write_text("clean the filter")
    builder.add([other])
    folder, manifest = open_current(builder.folder)
    assert [segment.name for segment in manifest.segments] == [BASE]
    assert (folder / BASE / CROWDING_FILE).exists()
