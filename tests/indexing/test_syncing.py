from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from assistant.core.errors import InputError
from assistant.core.home import Home
from assistant.core.records import Passage
from assistant.core.settings import EmbedderSettings, IndexSettings, Settings
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Documents
from assistant.store.history import History
from indexing.build import Builder
from indexing.corpus import load_corpus
from indexing.embedding import HashingEmbedder
from indexing.search import Searcher
from indexing.snapshots import current_name
from indexing.syncing import sync
from indexing.versions import Renaming

SETTINGS = Settings(
    embedder=EmbedderSettings(model="hashing"),
    index=IndexSettings(metadata_rules=({"path": "old/*", "audience": "archive"},)),
)
TEXTS = {
    "pump.txt": "Replace the pump seal every two years.\n",
    "fan.txt": "The fan is loud.\n",
    "zh/泵.txt": "水泵密封圈每两年更换一次。\n",
    "zh/炉.txt": "门封条每天擦净一次。\n",
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    for name, text in TEXTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


@pytest.fixture
def builder(make_builder: type[Builder], files: Path) -> Builder:
    builder = make_builder(settings=SETTINGS)
    sync(builder, files)
    return builder


def documents(home: Home) -> tuple[str, ...]:
    return load_corpus("pumps", home).documents


def best(home: Home, query: str, **filters: str) -> Passage:
    """Search as a process that has just started."""
    return Searcher.open("pumps", home, SETTINGS, HashingEmbedder()).search(query, filters=filters)[0]


def change(files: Path) -> None:
    """Add, replace, remove and rename one file each."""
    (files / "new.txt").write_text("Clean the filter.\n", "utf-8")
    (files / "fan.txt").write_text("The fan is quiet.\n", "utf-8")
    (files / "zh" / "炉.txt").unlink()
    (files / "old").mkdir()
    (files / "zh" / "泵.txt").rename(files / "old" / "水泵.txt")


def test_a_sync_makes_the_collection_what_the_folder_is(builder: Builder, files: Path, home: Home) -> None:
    assert documents(home) == tuple(sorted(TEXTS))
    change(files)
    report = sync(builder, files)
    assert (report.added, report.replaced, report.removed) == (("new.txt",), ("fan.txt",), ("zh/炉.txt",))
    assert report.renamed == (Renaming(old="zh/泵.txt", new="old/水泵.txt"),)
    assert (report.unchanged, report.held, report.refused) == (("pump.txt",), (), ())
    assert documents(home) == ("fan.txt", "new.txt", "old/水泵.txt", "pump.txt")
    assert (report.document_count, report.chunk_count) == (4, 4)
    again = sync(builder, files)
    assert again.is_equal
    assert again.snapshot == report.snapshot


def test_a_dry_run_tells_the_same_and_changes_nothing(builder: Builder, files: Path, home: Home) -> None:
    change(files)
    before = current_name(builder.folder)
    told = sync(builder, files, is_dry_run=True)
    assert told.is_dry_run
    assert current_name(builder.folder) == before
    assert documents(home) == tuple(sorted(TEXTS))
    done = sync(builder, files)
    for name in ("added", "replaced", "removed", "renamed", "unchanged", "described", "held", "refused"):
        assert getattr(told, name) == getattr(done, name), name


def test_a_dry_run_of_a_new_collection_leaves_no_trace(
    make_builder: type[Builder], files: Path, home: Home
) -> None:
    told = sync(make_builder("new"), files, is_dry_run=True)
    assert set(told.added) == set(TEXTS)
    assert not home.collection("new").exists()


def test_a_renamed_document_keeps_its_identity_and_its_citations(
    builder: Builder, files: Path, home: Home
) -> None:
    cited = best(home, "水泵密封圈").chunk
    change(files)
    sync(builder, files)
    found = best(home, "水泵密封圈", audience="archive")  # the rule of its new path
    assert (found.chunk.document, found.chunk.version, found.chunk.id) == ("old/水泵.txt", 1, cited.id)
    # another file takes the old path: it is another document, whose versions cannot be mistaken
    (files / "zh" / "泵.txt").write_text("新的水泵手册。\n", "utf-8")
    sync(builder, files)
    database = Database(home.database_url)
    with database.read() as session:
        collection = Documents(session).find_collection("pumps")
        assert collection is not None
        history = History(session, collection)
        assert Chunks(session).of(history.version(cited.document, cited.version).id)[0].text == cited.text
        assert Chunks(session).of(history.version("zh/泵.txt").id)[0].text == "新的水泵手册。"
        assert [version.number for version in history.versions("zh/泵.txt")] == [1, 2]
    database.close()
    # and back again
    shutil.move(files / "old" / "水泵.txt", files / "pump2.txt")
    sync(builder, files)
    assert sync(builder, files).is_equal


def test_removing_most_documents_needs_a_yes(builder: Builder, files: Path, home: Home) -> None:
    shutil.rmtree(files / "zh")
    (files / "fan.txt").unlink()
    with pytest.raises(InputError, match=r"3 of 4 documents would be removed.*--dry-run; --yes"):
        sync(builder, files)
    assert len(documents(home)) == 4
    assert len(sync(builder, files, is_dry_run=True).removed) == 3
    assert len(sync(builder, files, may_remove_most=True).removed) == 3
    assert documents(home) == ("pump.txt",)


def test_what_cannot_be_read_is_not_taken_for_gone(builder: Builder, files: Path, home: Home) -> None:
    (files / "pump.txt").write_text("", "utf-8")  # empty: refused before it is parsed
    (files / "fan.txt").write_text("this is broken", "utf-8")  # refused by the parser
    report = sync(builder, files)
    assert report.removed == ()
    assert {Path(row.path).name for row in report.refused} == {"pump.txt", "fan.txt"}
    assert documents(home) == tuple(sorted(TEXTS))


def test_a_folder_that_is_none_changes_nothing(
    builder: Builder, files: Path, tmp_path: Path, home: Home
) -> None:
    for path in (tmp_path / "absent", files / "pump.txt"):
        with pytest.raises(InputError, match="is no folder"):
            sync(builder, path)
    (tmp_path / "empty").mkdir()  # a share that is not mounted
    with pytest.raises(InputError, match="4 of 4 documents would be removed"):
        sync(builder, tmp_path / "empty")
    assert len(documents(home)) == 4


def test_metadata_follows_rules_and_requests_without_a_new_version(
    builder: Builder, files: Path, home: Home, make_builder: type[Builder]
) -> None:
    report = sync(builder, files, metadata={"product": "Q7"})
    assert set(report.described) == set(TEXTS)
    assert best(home, "pump seal", product="Q7", language="en").chunk.version == 1
    assert sync(builder, files).is_equal  # what was requested once still holds
    rules = (*SETTINGS.index.metadata_rules, {"path": "*", "model": "M1", "product": "Q5"})
    ruled = make_builder(
        settings=Settings(embedder=SETTINGS.embedder, index=IndexSettings(metadata_rules=rules))
    )
    assert set(sync(ruled, files).described) == set(TEXTS)
    assert best(home, "pump seal").metadata == {"language": "en", "model": "M1", "product": "Q7"}
    sync(ruled, files, metadata={"product": ""})
    assert "product" not in best(home, "pump seal").metadata


def test_two_files_of_one_content_are_renamed_one_by_one(builder: Builder, files: Path, home: Home) -> None:
    shutil.copy(files / "pump.txt", files / "copy.txt")
    assert sync(builder, files).added == ("copy.txt",)  # the first is still there: no renaming
    (files / "copy.txt").rename(files / "copy2.txt")
    (files / "pump.txt").rename(files / "pump2.txt")
    report = sync(builder, files)
    assert {(pair.old, pair.new) for pair in report.renamed} in (
        {("copy.txt", "copy2.txt"), ("pump.txt", "pump2.txt")},
        {("copy.txt", "pump2.txt"), ("pump.txt", "copy2.txt")},
    )
    assert report.added == report.removed == ()


def test_a_damaged_served_snapshot_does_not_stop_removals(builder: Builder, files: Path, home: Home) -> None:
    folder = home.collection("pumps")
    (folder / "snapshots" / str(current_name(folder)) / "manifest.json").write_bytes(b"damaged")
    (files / "pump.txt").unlink()
    assert sync(builder, files).removed == ("pump.txt",)
    assert documents(home) == ("fan.txt", "zh/泵.txt", "zh/炉.txt")
