from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.core.errors import IndexBroken, NotFoundError
from assistant.core.home import Home
from assistant.core.settings import EmbedderSettings, Settings
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
from indexing.opening import OpenSnapshot
from indexing.search import Searcher
from indexing.serving import ServedSnapshot
from indexing.snapshots import current_name, open_current

SETTINGS = Settings(embedder=EmbedderSettings(model="hashing"))


@pytest.fixture
def folder(make_builder: type[Builder], documents: Path, home: Home) -> Path:
    make_builder().add([documents])
    return home.collection("pumps")


def wait_for(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_queries_during_swaps_and_removals_never_fail(
    make_builder: type[Builder], documents: Path, folder: Path
) -> None:
    searcher = Searcher(folder, SETTINGS, HashingEmbedder())
    is_done = threading.Event()
    failures: list[object] = []
    counts = [0] * 3

    def ask(place: int) -> None:
        while not is_done.is_set():
            try:
                passages = searcher.search(("pump seal", "水泵密封圈", "E-48")[place], 5)
                if not any(passage.chunk.document == "zh/guide.txt" for passage in passages):
                    failures.append(passages)
            except Exception as error:  # noqa: BLE001 - whatever it is
                failures.append(error)
            counts[place] += 1

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for number in range(4):
        (documents / "new.txt").write_text(f"The compressor has {number} valves.", "utf-8")
        make_builder().add([documents])
        make_builder().remove("new.txt") if number % 2 else make_builder().rebuild()
    is_done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert min(counts) > 10
    wait_for(lambda: searcher.stats().snapshot == current_name(folder))


def test_segments_that_stay_are_not_opened_again(
    make_builder: type[Builder], documents: Path, folder: Path
) -> None:
    embedder = HashingEmbedder()
    first = OpenSnapshot(folder, embedder)
    (documents / "new.txt").write_text("The compressor has a valve.", "utf-8")
    make_builder().add([documents])
    second = OpenSnapshot(folder, embedder, first)
    assert second.segments[0] is first.segments[0]
    assert [segment.name for segment in second.manifest.segments] == ["base", "delta"]
    assert OpenSnapshot(folder, embedder).segments[0] is not first.segments[0]


def test_a_damaged_new_snapshot_leaves_the_one_before_served_and_is_named(
    make_builder: type[Builder], documents: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = HashingEmbedder()
    served = ServedSnapshot(folder, embedder)
    (documents / "new.txt").write_text("The compressor has a valve.", "utf-8")
    make_builder().add([documents])
    snapshot, _ = open_current(folder)
    (snapshot / "delta" / "vectors.faiss").write_bytes(b"damaged")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert served.current().name == "000001"
    wait_for(lambda: len(caplog.messages) > 0)
    assert len(caplog.messages) == 1  # told once, not with every query
    assert "delta/vectors.faiss is not what was written" in caplog.text
    assert "run: deskmate index rebuild --collection pumps" in caplog.text
    with pytest.raises(IndexBroken, match=r"delta/vectors\.faiss"):
        ServedSnapshot(folder, embedder)
    make_builder().rebuild()
    wait_for(lambda: served.current().name == "000003")


def test_a_collection_that_is_gone_answers_nothing(folder: Path) -> None:
    served = ServedSnapshot(folder, HashingEmbedder())
    (folder / "current").unlink()
    with pytest.raises(NotFoundError, match="no index for collection 'pumps'"):
        served.current()


def test_what_was_removed_does_not_come_back_from_a_snapshot_that_is_no_longer_kept(
    make_builder: type[Builder], folder: Path
) -> None:
    """The list of the removed speaks of kept snapshots only, and the served one cannot be opened."""
    served = ServedSnapshot(folder, HashingEmbedder())
    make_builder().remove("pump.txt")
    make_builder().compact()
    snapshot, _ = open_current(folder)
    (snapshot / "base" / "vectors.faiss").write_bytes(b"damaged")
    for _ in range(2):
        with pytest.raises(IndexBroken, match=r"base/vectors\.faiss"):
            served.current()
    make_builder().rebuild()
    assert served.current().contents.keys() == {"zh/guide.txt"}


def test_a_snapshot_that_is_no_longer_kept_is_searched_on_where_nothing_was_removed(
    make_builder: type[Builder], folder: Path
) -> None:
    served = ServedSnapshot(folder, HashingEmbedder())
    make_builder().compact()
    snapshot, _ = open_current(folder)
    (snapshot / "manifest.json").write_bytes(b"damaged")
    assert served.current().name == "000001"
