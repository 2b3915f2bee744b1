from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.core.home import Home
from assistant.core.records import Chunk
from assistant.core.settings import EmbedderSettings, SearchSettings, Settings
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
from indexing.ranking import spread
from indexing.search import Searcher

MakeBuilder = Callable[..., Builder]


def chunk(position: int, document: str = "pump.md") -> Chunk:
    return Chunk(
        id=f"{document}{position}",
        document=document,
        version=1,
        position=position,
        text=f"text {position}",
        heading_path=("Manual", "Seals"),
    )


def order(scores: dict[int, float]) -> list[int]:
    return sorted(scores, key=lambda number: -scores[number])


def test_a_document_with_better_chunks_makes_room_for_another_as_good() -> None:
    chunks = {n: chunk(2 * n) for n in (1, 2, 3, 4)} | {5: chunk(0, document="fan.md")}
    spaced = spread({1: 0.9, 2: 0.8, 3: 0.7, 4: 0.65, 5: 0.64}, chunks)
    assert order(spaced) == [1, 2, 3, 5, 4]
    assert spaced == {
        1: 0.9, 2: pytest.approx(0.79), 3: pytest.approx(0.68), 4: pytest.approx(0.63), 5: 0.64
    }  # fmt: skip


def test_a_clearly_better_chunk_keeps_its_place() -> None:
    chunks = {1: chunk(5), 2: chunk(4), 3: chunk(0, document="fan.md")}
    assert order(spread({1: 0.9, 2: 0.8, 3: 0.7}, chunks)) == [1, 2, 3]


def test_chunks_of_different_documents_pay_nothing() -> None:
    scores = {1: 0.9, 2: 0.89}
    assert spread(scores, {1: chunk(4), 2: chunk(5, document="fan.md")}) == scores


@pytest.mark.parametrize(
    "query", ["replace the pump seal of valve", "更换水泵密封圈", "error E-17 of the pump"]
)
def test_few_passages_are_the_first_of_many(
    make_builder: MakeBuilder, home: Home, tmp_path: Path, query: str
) -> None:
    """Only the best candidates are read: which come first must not depend on how many are wanted."""
    sections = [f"# Valve {n % 7}\nReplace the pump seal {n % 19} of valve {n}.\n" for n in range(60)]
    sections += [f"# 水泵{n % 5}\n请更换水泵{n}的密封圈。\nFault code E-{n}.\n" for n in range(30)]
    sections += ["# Twin\nReplace the pump seal of the valve.\n"] * 9
    (tmp_path / "manual.txt").write_text("".join(sections), "utf-8")
    (tmp_path / "copy.txt").write_text("".join(sections[40:]), "utf-8")
    make_builder().add([tmp_path / "manual.txt", tmp_path / "copy.txt"])
    settings = Settings(embedder=EmbedderSettings(model="hashing"), search=SearchSettings(pool=80))
    searcher = Searcher(home.collection("pumps"), settings, HashingEmbedder())
    many = searcher.search(query, 100)
    assert len(many) > 40
    for count in (1, 2, 5, 20):
        assert searcher.search(query, count) == many[:count]
