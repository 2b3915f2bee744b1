"""A document that is removed while the index is being changed is gone at once and does not come back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from assistant.core.errors import CollectionBusy, NotFoundError
from assistant.core.home import Home
from assistant.core.progress import NoProgress, Progress
from assistant.core.settings import EmbedderSettings, Settings
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.embeddings import Embeddings
from indexing.build import Builder
from indexing.corpus import load_corpus
from indexing.embedding import HashingEmbedder, Vectors
from indexing.removal import remove_document
from indexing.search import Searcher
from indexing.snapshots import current_name, snapshot_folders, switch_to
from indexing.syncing import sync

SETTINGS = Settings(embedder=EmbedderSettings(model="hashing"))
PUMP, GUIDE = "pump.txt", "zh/guide.txt"
LEAST_STEPS = 6
MakeBuilder = Callable[..., Builder]


class AtStep(NoProgress):
    """Calls something at one step of the work, counted from 0."""

    def __init__(self, step: int, call: Callable[[], object]) -> None:
        self.left = step
        self._call = call

    def start(self, stage: str, total: int | None = None) -> None:
        self._step()

    def advance(self, count: int = 1, note: str = "") -> None:
        self._step()

    def _step(self) -> None:
        self.left -= 1
        if self.left == -1:
            self._call()


def remove(home: Home, collection: str) -> float:
    """Remove the document as another process would; return the seconds, -1 where there is nothing yet."""
    with closing(Database(home.database_url)) as database:
        try:
            return remove_document(collection, home, database, PUMP).seconds
        except NotFoundError:
            return -1.0


def answering(folder: Path) -> set[str]:
    passages = Searcher(folder, SETTINGS, HashingEmbedder()).search("pump seal E-47 E-51", 20)
    return {passage.chunk.document for passage in passages}


Work = Callable[[Builder, Path], object]
WORK: dict[str, Work] = {
    "add": lambda builder, documents: builder.add([documents]),
    "sync": sync,
    "rebuild": lambda builder, _documents: builder.rebuild(),
    "compact": lambda builder, _documents: builder.compact(),
}


def is_removed_at(step: int, work: str, home: Home, documents: Path, make_builder: MakeBuilder) -> bool:
    """Remove the document at one step of some work and check what is left; False where it has fewer steps."""
    collection, folder = f"pumps{step}", home.collection(f"pumps{step}")
    (documents / PUMP).write_text("# Seals\nReplace the pump seal. Fault code E-47: the fan.\n")
    make_builder(collection).add([documents])
    (documents / PUMP).write_text("# Seals\nReplace the seal every three years. Code E-51.\n")
    (documents / "twin.txt").write_text(f"请每两年更换一次水泵密封圈。{step}\n", "utf-8")
    seconds: list[float] = []
    progress = AtStep(step, lambda: seconds.append(remove(home, collection)))
    WORK[work](make_builder(collection, progress=progress), documents)
    if not seconds:
        return False
    assert seconds[0] >= 0  # it was there, and nothing stood in the way
    assert PUMP not in load_corpus(collection, home).documents, step
    assert GUIDE in load_corpus(collection, home).documents
    for snapshot in snapshot_folders(folder):  # as a rollback would
        switch_to(folder, snapshot.name)
        assert PUMP not in answering(folder), (step, snapshot.name)
    return True


def test_a_document_removed_while_files_are_added_is_gone_at_once_and_for_good(
    home: Home, documents: Path, make_builder: MakeBuilder
) -> None:
    for step in (0, 3, 6):  # before it is read, embedded, switched to
        assert is_removed_at(step, "add", home, documents, make_builder)
        make_builder(f"pumps{step}").rebuild()
        assert PUMP not in answering(home.collection(f"pumps{step}"))


@pytest.mark.slow
@pytest.mark.parametrize("work", WORK)
def test_a_document_removed_at_any_step_of_any_work_is_gone_at_once_and_for_good(
    work: str, home: Home, documents: Path, make_builder: MakeBuilder
) -> None:
    step = 0
    while is_removed_at(step, work, home, documents, make_builder):
        step += 1
    assert step >= LEAST_STEPS


def test_a_document_removed_before_it_is_read_again_is_gone_from_the_next_query(
    home: Home, documents: Path, make_builder: MakeBuilder
) -> None:
    make_builder().add([documents])
    folder = home.collection("pumps")
    searcher = Searcher(folder, SETTINGS, HashingEmbedder())
    found: list[set[str]] = []

    def remove_and_look() -> None:
        remove(home, "pumps")
        found.append({passage.chunk.document for passage in searcher.search("pump seal E-47", 20)})

    make_builder(progress=AtStep(2, remove_and_look)).rebuild()
    assert found == [{GUIDE}]


class RemovingEmbedder(HashingEmbedder):
    """Removes the document when it is first asked to embed something."""

    def __init__(self, remove: Callable[[], object]) -> None:
        super().__init__()
        self._remove: Callable[[], object] | None = remove

    def embed_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        call, self._remove = self._remove, None
        if call:
            call()
        return super().embed_passages(texts, progress)


def test_the_text_of_a_removed_document_is_still_embedded_where_another_one_holds_it(
    home: Home, documents: Path, make_builder: MakeBuilder
) -> None:
    (documents / "a.txt").write_text("Replace the pump seal.\n", "utf-8")
    (documents / PUMP).write_text("Replace the pump seal.\n", "utf-8")
    seconds: list[float] = []
    embedder = RemovingEmbedder(lambda: seconds.append(remove(home, "pumps")))
    builder = make_builder(embedder=embedder)
    report = builder.add([documents])
    assert seconds[0] >= 0
    assert report.document_count == 2
    assert "a.txt" in answering(home.collection("pumps"))
    with builder.database.read() as session:
        chunks = Chunks(session)
        keys = set(chunks.keys(chunks.numbers(builder.existing().id)).values())
        assert Embeddings(session).missing(keys, embedder.fingerprint) == []


def test_what_was_removed_after_a_job_was_queued_stays_away_also_when_it_resumes(
    make_builder: MakeBuilder, home: Home, documents: Path
) -> None:
    make_builder().add([documents])
    (documents / PUMP).write_text("# Seals\nReplace the pump seal every three years.\n", "utf-8")
    queued = make_builder().existing().generation
    make_builder().remove(PUMP)
    report = make_builder().add([documents], since=queued)
    assert report.held == (PUMP,)
    assert load_corpus("pumps", home).documents == (GUIDE,)
    assert make_builder().add([documents]).added == (PUMP,)  # who asks for it now gets it


def test_work_on_a_collection_still_excludes_other_work_but_no_removal(
    make_builder: MakeBuilder, home: Home, documents: Path
) -> None:
    make_builder().add([documents])
    builder = make_builder()
    with builder.changing():
        with pytest.raises(CollectionBusy):
            make_builder().rebuild()
        assert make_builder().remove(PUMP).document_count == 1
    assert current_name(home.collection("pumps")) == "000001"


_CHANGE_FOREVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from conftest import HASHING, open_line_parser
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.store.database import Database
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
home = Home(Path(sys.argv[1]))
builder = Builder(
    "pumps", home, HASHING, Database(home.database_url), HashingEmbedder(), NoProgress(), open_line_parser
)
turn = 0
while True:
    turn += 1
    (Path(sys.argv[2]) / "new.txt").write_text(f"Valve {turn}.")
    builder.add([Path(sys.argv[2]) / "new.txt"])
    builder.compact() if turn % 3 == 0 else builder.rebuild()
    print(turn, flush=True)
"""


@pytest.mark.slow
def test_documents_are_removed_under_another_process_that_never_lets_the_collection_go(
    home: Home, tmp_path: Path, make_builder: MakeBuilder
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    names = [f"水泵{number}.txt" for number in range(8)]
    for number, name in enumerate(names):
        (files / name).write_text(
            f"Fault code E-{number}00: the seal leaks. 第{number}号密封圈漏水。\n", "utf-8"
        )
    make_builder().add([files])
    folder = home.collection("pumps")
    searcher = Searcher(folder, SETTINGS, HashingEmbedder())
    words = [str(home.root), str(tmp_path), str(Path(__file__).parent)]
    other = subprocess.Popen([sys.executable, "-c", _CHANGE_FOREVER, *words], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline()  # it is at work
        for number, name in enumerate(names[:-1]):
            make_builder().remove(name)
            for _ in range(10):
                for asked in (searcher, Searcher(folder, SETTINGS, HashingEmbedder())):
                    found = {row.chunk.document for row in asked.search("seal leaks 密封圈漏水", 20)}
                    assert not found & set(names[: number + 1])
                    assert names[-1] in found
        assert other.poll() is None
    finally:
        other.kill()
        other.communicate()
    make_builder().compact()
    assert set(load_corpus("pumps", home).documents) - {"new.txt"} == {names[-1]}
