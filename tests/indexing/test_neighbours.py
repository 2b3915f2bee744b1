"""What stands before and after a passage, in the same version and only as long as that answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.core.home import Home
from assistant.core.records import Chunk
from assistant.core.settings import EmbedderSettings, Settings
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
from indexing.search import Searcher
from indexing.versions import restore

SETTINGS = Settings(embedder=EmbedderSettings(model="hashing"))
MakeBuilder = Callable[..., Builder]
TEXTS = ["Close the valve.", "关闭电源。", "Loosen the screws.", "Replace the seal.", "启动水泵。"]


def write(folder: Path, texts: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "pump.txt").write_text("".join(f"# Step {text}\n{text}\n" for text in texts), "utf-8")


@pytest.fixture
def searcher(make_builder: MakeBuilder, home: Home, tmp_path: Path) -> Searcher:
    write(tmp_path / "files", TEXTS)
    (tmp_path / "files" / "zz.txt").write_text("# Other\nAnother document.\n", "utf-8")
    make_builder().add([tmp_path / "files"])
    return Searcher(home.collection("pumps"), SETTINGS, HashingEmbedder())


def texts(chunks: tuple[Chunk, ...]) -> list[str]:
    return [chunk.text for chunk in chunks]


@pytest.mark.parametrize(("place", "count"), [(0, 1), (2, 1), (2, 9), (4, 2), (3, 0)])
def test_neighbours_are_those_of_the_document_in_its_order(
    searcher: Searcher, place: int, count: int
) -> None:
    passage = searcher.search(TEXTS[place], 1)[0]
    around = searcher.neighbours(passage, count)
    assert texts(around.before) == TEXTS[max(place - count, 0) : place]
    assert texts(around.after) == TEXTS[place + 1 : place + 1 + count]


def test_neighbours_follow_the_version_that_answers(
    searcher: Searcher, make_builder: MakeBuilder, tmp_path: Path
) -> None:
    old = searcher.search(TEXTS[2], 1)[0]
    write(tmp_path / "files", ["先断电。", *TEXTS[1:]])
    make_builder().add([tmp_path / "files"])
    assert searcher.neighbours(old, 2).before == ()  # it was of the version before
    new = searcher.search(TEXTS[2], 1)[0]
    assert texts(searcher.neighbours(new, 9).before) == ["先断电。", TEXTS[1]]
    restore(make_builder(), "pump.txt", 1)
    assert texts(searcher.neighbours(old, 9).before) == TEXTS[:2]


def test_a_removed_document_has_no_neighbours(searcher: Searcher, make_builder: MakeBuilder) -> None:
    passage = searcher.search(TEXTS[2], 1)[0]
    make_builder().remove("pump.txt")
    around = searcher.neighbours(passage, 2)
    assert (around.before, around.after) == ((), ())


def test_neighbours_pass_the_filters_that_the_passage_passed(
    make_builder: MakeBuilder, home: Home, tmp_path: Path
) -> None:
    write(tmp_path / "files", TEXTS)
    make_builder().add([tmp_path / "files"], {"language": ("en", "zh"), "product": "Q7"})
    searcher = Searcher(home.collection("pumps"), SETTINGS, HashingEmbedder())
    english, chinese = {"language": "en"}, {"language": "zh", "product": "Q7"}
    passage = searcher.search(TEXTS[2], 1, english)[0]
    assert texts(searcher.neighbours(passage, 9, english).before) == TEXTS[:1]
    assert texts(searcher.neighbours(passage, 9).before) == TEXTS[:2]
    near = searcher.neighbours(searcher.search(TEXTS[1], 1, chinese)[0], 9, chinese)
    assert (texts(near.before), texts(near.after)) == ([], TEXTS[4:])
    # what passes no more has none, though it was found before
    assert searcher.neighbours(passage, 9, chinese).before == ()
