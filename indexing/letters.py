"""Groups of letters: how much of a question's words a chunk holds in parts.

A term of the lexical lane is a whole word, so that "hotkey" finds no "hot key" and 断路 no 断开线路. What the
lanes brought is therefore also compared by groups of letters: four of a Latin word with its borders
(``#hot``, ``hotk`` …), two Chinese characters. Nothing is searched for by them, so a chunk keeps only which
of 65,536 buckets its groups fall into. Measured on manuals and support questions in both languages, see
``docs/experiments.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from assistant.core.errors import IndexBroken
from indexing.analysis import fold
from indexing.candidates import Candidates, Scores
from indexing.corpus import ChunkFile

Buckets = npt.NDArray[np.uint16]
LETTERS_FILE = "letters.bin"
LETTER_ENDS_FILE = "letter_ends.npy"
LETTER_COUNTS_FILE = "letter_counts.npy"
_BUCKETS = 1 << 16
_RUN = re.compile(r"[a-z0-9]+|[㐀-䶿一-鿿豈-﫿]+")
_BORDER = ord("#")
_FIRST_HAN = 0x3400
_MULTIPLIER = np.uint32(2654435761)  # Knuth's, for spreading by the upper bits
_SPREAD = np.uint32(16)
_SATURATION, _LENGTH_SHARE = 1.2, 0.75  # as BM25 has them


def letter_groups(text: str) -> Buckets:
    """Return the buckets of a text's groups of letters, ascending, each once."""
    runs = f"#{'#'.join(_RUN.findall(fold(text)))}#"
    letters = np.frombuffer(runs.encode("utf-32-le"), np.uint32)
    is_han, is_border = letters >= _FIRST_HAN, letters == _BORDER
    pairs = letters[:-1] * np.uint32(31) + letters[1:]
    found = [pairs[is_han[:-1] & is_han[1:]]]
    if len(letters) > 3:  # noqa: PLR2004 - a group of four
        fours = letters[:-3]
        for place in (1, 2, 3):
            fours = fours * np.uint32(131) + letters[place : len(letters) - 3 + place]
        is_word = ~(is_han[:-3] | is_han[1:-2] | is_han[2:-1] | is_han[3:])
        found.append(fours[is_word & ~is_border[1:-2] & ~is_border[2:-1]])
    return np.unique((np.concatenate(found) * _MULTIPLIER >> _SPREAD).astype(np.uint16))


def write_letters(folder: Path, texts: Iterable[str]) -> None:
    """Write the groups of a segment's texts, in order of their chunks, into its folder."""
    ends, end, counts = [], 0, np.zeros(_BUCKETS, np.int64)
    with (folder / LETTERS_FILE).open("wb") as file:
        for text in texts:
            groups = letter_groups(text)
            file.write(groups.astype("<u2").tobytes())
            counts[groups] += 1
            end += len(groups)
            ends.append(end)
    np.save(folder / LETTER_ENDS_FILE, np.array(ends, np.int64))
    np.save(folder / LETTER_COUNTS_FILE, counts)


class LetterFile:
    """The groups of a segment's chunks, mapped into memory; none where an earlier Deskmate wrote it.

    Args:
        folder: of the segment.
        count: chunks in it.

    Attributes:
        counts: for each bucket how many chunks hold it, shape ``(65536,)``.

    Raises:
        IndexBroken: a file cannot be read.
    """

    def __init__(self, folder: Path, count: int) -> None:
        file = folder / LETTERS_FILE
        self._groups: Buckets = np.zeros(0, np.uint16)
        self._ends, self.counts = np.zeros(count, np.int64), np.zeros(_BUCKETS, np.int64)
        if not file.exists():
            return
        try:
            self._ends = np.load(folder / LETTER_ENDS_FILE)
            self.counts = np.load(folder / LETTER_COUNTS_FILE)
            if file.stat().st_size:
                self._groups = np.asarray(np.memmap(file, "<u2", mode="r"))  # slices of a map are slow
        except (OSError, EOFError, ValueError) as error:
            raise IndexBroken(f"groups of letters {file} cannot be read: {error}") from error
        if len(self._ends) != count or self._ends.max(initial=0) != len(self._groups):
            raise IndexBroken(f"groups of letters {file} are not those of {count} chunks")

    def __len__(self) -> int:
        return len(self._groups)

    def of(self, places: npt.NDArray[np.int64]) -> tuple[Buckets, npt.NDArray[np.int64]]:
        """Return the groups of the chunks at places, one after the other, and how many each has."""
        ends = self._ends[places]
        starts = np.where(places > 0, self._ends[places - 1], 0)
        spans = [self._groups[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        return np.concatenate(spans), ends - starts


class LetterLane:
    """Compares queries with chunks of all segments. Safe to use from several threads.

    Args:
        parts: chunks and groups of each segment.
    """

    def __init__(self, parts: Sequence[tuple[ChunkFile, LetterFile]]) -> None:
        self._parts = [(chunks, letters) for chunks, letters in parts if len(letters)]
        count = sum(len(chunks) for chunks, _ in self._parts)
        held = sum((letters.counts for _, letters in self._parts), np.zeros(_BUCKETS, np.int64))
        self._rarity = np.log1p((count - held + 0.5) / (held + 0.5)).astype(np.float32)
        self._usual = max(1.0, sum(len(letters) for _, letters in self._parts) / max(1, count))

    def scores(self, query: str, candidates: Candidates) -> Scores:
        """Return for each candidate the weight of the query's groups that it holds, less for long chunks."""
        groups = letter_groups(query)
        weights = np.zeros(_BUCKETS, np.float32)
        weights[groups] = self._rarity[groups]
        scores = np.zeros(len(candidates))
        for chunks, letters in self._parts:
            held, places = candidates.held_by(chunks)
            if len(held):
                found, counts = letters.of(places)
                held, counts = held[counts > 0], counts[counts > 0]
                if len(held):
                    # take() needs half the time of weights[found]
                    sums = np.add.reduceat(weights.take(found), np.cumsum(counts) - counts)
                    length = 1 - _LENGTH_SHARE + _LENGTH_SHARE * counts / self._usual
                    scores[held] = sums / (1 + _SATURATION * length)
        return scores
