"""The dense lane of a snapshot: its segments' vector indexes searched as one, dead chunks left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

import numpy as np

from indexing.candidates import Candidates, Scores
from indexing.corpus import ChunkFile
from indexing.table_rows import ChunkVectors
from indexing.tombstones import Numbers
from indexing.vector_index import Floats, Places, Selection

_Part = tuple[ChunkFile, ChunkVectors]


class DenseLane:
    """Searches the vectors of all segments. Safe to use from several threads.

    Args:
        parts: chunks and vectors of each segment.
        dead: numbers that are never found.
    """

    def __init__(self, parts: Sequence[_Part], dead: Numbers) -> None:
        self._parts = [(chunks, vectors) for chunks, vectors in parts if len(vectors)]
        self._dead = dead
        self._selections = [_selection(chunks, dead) for chunks, _ in self._parts]

    def without(self, removed: Numbers) -> DenseLane:
        """Return the same lane with further chunks gone."""
        return DenseLane(self._parts, np.union1d(self._dead, removed))

    def search(
        self, queries: Floats, count: int, allowed: Set[int] | None = None
    ) -> list[list[tuple[int, float]]]:
        """Return, for each query vector, up to ``count`` (number, cosine), best first.

        Args:
            queries: shape ``(queries, dimension)``.
            count: most for each query.
            allowed: search among these numbers only.
        """
        found: list[list[tuple[int, float]]] = [[] for _ in queries]
        if not len(queries):
            return found
        selections = self._selections if allowed is None else self._only(allowed)
        for (chunks, vectors), selection in zip(self._parts, selections, strict=True):
            cosines, places = vectors.search(queries, count, selection)
            for row, near, at in zip(found, cosines, places, strict=True):
                held = at >= 0
                row.extend(zip(chunks.numbers[at[held]].tolist(), near[held].tolist(), strict=True))
        return [sorted(row, key=lambda item: -item[1])[:count] for row in found]

    def _only(self, allowed: Set[int]) -> list[Selection | None]:
        numbers = np.setdiff1d(np.fromiter(allowed, np.int64, len(allowed)), self._dead)
        return [Selection(np.isin(chunks.numbers, numbers)) for chunks, _ in self._parts]

    def cosines(self, query: Floats, candidates: Candidates) -> Scores:
        """Return the cosine of a query vector to each of the candidates' vectors."""
        return self._gather(candidates, lambda vectors, places: vectors.cosines(query, places))

    def crowding(self, candidates: Candidates) -> Scores:
        """Return how crowded it is around each of the candidates' vectors."""
        return self._gather(candidates, ChunkVectors.crowding)

    def _gather(self, candidates: Candidates, read: Callable[[ChunkVectors, Places], Floats]) -> Scores:
        """Return what each candidate's segment says of it.

        Raises:
            KeyError: one is in no segment.
        """
        values = np.full(len(candidates), np.nan)
        for chunks, vectors in self._parts:
            held, places = candidates.held_by(chunks)
            if len(held):
                values[held] = read(vectors, places)
        if np.isnan(values).any():
            raise KeyError(candidates.numbers[int(np.flatnonzero(np.isnan(values))[0])])
        return values


def _selection(chunks: ChunkFile, dead: Numbers) -> Selection | None:
    gone = np.isin(chunks.numbers, dead) if len(dead) else np.zeros(0, np.bool_)
    return Selection(~gone) if gone.any() else None
