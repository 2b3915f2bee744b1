from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from assistant.core.errors import InputError, NotFoundError, ResourceError
from assistant.core.home import Home
from assistant.core.progress import Progress
from assistant.core.settings import EmbedderSettings, IndexSettings, Settings, TicketColumns
from assistant.store.database import Database
from assistant.store.tables import ChunkRow, EmbeddingRow
from indexing.build import Builder
from indexing.corpus import load_corpus
from indexing.embedding import HashingEmbedder, Vectors
from indexing.snapshots import collection_lock, current_name, open_current


class CountingEmbedder(HashingEmbedder):
    """Counts what it embeds; another ``fingerprint`` makes it another embedder."""

    def __init__(self, fingerprint: str = "counting") -> None:
        super().__init__()
        self.fingerprint = fingerprint
        self.embedded: list[str] = []

    def embed_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        self.embedded += texts
        return super().embed_passages(texts, progress)


def test_adding_makes_a_snapshot_that_reads_without_the_database(
    make_builder: type[Builder], documents: Path, home: Home
) -> None:
    report = make_builder().add([documents])
    assert report.added == ("pump.txt", "zh/guide.txt")
    assert (report.document_count, report.chunk_count, report.embedded_count) == (2, 5, 5)
    assert set(report.seconds) == {"read", "embed", "write", "compare"}
    for file in home.root.glob("deskmate.sqlite3*"):
        file.unlink()
    corpus = load_corpus("pumps", home)
    assert corpus.documents == ("pump.txt", "zh/guide.txt")
    assert [chunk.language for chunk in corpus.chunks] == ["en", "en", "en", "zh", "zh"]
    assert corpus.chunks[0].heading_path == ("Faults",)
    manifest = corpus.manifest
    assert (manifest.embedder, manifest.dimension, manifest.chunk_count) == ("hashing", 256, 5)
    assert {"base/vectors.faiss", "base/chunks.msgpack", "base/codes.json"} <= set(manifest.files)


def test_adding_again_changes_nothing(make_builder: type[Builder], documents: Path, home: Home) -> None:
    make_builder().add([documents])
    embedder = CountingEmbedder("hashing-1")
    report = make_builder(embedder=embedder).add([documents])
    assert report.unchanged == ("pump.txt", "zh/guide.txt")
    assert (report.added, report.embedded_count, report.snapshot) == ((), 0, "000001")
    assert embedder.embedded == []


def test_a_changed_document_becomes_a_new_version_and_only_new_text_is_embedded(
    make_builder: type[Builder], documents: Path, home: Home
) -> None:
    embedder = CountingEmbedder()
    make_builder(embedder=embedder).add([documents])
    before = {row.number for row in load_corpus("pumps", home).rows}
    embedder.embedded.clear()
    file = documents / "pump.txt"
    file.write_text(file.read_text("utf-8") + "# New\nClean the filter weekly.\n", "utf-8")
    report = make_builder(embedder=embedder).add([documents])
    assert (report.added, report.replaced, report.unchanged) == ((), ("pump.txt",), ("zh/guide.txt",))
    assert embedder.embedded == ["Clean the filter weekly."]
    corpus = load_corpus("pumps", home)
    assert {(chunk.document, chunk.version) for chunk in corpus.chunks} == {
        ("pump.txt", 2),
        ("zh/guide.txt", 1),
    }
    numbers = {row.number for row in corpus.rows if row.chunk.document == "pump.txt"}
    assert not numbers & before


def test_another_chunk_size_cuts_an_unchanged_file_anew_without_a_new_version(
    make_builder: type[Builder], documents: Path, home: Home
) -> None:
    (documents / "pump.txt").write_text("One long line about the pump. " * 40, "utf-8")
    make_builder().add([documents])
    before = len(load_corpus("pumps", home).chunks)
    small = Settings(embedder=EmbedderSettings(model="hashing"), index=IndexSettings(chunk_tokens=32))
    make_builder(settings=small).add([documents])
    corpus = load_corpus("pumps", home)
    assert len(corpus.chunks) > before
    assert {chunk.version for chunk in corpus.chunks} == {1}
    with Database(home.database_url).read() as session:  # nothing is left of what it was cut into before
        stored = session.scalars(select(EmbeddingRow.key)).all()
        assert set(stored) == set(session.scalars(select(ChunkRow.embedding_key)))


def test_other_ticket_columns_read_an_unchanged_file_anew(
    make_builder: type[Builder], documents: Path
) -> None:
    make_builder().add([documents])
    mapped = IndexSettings(ticket_columns=TicketColumns(answer=("处置",)))
    settings = Settings(embedder=EmbedderSettings(model="hashing"), index=mapped)
    assert make_builder(settings=settings).add([documents]).unchanged == ()
    assert len(make_builder(settings=settings).add([documents]).unchanged) == 2


def test_a_bad_file_stops_no_other_and_alone_changes_nothing(
    make_builder: type[Builder], documents: Path, home: Home
) -> None:
    (documents / "bad.txt").write_text("this is broken", "utf-8")
    (documents / "empty.txt").write_text("", "utf-8")
    report = make_builder().add([documents])
    assert report.indexed_count == 2
    assert {Path(item.path).name: item.reason for item in report.refused} == {
        "bad.txt": "is broken",
        "empty.txt": "is empty",
    }
    report = make_builder("other").add([documents / "bad.txt"])
    assert report.indexed_count == 0
    assert current_name(home.collection("other")) is None


def test_removing_takes_text_and_embeddings_along(
    make_builder: type[Builder], documents: Path, home: Home
) -> None:
    make_builder().add([documents])
    report = make_builder().remove("pump.txt")
    assert (report.document_count, report.chunk_count) == (1, 2)
    assert load_corpus("pumps", home).documents == ("zh/guide.txt",)
    with Database(home.database_url).read() as session:
        assert not session.scalars(select(ChunkRow.id).where(ChunkRow.text.contains("pump seal"))).all()
        assert len(session.scalars(select(EmbeddingRow.key)).all()) == 2
    with pytest.raises(NotFoundError, match=r"pump\.txt"):
        make_builder().remove("pump.txt")
    make_builder().remove("zh/guide.txt")
    assert load_corpus("pumps", home).chunks == ()
    assert make_builder().add([documents]).added == ("pump.txt", "zh/guide.txt")
    assert {chunk.version for chunk in load_corpus("pumps", home).chunks} == {2}


def test_another_embedder_embeds_everything_anew(
    make_builder: type[Builder], documents: Path, home: Home
) -> None:
    make_builder().add([documents])
    report = make_builder(embedder=CountingEmbedder("other")).rebuild()
    assert report.embedded_count == 5
    _, manifest = open_current(home.collection("pumps"))
    assert manifest.fingerprint == "other"


def test_what_does_not_exist_is_told(make_builder: type[Builder], tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="index add PATH --collection pumps"):
        make_builder().rebuild()
    with pytest.raises(InputError, match="no collection name"):
        make_builder("../outside")


def test_two_processes_do_not_change_a_collection_at_once(
    make_builder: type[Builder], documents: Path, home: Home
) -> None:
    with collection_lock(home.collection("pumps")), pytest.raises(ResourceError, match="another process"):
        make_builder().add([documents])
    assert make_builder().add([documents]).indexed_count == 2


@pytest.mark.parametrize("left", ["base/vectors.faiss", "manifest.json", "lexical/meta.json"])
def test_a_damaged_snapshot_is_mended_by_adding_again(
    make_builder: type[Builder], documents: Path, home: Home, left: str
) -> None:
    make_builder().add([documents])
    snapshot, _ = open_current(home.collection("pumps"))
    (snapshot / left).write_bytes(b"damaged")
    assert make_builder().add([documents]).snapshot == "000002"
    assert len(load_corpus("pumps", home).chunks) == 5


def test_old_snapshots_are_pruned(make_builder: type[Builder], documents: Path, home: Home) -> None:
    make_builder().add([documents])
    for _ in range(4):
        make_builder().rebuild()
    names = sorted(path.name for path in (home.collection("pumps") / "snapshots").iterdir())
    assert names == ["000004", "000005"]


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from conftest import HASHING, open_line_parser
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.store.database import Database
from indexing import snapshots
from indexing.build import Builder
from indexing.embedding import HashingEmbedder

class Killer(NoProgress):
    '''Kills its own process at the n-th sign of progress, as a power failure would.'''
    def __init__(self, left):
        self.left = left
    def advance(self, count=1, note=""):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

home = Home(Path(sys.argv[1]))
database, killer = Database(home.database_url), Killer(int(sys.argv[3]))
builder = Builder("pumps", home, HASHING, database, HashingEmbedder(), killer, open_line_parser)
builder.add([Path(sys.argv[2])])
"""


@pytest.mark.parametrize("moment", [1, 2, 3, 4, 6, 7])
def test_a_kill_at_any_moment_leaves_what_the_next_add_finishes(
    make_builder: type[Builder], documents: Path, home: Home, moment: int
) -> None:
    make_builder().add([documents / "zh"])
    arguments = [str(home.root), str(documents), str(moment), str(Path(__file__).parent)]
    killed = subprocess.run([sys.executable, "-c", _KILLED, *arguments], check=False, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    served = load_corpus("pumps", home)  # what was there still works
    assert "guide.txt" in served.documents
    report = make_builder().add([documents])
    assert load_corpus("pumps", home).documents == ("guide.txt", "pump.txt", "zh/guide.txt")
    assert report.indexed_count == 2
    snapshots = home.collection("pumps") / "snapshots"
    assert not [path for path in snapshots.iterdir() if not path.name.isdigit()]
