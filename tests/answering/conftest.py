from __future__ import annotations

from collections.abc import Sequence

import pytest

from assistant.core.records import Chunk, Filters, Neighbours, Passage
from indexing.codes import UnknownCode


class ListedPassages:
    """A passage source over fixed passages: the same ones for every query."""

    def __init__(self, *texts: str, evidence: float = 1.0, unknown: tuple[UnknownCode, ...] = ()) -> None:
        self.passages = tuple(make_passage(text, place) for place, text in enumerate(texts))
        self.queries: list[str] = []
        self.filters: list[Filters | None] = []
        self._evidence = evidence
        self._unknown = unknown

    def search(
        self, query: str, top_k: int | None = None, filters: Filters | None = None
    ) -> tuple[Passage, ...]:
        return self.search_many([query], top_k, filters)[0]

    def search_many(
        self, queries: Sequence[str], top_k: int | None = None, filters: Filters | None = None
    ) -> list[tuple[Passage, ...]]:
        self.queries += queries
        self.filters.append(filters)
        return [self.passages[:top_k] for _ in queries]

    def neighbours(self, passage: Passage, count: int, filters: Filters | None = None) -> Neighbours:
        del passage, count, filters
        return Neighbours()

    def evidence(self, query: str, passages: Sequence[Passage]) -> float:
        return self._evidence

    def unknown_codes(self, question: str, filters: Filters | None = None) -> tuple[UnknownCode, ...]:
        return () if filters else self._unknown


def make_passage(text: str, place: int = 0, document: str = "manual.pdf") -> Passage:
    chunk = Chunk(
        id=f"c{place}",
        document=document,
        version=2,
        position=place,
        text=text,
        page=place + 1,
        heading_path=("Torques",),
    )
    return Passage(rank=place + 1, score=1.0 / (place + 1), chunk=chunk)


@pytest.fixture
def listed() -> type[ListedPassages]:
    return ListedPassages


@pytest.fixture
def passage() -> object:
    return make_passage
