"""What chunks and documents share: rows by chunk number, likeness of pairs, groups of what is alike.

A pair's likeness that is known already is taken as it is: a number means one text of one document for good.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from assistant.core.records import Chunk
from indexing.minhash import SIGNATURE_HASHES, candidates, sign
from indexing.shingles import Hashes, jaccard, shared_count, shingles

SIMILARITY = 0.8
_LEAST_SHINGLES = 8

Pair = tuple[int, int]
Shares = tuple[float, float, float]


class Numbered(Protocol):
    """A chunk with its number, which means one text of one document for good."""

    @property
    def number(self) -> int:
        """The number."""

    @property
    def chunk(self) -> Chunk:
        """The chunk."""


Read = Callable[[Iterable[int]], Iterable[Numbered]]


class Rows(NamedTuple):
    """Chunks by ascending number, with the document and the signature (one row) of each."""

    numbers: list[int]
    documents: list[str]
    signatures: Hashes

    @property
    def document(self) -> dict[int, str]:
        """Number → document."""
        return dict(zip(self.numbers, self.documents, strict=True))


def rows_of(numbers: Sequence[int], known: Rows, read: Read) -> Rows:
    """Return the rows of chunks: those that are known, and the others signed now."""
    place = {number: row for row, number in enumerate(known.numbers)}
    documents = {number: known.documents[place[number]] for number in numbers if number in place}

    def new_runs() -> Iterator[Hashes]:
        for row in read([number for number in numbers if number not in documents]):
            place[row.number] = len(place)
            documents[row.number] = row.chunk.document
            yield _runs(row.chunk)

    signatures = np.concatenate([known.signatures, sign(new_runs())])
    present = sorted(documents)
    return Rows(
        numbers=present,
        documents=[documents[number] for number in present],
        signatures=signatures[[place[number] for number in present]],
    )


def chunk_likeness(rows: Rows, known: Mapping[Pair, float], read: Read) -> dict[Pair, float]:
    """Return the likeness of all pairs of chunks that may be alike, by number."""
    pairs = [
        (rows.numbers[left], rows.numbers[right]) for left, right in candidates(rows.signatures).tolist()
    ]
    wanted = {number for pair in pairs if pair not in known for number in pair}
    runs = {row.number: _runs(row.chunk) for row in read(wanted)} if wanted else {}

    def compare(left: Hashes, right: Hashes) -> float:
        return round(jaccard(left, right), 3) if min(len(left), len(right)) >= _LEAST_SHINGLES else 0.0

    return {pair: known[pair] if pair in known else compare(runs[pair[0]], runs[pair[1]]) for pair in pairs}


def groups_of(rows: Rows, likeness: Mapping[Pair, float]) -> list[list[int]]:
    """Return the numbers of chunks that are alike and stand in several documents, each group ascending."""
    document = rows.document
    alike = (pair for pair, value in likeness.items() if value >= SIMILARITY)
    return [group for group in _connected(alike) if len({document[number] for number in group}) > 1]


def document_shares(
    rows: Rows, groups: Sequence[Sequence[int]], known: Mapping[Pair, Shares], read: Read
) -> dict[Pair, Shares]:
    """Return what pairs of documents share that may say the same, by the documents' first numbers."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(rows.documents):
        places[name].append(place)
    names = list(places)
    whole = np.zeros((len(names), SIGNATURE_HASHES), np.uint32)
    for row, name in enumerate(names):
        whole[row] = rows.signatures[places[name]].min(axis=0)
    firsts = {name: rows.numbers[of_document[0]] for name, of_document in places.items()}
    likely = {(names[left], names[right]) for left, right in candidates(whole).tolist()}
    likely |= _sharing_half(rows, groups)
    pairs = {_ascending(firsts[left], firsts[right]): (left, right) for left, right in likely}
    runs: dict[str, Hashes] = {}
    for name in sorted({name for pair, both in pairs.items() if pair not in known for name in both}):
        numbers = [rows.numbers[place] for place in places[name]]
        runs[name] = np.unique(np.concatenate([_runs(row.chunk) for row in read(numbers)]))
    of_first = {first: name for name, first in firsts.items()}
    return {
        pair: known[pair] if pair in known else _shares(*(runs[of_first[first]] for first in pair))
        for pair in sorted(pairs)
    }


def _shares(left: Hashes, right: Hashes) -> Shares:
    shared = shared_count(left, right)
    whole = len(left) + len(right) - shared
    return (
        round(shared / max(1, whole), 3),
        round(shared / max(1, len(left)), 3),
        round(shared / max(1, len(right)), 3),
    )


def _sharing_half(rows: Rows, groups: Sequence[Sequence[int]]) -> set[tuple[str, str]]:
    """Return pairs of documents where half of the smaller one's chunks stand in the other."""
    document = rows.document
    sizes = Counter(rows.documents)
    shared: Counter[tuple[str, str]] = Counter()
    for group in groups:
        names = sorted({document[number] for number in group})
        # neighbours and the first with all: text that stands in thousands of files costs no square of them
        shared.update(pairwise(names))
        shared.update((names[0], name) for name in names[2:])
    return {pair for pair, count in shared.items() if 2 * count >= min(sizes[name] for name in pair)}


def _connected(pairs: Iterable[Pair]) -> list[list[int]]:
    """Return the numbers that pairs connect, each group ascending, by its first."""
    roots: dict[int, int] = {}

    def root(number: int) -> int:
        while (above := roots.setdefault(number, number)) != number:
            roots[number] = roots[above]
            number = above
        return number

    for left, right in pairs:
        lower, higher = _ascending(root(left), root(right))
        roots[higher] = lower
    groups: dict[int, list[int]] = defaultdict(list)
    for number in sorted(roots):
        groups[root(number)].append(number)
    return list(groups.values())


def _runs(chunk: Chunk) -> Hashes:
    return shingles(chunk.text, chunk.language)


def _ascending(left: int, right: int) -> Pair:
    return (left, right) if left < right else (right, left)
