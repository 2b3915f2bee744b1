"""A database that was lost or restored numbers chunks anew: what was removed stays gone all the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from assistant.core.home import Home
from assistant.core.settings import EmbedderSettings, Settings
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
from indexing.lineage import Lineage
from indexing.search import Searcher
from indexing.snapshots import open_current, released_names, set_released, snapshot_folders
from indexing.tombstones import read_removed

SETTINGS = Settings(embedder=EmbedderSettings(model="hashing"))
PUMP, GUIDE = "pump.txt", "zh/guide.txt"


@pytest.fixture
def builder(make_builder: type[Builder], documents: Path) -> Builder:
    builder = make_builder()
    builder.add([documents])
    return builder


def found(searcher: Searcher) -> set[str]:
    queries = ("E-47 pump seal fan", "水泵密封圈", "valve")
    return {passage.chunk.document for row in searcher.search_many(queries, 20) for passage in row}


def lose(builder: Builder, home: Home) -> None:
    builder.database.close()
    for file in home.root.glob("deskmate.sqlite3*"):
        file.unlink()


def test_a_lost_database_brings_nothing_back(
    make_builder: type[Builder], builder: Builder, documents: Path, home: Home
) -> None:
    folder = home.collection("pumps")
    running = Searcher(folder, SETTINGS, HashingEmbedder())
    builder.remove(PUMP)
    lose(builder, home)
    (documents / PUMP).unlink()
    make_builder().add([documents])  # as many generations and lower numbers
    assert found(running) == found(Searcher(folder, SETTINGS, HashingEmbedder())) == {GUIDE}
    assert len(snapshot_folders(folder)) == 1
    assert len(read_removed(folder)) == 0


def test_a_restored_database_mixes_no_numbers(
    make_builder: type[Builder], builder: Builder, documents: Path, home: Home
) -> None:
    file = home.root / "deskmate.sqlite3"
    builder.database.close()
    shutil.copy(file, home.root / "backup")
    for name in ("c.txt", "c2.txt"):
        (documents / name).write_text("The fan of the pump has a seal.\n", "utf-8")
    later = make_builder()
    later.add([documents])
    lose(later, home)
    shutil.move(home.root / "backup", file)
    for name in ("c.txt", "c2.txt"):
        (documents / name).rename(documents / f"d-{name}")
    # with the same generation and numbers as the snapshot that knows them under other names
    make_builder().add([documents])
    searcher = Searcher(home.collection("pumps"), SETTINGS, HashingEmbedder())
    assert found(searcher) <= {PUMP, GUIDE, "d-c.txt", "d-c2.txt"}
    assert searcher.stats().chunk_count == 7


def test_a_restored_database_keeps_what_its_release_is_served_from(
    make_builder: type[Builder], builder: Builder, documents: Path, home: Home
) -> None:
    folder, file = home.collection("pumps"), home.root / "deskmate.sqlite3"
    set_released(folder, {"000001"})
    builder.remove(PUMP)
    builder.database.close()
    shutil.copy(file, home.root / "backup")
    (documents / PUMP).unlink()
    (documents / "later.txt").write_text("The valve of the pump.\n", "utf-8")
    later = make_builder()
    later.add([documents])
    set_released(folder, {"000001", "000002"})
    lose(later, home)
    shutil.move(home.root / "backup", file)
    (documents / "later.txt").rename(documents / "other.txt")
    make_builder().add([documents])
    assert [path.name for path in snapshot_folders(folder)] == ["000001", "000003"]
    assert released_names(folder) == {"000001"}
    released = Searcher(folder, SETTINGS, HashingEmbedder(), "000001")
    assert found(released) == {GUIDE}
    assert found(Searcher(folder, SETTINGS, HashingEmbedder())) == {GUIDE, "other.txt"}


def test_a_publishing_that_was_cut_off_leaves_the_snapshots_ours(
    make_builder: type[Builder], builder: Builder, documents: Path, home: Home
) -> None:
    folder = home.collection("pumps")
    Lineage(folder, builder.database, builder.existing()).new_mark()  # never served
    (documents / "new.txt").write_text("A valve.\n", "utf-8")
    make_builder().add([documents])
    assert [part.name for part in open_current(folder)[1].segments] == ["base", "delta"]
    assert Lineage(folder, builder.database, builder.existing()).is_ours
    (snapshot_folders(folder)[0] / "manifest.json").write_bytes(b"damaged")
    assert not Lineage(folder, builder.database, builder.existing()).is_ours
