"""A collection has the embedder that made its served snapshot, until another one has made a whole new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from assistant.core.errors import CollectionBusy, IndexBroken
from assistant.core.home import Home
from assistant.core.progress import Progress
from assistant.core.settings import EmbedderSettings, Settings
from indexing.build import Builder
from indexing.embedders import Embedders, embedder_name
from indexing.embedding import Embedder, HashingEmbedder, Vectors
from indexing.search import Searcher
from indexing.snapshots import current_name, open_current

SETTINGS = Settings(embedder=EmbedderSettings(model="hashing"))
MakeBuilder = Callable[..., Builder]
PUMP = "pump.txt"


class SmallEmbedder(HashingEmbedder):
    """Another embedder: half as many dimensions; calls something at each batch."""

    def __init__(self, at_batch: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.name, self.fingerprint, self.dimension = "small", "small-1", self.dimension // 2
        self.embedded: list[str] = []
        self._at_batch = at_batch

    def embed_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        self._at_batch()
        self.embedded += texts
        whole = HashingEmbedder().embed_passages(texts, progress)
        halves = whole[:, : self.dimension] + whole[:, self.dimension :]
        return halves / (halves**2).sum(axis=1, keepdims=True) ** 0.5


class Known(Embedders):
    """Embedders without a models folder."""

    def get(self, name: str) -> Embedder:
        return SmallEmbedder() if name == "small" else HashingEmbedder()


@pytest.fixture
def folder(make_builder: MakeBuilder, documents: Path, home: Home) -> Path:
    make_builder().add([documents])
    return home.collection("pumps")


def answers(searcher: Searcher) -> bool:
    return [row.chunk.document for row in searcher.search("pump seal every two years", 1)] == [PUMP]


def test_the_old_index_answers_until_the_new_one_is_whole_and_queries_follow(
    make_builder: MakeBuilder, folder: Path, home: Home
) -> None:
    searcher = Searcher(folder, SETTINGS, HashingEmbedder(), embedders=Known(SETTINGS, home))
    seen: list[tuple[str | None, str, bool]] = []
    embedder = SmallEmbedder(
        lambda: seen.append((current_name(folder), searcher.embedder.name, answers(searcher)))
    )
    make_builder(embedder=embedder).rebuild()
    assert set(seen) == {("000001", "hashing", True)}
    assert open_current(folder)[1].embedder == embedder_name(folder) == "small"
    assert answers(searcher)
    assert (searcher.embedder.name, searcher.stats().snapshot) == ("small", "000002")
    make_builder().rebuild()  # and back again
    assert answers(searcher)
    assert searcher.embedder.name == "hashing"


def test_cut_off_in_the_middle_it_goes_on_where_it_was(
    make_builder: MakeBuilder, folder: Path, tmp_path: Path
) -> None:
    many = tmp_path / "many.txt"
    many.write_text("".join(f"# 第{n}节\nValve {n} of the pump.\n" for n in range(600)), "utf-8")
    make_builder().add([many])
    batches: list[int] = []

    def die_later() -> None:
        batches.append(1)
        if len(batches) > 2:  # a step of 512 chunks and of their tables' rows is stored by then
            raise KeyboardInterrupt

    first = SmallEmbedder(die_later)
    with pytest.raises(KeyboardInterrupt):
        make_builder(embedder=first).rebuild()
    assert open_current(folder)[1].embedder == "hashing"
    second = SmallEmbedder()
    assert make_builder(embedder=second).rebuild().embedded_count == 605 - 512
    assert not set(first.embedded) & set(second.embedded)


def test_work_that_began_before_the_switch_does_not_switch_back(
    make_builder: MakeBuilder, folder: Path, documents: Path
) -> None:
    late = make_builder()
    make_builder(embedder=SmallEmbedder()).rebuild()
    with pytest.raises(CollectionBusy, match="switched to embedder 'small' meanwhile"):
        late.add([documents])
    assert embedder_name(folder) == "small"


def test_a_collection_names_its_embedder_also_where_the_served_manifest_is_damaged(
    make_builder: MakeBuilder, folder: Path, home: Home
) -> None:
    assert embedder_name(home.collection("none")) is None
    make_builder(embedder=SmallEmbedder()).rebuild()
    (open_current(folder)[0] / "manifest.json").write_text("{")
    assert embedder_name(folder) == "hashing"


def test_an_embedder_of_the_same_name_and_another_hash_is_refused(
    make_builder: MakeBuilder, folder: Path, home: Home
) -> None:
    make_builder(embedder=SmallEmbedder()).rebuild()
    changed = SmallEmbedder()
    changed.fingerprint = "small-2"
    with pytest.raises(IndexBroken, match="run: deskmate index rebuild --collection pumps"):
        Searcher(folder, SETTINGS, changed, embedders=Known(SETTINGS, home))
    with pytest.raises(IndexBroken):  # and one of another name where nobody gives the right one
        Searcher(folder, SETTINGS, HashingEmbedder())


def test_an_embedder_is_loaded_once_as_long_as_it_is_used(home: Home) -> None:
    embedders = Embedders(SETTINGS, home)
    one = embedders.of("pumps")
    assert embedders.get("hashing") is one
