"""What a change costs and keeps: segments, tombstones, compaction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assistant.core.errors import IndexBroken, NotFoundError, ResourceError
from assistant.core.home import Home
from assistant.core.records import Chunk
from assistant.core.settings import EmbedderSettings, Settings
from indexing.build import Builder
from indexing.corpus import ChunkFile, load_corpus
from indexing.embedding import HashingEmbedder
from indexing.queries import is_missing
from indexing.search import Searcher
from indexing.snapshots import (
    disk_errors,
    need_disk,
    open_current,
    snapshot_folders,
    switch_to,
    verify,
)
from indexing.tombstones import read_removed, write_removed

SETTINGS = Settings(embedder=EmbedderSettings(model="hashing"))
PUMP, GUIDE = "pump.txt", "zh/guide.txt"


@pytest.fixture
def folder(make_builder: type[Builder], documents: Path, home: Home) -> Path:
    make_builder().add([documents])
    return home.collection("pumps")


@pytest.fixture
def searcher(folder: Path) -> Searcher:
    return Searcher(folder, SETTINGS, HashingEmbedder())


def found(searcher: Searcher, query: str) -> set[str]:
    return {passage.chunk.document for passage in searcher.search(query, 20)}


def write(documents: Path, name: str, text: str) -> None:
    (documents / name).write_text(text, "utf-8")


def test_a_small_change_writes_a_delta_and_links_the_rest(
    make_builder: type[Builder], documents: Path, folder: Path, searcher: Searcher
) -> None:
    first, _ = open_current(folder)
    write(documents, PUMP, "# Seals\nReplace the pump seal every three years. Fault code E-51: no oil.\n")
    write(documents, "阀.txt", "每月检查一次阀门。\n")
    make_builder().add([documents])
    second, manifest = open_current(folder)
    assert [(part.name, part.chunk_count, part.kind) for part in manifest.segments] == [
        ("base", 5, "flat"),
        ("delta", 2, "flat"),
    ]
    assert (manifest.chunk_count, manifest.document_count) == (4, 3)
    for name in ("vectors.faiss", "chunks.msgpack"):
        assert (first / "base" / name).samefile(second / "base" / name)
    verify(second, "pumps", manifest.files)
    assert searcher.search("how often is the pump seal replaced")[0].chunk.text.startswith("Replace the pump")
    assert searcher.search("阀门多久检查")[0].chunk.document == "阀.txt"
    texts = {passage.chunk.text for passage in searcher.search("pump seal two years", 20)}
    assert not any("two years" in text for text in texts)
    assert searcher.search("E51")[0].is_code_match
    # the code of the old version is gone with it
    assert searcher.unknown_codes("E-47")[0].nearest == ("E-51",)
    stats = searcher.stats()
    assert (stats.chunk_count, stats.document_count) == (4, 3)


def test_a_delta_finds_what_a_snapshot_written_whole_finds(
    make_builder: type[Builder], documents: Path, folder: Path, searcher: Searcher
) -> None:
    write(documents, "new.txt", "# Valves\nThe valve of the pump opens at 5 bar.\n# 阀\n水泵的阀门。\n")
    make_builder().add([documents])
    queries = ["pump valve", "水泵阀门", "pump seal", "E-48"]
    by_delta = [scored(searcher, query) for query in queries]
    make_builder().rebuild()
    assert [part.name for part in open_current(folder)[1].segments] == ["base"]
    again = Searcher(folder, SETTINGS, HashingEmbedder())
    for query, delta_row in zip(queries, by_delta, strict=True):
        whole_row = scored(again, query)
        assert next(iter(delta_row)) == next(iter(whole_row))
        assert delta_row.keys() == whole_row.keys()  # only the crowd around a chunk is of the base alone
        for chunk, scores in delta_row.items():
            assert scores == pytest.approx(whole_row[chunk], rel=1e-5)


def scored(searcher: Searcher, query: str) -> dict[Chunk, tuple[float, float]]:
    """Return the chunks that a query finds, best first, with both lanes' scores."""
    return {p.chunk: (p.dense or 0, p.lexical or 0) for p in searcher.search(query, 20)}


def test_a_language_that_comes_later_is_measured_on_what_came(
    make_builder: type[Builder], documents: Path, home: Home
) -> None:
    def add(name: str, template: str, count: int) -> None:
        write(documents, name, "".join(f"# {n}\n{template.format(n)}\n" for n in range(count)))
        make_builder("both").add([documents / name])

    add("en.txt", "Sentence {} of the pump.", 30)
    add("zh1.txt", "水泵的第{}句话。", 2)
    add("zh2.txt", "烤箱的第{}句话。", 40)
    _, manifest = open_current(home.collection("both"))
    assert [part.name for part in manifest.segments] == ["base", "delta"]
    assert (manifest.background["en"].count, manifest.background["zh"].count) == (30, 42)
    assert not is_missing("zh", manifest.background)


def test_many_changes_make_a_new_base(make_builder: type[Builder], documents: Path, folder: Path) -> None:
    write(documents, "many.txt", "".join(f"# {n}\nSentence {n} of the pump.\n" for n in range(300)))
    make_builder().add([documents])
    _, manifest = open_current(folder)
    assert [(part.name, part.chunk_count) for part in manifest.segments] == [("base", 305)]


def test_a_removed_document_is_gone_from_the_next_query_and_from_every_snapshot(
    make_builder: type[Builder], documents: Path, folder: Path, searcher: Searcher, home: Home
) -> None:
    write(documents, GUIDE, "# 维护\n请每三年更换一次水泵密封圈。\n")
    make_builder().add([documents])
    assert PUMP in found(searcher, "E-47")
    before = {path.name for path in snapshot_folders(folder)}
    report = make_builder().remove(PUMP)
    assert (report.document_count, report.chunk_count) == (1, 1)
    assert {path.name for path in snapshot_folders(folder)} == before  # nothing was written anew
    assert found(searcher, "E-47 pump seal fan blocked") == {GUIDE}
    assert searcher.unknown_codes("E-47") == ()  # all of its family went with it
    assert load_corpus("pumps", home).documents == (GUIDE,)
    assert (searcher.stats().document_count, searcher.stats().chunk_count) == (1, 1)
    switch_to(folder, min(before))  # as a roll-back would
    assert found(searcher, "E-47 pump seal fan blocked") == {GUIDE}
    assert found(Searcher(folder, SETTINGS, HashingEmbedder()), "E-47 pump seal") == {GUIDE}


def test_numbers_that_the_database_has_forgotten_are_hidden_too(
    make_builder: type[Builder], documents: Path, folder: Path
) -> None:
    """A document that was cut anew has other numbers in the snapshot before."""
    small = Settings(
        embedder=EmbedderSettings(model="hashing"), index=SETTINGS.index.__class__(chunk_tokens=32)
    )
    make_builder(settings=small).add([documents])
    make_builder(settings=small).remove(PUMP)
    old, new = snapshot_folders(folder)
    for snapshot in (old, new):
        parts = [ChunkFile(path) for path in snapshot.iterdir() if path.name in {"base", "delta"}]
        live = [
            chunks.documents[owner]
            for chunks in parts
            for number, owner in zip(chunks.numbers, chunks.owners, strict=True)
            if number not in read_removed(folder)
        ]
        assert PUMP not in live
        assert GUIDE in live


def test_compacting_takes_what_was_removed_off_the_disk(
    make_builder: type[Builder], documents: Path, folder: Path, searcher: Searcher
) -> None:
    make_builder().remove(PUMP)
    raw = b"fan is blocked"
    assert any(raw in path.read_bytes() for path in folder.rglob("chunks.msgpack"))
    report = make_builder().compact()
    assert report.chunk_count == 2
    assert [path.name for path in snapshot_folders(folder)] == ["000002"]
    assert not any(raw in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert len(read_removed(folder)) == 0
    assert found(searcher, "E-47 pump seal") == {GUIDE}
    with pytest.raises(NotFoundError, match="no collection 'other'"):
        make_builder("other").compact()
    assert not folder.with_name("other").exists()


def test_a_removed_document_can_be_added_again(
    make_builder: type[Builder], documents: Path, folder: Path, searcher: Searcher
) -> None:
    make_builder().remove(PUMP)
    make_builder().add([documents])
    assert PUMP in found(searcher, "E-47")
    assert searcher.search("E-47")[0].chunk.version == 2


def test_a_removal_cut_off_before_the_rows_went_is_undone_by_the_next_change(
    make_builder: type[Builder], documents: Path, folder: Path, searcher: Searcher, home: Home
) -> None:
    corpus = load_corpus("pumps", home)
    write_removed(folder, np.array(corpus.numbers_of[PUMP]))
    assert found(searcher, "E-47 seal") == {GUIDE}
    assert make_builder().add([documents]).unchanged == (PUMP, GUIDE)
    assert PUMP in found(searcher, "E-47")
    assert len(read_removed(folder)) == 0


def test_removing_needs_a_served_snapshot_that_can_hide_it(make_builder: type[Builder], folder: Path) -> None:
    (folder / "snapshots" / "000001" / "manifest.json").write_bytes(b"damaged")
    with pytest.raises(IndexBroken, match="run: deskmate index rebuild --collection pumps"):
        make_builder().remove(PUMP)
    assert make_builder().rebuild().document_count == 2
    make_builder().remove(PUMP)
    assert found(Searcher(folder, SETTINGS, HashingEmbedder()), "pump seal") == {GUIDE}


def test_a_manifest_of_another_format_is_named(make_builder: type[Builder], folder: Path) -> None:
    file = folder / "snapshots" / "000001" / "manifest.json"
    file.write_text('{"collection": "pumps", "generation": 1, "format": 1}', "utf-8")
    said = r"has format 1, this Deskmate reads 2; run: deskmate index rebuild --collection pumps"
    with pytest.raises(IndexBroken, match=said):
        open_current(folder)
    make_builder().rebuild()
    assert found(Searcher(folder, SETTINGS, HashingEmbedder()), "pump seal") == {PUMP, GUIDE}


def test_a_damaged_older_snapshot_stops_nothing(
    make_builder: type[Builder], documents: Path, folder: Path
) -> None:
    make_builder().rebuild()
    (folder / "snapshots" / "000001" / "base" / "numbers.npy").unlink()
    make_builder().remove(PUMP)
    assert [path.name for path in snapshot_folders(folder)] == ["000002"]  # nobody knows what it held
    make_builder().rebuild()
    (folder / "snapshots" / "000002" / "manifest.json").write_bytes(b"damaged")
    write(documents, GUIDE, "# 维护\n请每三年更换一次水泵密封圈。\n")
    assert make_builder().add([documents / "zh"]).snapshot == "000004"


def test_a_damaged_list_of_the_removed_is_named(folder: Path) -> None:
    write_removed(folder, np.array([3, 1]))
    assert read_removed(folder).tolist() == [1, 3]
    (folder / "removed").write_bytes(b"x" * 48)
    with pytest.raises(
        IndexBroken, match=r"removed is damaged.*run: deskmate index rebuild --collection pumps"
    ):
        Searcher(folder, SETTINGS, HashingEmbedder())


def test_a_damaged_list_of_the_removed_is_mended_by_rebuilding(
    make_builder: type[Builder], folder: Path
) -> None:
    make_builder().remove(PUMP)
    (folder / "removed").write_bytes(b"x" * 48)
    make_builder().rebuild()
    assert found(Searcher(folder, SETTINGS, HashingEmbedder()), "pump seal") == {GUIDE}


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), ValueError("Io error: File too large (os error 27)")],
)
def test_a_full_disk_is_told_with_the_file_and_the_next_command(tmp_path: Path, error: Exception) -> None:
    need_disk(tmp_path)
    said = r"the disk is full.*MiB are free.*run: deskmate doctor"
    with pytest.raises(ResourceError, match=said) as told, disk_errors(tmp_path):
        raise error
    assert str(tmp_path) in told.value.message
    with pytest.raises(ValueError, match="other"), disk_errors(tmp_path):
        raise ValueError("other")
