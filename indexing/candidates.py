"""The candidates of a query, with their places in the segments looked up once for all lanes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from indexing.corpus import ChunkFile
from indexing.tombstones import Numbers

Scores = npt.NDArray[np.float64]


class Candidates:
    """Chunk numbers that lanes say something of.

    Args:
        numbers: of chunks.

    Attributes:
        numbers: the same, ascending, each once.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self.numbers = sorted(set(numbers))
        self._wanted = np.array(self.numbers, np.int64)
        self._found: dict[ChunkFile, tuple[Numbers, Numbers]] = {}

    def __len__(self) -> int:
        return len(self.numbers)

    def held_by(self, chunks: ChunkFile) -> tuple[Numbers, Numbers]:
        """Return which of the candidates, by their place in ``numbers``, a segment holds, and where in it."""
        found = self._found.get(chunks)
        if found is None:
            places = chunks.places(self._wanted)
            held = np.flatnonzero(places >= 0)
            found = self._found[chunks] = (held, places[held])
        return found
