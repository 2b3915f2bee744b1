from __future__ import annotations

from pathlib import Path

import pytest

from assistant.core.errors import NotFoundError
from assistant.core.home import Home
from assistant.core.records import Passage
from assistant.core.settings import EmbedderSettings, IndexSettings, Settings
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.history import History
from indexing.build import Builder
from indexing.corpus import load_corpus
from indexing.embedding import HashingEmbedder
from indexing.search import Searcher
from indexing.snapshots import current_name
from indexing.versions import Renaming, Replacement, diff, list_snapshots, restore, rollback

SETTINGS = Settings(
    embedder=EmbedderSettings(model="hashing"), index=IndexSettings(snapshots_kept=9, versions_kept=3)
)
PUMP = "# Seals\nReplace the seal every {} weeks.\n"
GUIDE = "# 维护\n密封圈每{}周更换一次。\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    write(folder, 1)
    return folder


def write(files: Path, weeks: int) -> None:
    (files / "pump.md.txt").write_text(PUMP.format(weeks), "utf-8")
    (files / "指南.txt").write_text(GUIDE.format(weeks), "utf-8")


@pytest.fixture
def builder(make_builder: type[Builder]) -> Builder:
    return make_builder(settings=SETTINGS)


def texts(home: Home) -> set[str]:
    return {chunk.text for chunk in load_corpus("pumps", home).chunks}


def best(home: Home, query: str) -> Passage:
    """Search as a process that has just started."""
    return Searcher.open("pumps", home, SETTINGS, HashingEmbedder()).search(query)[0]


def both(weeks: int) -> set[str]:
    return {f"Replace the seal every {weeks} weeks.", f"密封圈每{weeks}周更换一次。"}


def chunk_of(home: Home, document: str, number: int) -> str:
    """Return the text of a citation (document, version) as ``index show`` resolves it."""
    database = Database(home.database_url)
    with database.read() as session:
        collection = next(c for c in _collections(session) if c.name == "pumps")
        version = History(session, collection).version(document, number)
        (chunk,) = Chunks(session).of(version.id)
        assert Chunks(session).find(chunk.id) is not None
    database.close()
    return chunk.text


def _collections(session: object) -> list[object]:
    from assistant.store.documents import Documents

    return list(Documents(session).collections())  # type: ignore[arg-type]


def test_a_replaced_version_answers_no_more_and_stays_citable(
    builder: Builder, files: Path, home: Home
) -> None:
    builder.add([files])
    write(files, 2)
    assert set(builder.add([files]).replaced) == {"pump.md.txt", "指南.txt"}
    assert texts(home) == both(2)
    assert chunk_of(home, "pump.md.txt", 1) == "Replace the seal every 1 weeks."
    assert chunk_of(home, "指南.txt", 1) == "密封圈每1周更换一次。"


def test_a_restored_version_answers_until_the_file_changes_again(
    builder: Builder, files: Path, home: Home
) -> None:
    builder.add([files])
    write(files, 2)
    builder.add([files])
    restore(builder, "pump.md.txt", 1)
    assert texts(home) == {"Replace the seal every 1 weeks.", "密封圈每2周更换一次。"}
    assert best(home, "replace the seal").chunk.version == 1
    held = builder.add([files])
    assert (held.held, held.unchanged, held.replaced) == (("pump.md.txt",), ("指南.txt",), ())
    assert "Replace the seal every 1 weeks." in texts(home)
    (files / "pump.md.txt").write_text(PUMP.format(3), "utf-8")
    assert builder.add([files]).replaced == ("pump.md.txt",)
    assert best(home, "replace the seal").chunk.version == 3
    before = current_name(builder.folder)
    assert restore(builder, "pump.md.txt", 3).snapshot == before  # it is live already
    for missing in (("pump.md.txt", 9), ("none.txt", 1)):
        with pytest.raises(NotFoundError, match=missing[0]):
            restore(builder, *missing)


def test_versions_beyond_what_is_kept_lose_their_text(builder: Builder, files: Path, home: Home) -> None:
    for weeks in range(1, 6):
        write(files, weeks)
        builder.add([files])
    for kept in (3, 4, 5):
        assert chunk_of(home, "pump.md.txt", kept) == f"Replace the seal every {kept} weeks."
    with pytest.raises(NotFoundError, match="no kept version 2: it is pruned"):
        restore(builder, "pump.md.txt", 2)
    write(files, 6)
    builder.add([files])
    assert {chunk.version for chunk in load_corpus("pumps", home).chunks} == {6}


def test_a_rollback_serves_an_earlier_state_and_lets_no_removed_document_return(
    builder: Builder, files: Path, home: Home
) -> None:
    (files / "gone.txt").write_text("Secret of a removed customer.\n", "utf-8")
    builder.add([files])
    first = current_name(builder.folder)
    assert first is not None
    write(files, 2)
    (files / "new.txt").write_text("Clean the new filter.\n", "utf-8")
    builder.add([files])
    builder.remove("gone.txt")
    report = rollback(builder, first.lstrip("0"))
    assert (report.target, report.left_out, report.document_count) == (first, ("gone.txt",), 2)
    assert texts(home) == both(1)
    assert best(home, "Secret of a removed customer").chunk.text in both(1)

    (files / "gone.txt").unlink()
    again = builder.add([files])  # nothing changed since: it stays rolled back
    assert set(again.held) == {"pump.md.txt", "指南.txt", "new.txt"}
    assert again.snapshot == report.snapshot
    (files / "指南.txt").write_text(GUIDE.format(3), "utf-8")
    assert builder.add([files]).replaced == ("指南.txt",)  # only what changed since moves on
    assert texts(home) == {"Replace the seal every 1 weeks.", "密封圈每3周更换一次。"}
    restore(builder, "new.txt", 1)
    assert "Clean the new filter." in texts(home)


def test_a_document_that_a_rollback_took_away_can_be_removed(
    builder: Builder, files: Path, home: Home
) -> None:
    builder.add([files / "pump.md.txt"])
    builder.add([files / "指南.txt"])
    rollback(builder, "1")
    builder.remove("指南.txt")
    rollback(builder, "2")
    assert texts(home) == {"Replace the seal every 1 weeks."}
    with pytest.raises(NotFoundError):
        restore(builder, "指南.txt", 1)


def test_a_rollback_can_be_rolled_back(builder: Builder, files: Path, home: Home) -> None:
    builder.add([files])
    write(files, 2)
    builder.add([files])
    rollback(builder, "1")
    assert texts(home) == both(1)
    rollback(builder, "2")
    assert texts(home) == both(2)
    with pytest.raises(NotFoundError, match="keeps no snapshot '77'; kept: 000001, 000002"):
        rollback(builder, "77")


def test_snapshots_are_listed_and_compared(builder: Builder, files: Path) -> None:
    builder.add([files])
    write(files, 2)
    (files / "指南.txt").unlink()
    (files / "new.txt").write_text("Clean the new filter.\n# Oil\nChange the oil.\n", "utf-8")
    builder.add([files])
    builder.remove("指南.txt")
    builder.rebuild()
    lines = list_snapshots(builder.folder)
    assert [(line.snapshot, line.document_count, line.is_served) for line in lines] == [
        ("000001", 2, False),
        ("000002", 3, False),
        ("000003", 2, True),
    ]
    assert [line.generation for line in lines] == sorted(line.generation for line in lines)
    (builder.folder / "snapshots" / "000002" / "manifest.json").write_text("{}", "utf-8")
    problems = [bool(line.problem) for line in list_snapshots(builder.folder)]
    assert problems == [False, True, False]
    found = diff(builder.folder, "1", "3")
    assert (found.added, found.removed, found.renamed) == (("new.txt",), ("指南.txt",), ())
    assert found.replaced == (Replacement(document="pump.md.txt", old_version=1, new_version=2),)
    assert (found.old_chunk_count, found.new_chunk_count) == (2, 3)


def test_a_rollback_gives_a_document_its_earlier_path_back(
    builder: Builder, files: Path, home: Home, make_builder: type[Builder]
) -> None:
    from indexing.syncing import sync

    builder.add([files])
    (files / "pump.md.txt").rename(files / "q7.txt")
    sync(builder, files)
    assert diff(builder.folder, "1", "2").renamed == (Renaming(old="pump.md.txt", new="q7.txt"),)
    rollback(builder, "1")
    assert load_corpus("pumps", home).documents == ("pump.md.txt", "指南.txt")
    assert chunk_of(home, "q7.txt", 1) == "Replace the seal every 1 weeks."
