"""The chunks of a collection's snapshot, read without the database and only when they are asked for."""

from __future__ import annotations

import functools
import heapq
import itertools
import mmap
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path

import msgspec
import numpy as np

from assistant.core.errors import IndexBroken
from assistant.core.home import Home
from assistant.core.records import Chunk, Neighbours, Record
from indexing.snapshots import Manifest, open_current, verify
from indexing.tombstones import Numbers, read_removed

CHUNKS_FILE = "chunks.msgpack"
NUMBERS_FILE = "numbers.npy"
DEAD_FILE = "dead.npy"
_ENDS_FILE = "ends.npy"
_OWNERS_FILE = "owners.npy"
_DOCUMENTS_FILE = "paths.json"


class CorpusRow(Record, frozen=True, kw_only=True):
    """A chunk under the number that the snapshot's indexes know it by."""

    number: int
    chunk: Chunk


def indexed_text(chunk: Chunk) -> str:
    """Return the text in which a chunk's terms are looked up: the titles above it and its own text."""
    return "\n".join((*chunk.heading_path, chunk.text))


class ChunkFile:
    """The chunks of one segment, mapped into memory; a chunk is decoded when it is asked for.

    Args:
        folder: of the segment.

    Attributes:
        numbers: of the chunks, ascending; a chunk's place in it is its place in the vector index.
        owners: for each chunk the place of its document in ``documents``.
        documents: paths.

    Raises:
        IndexBroken: a file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._decoder = msgspec.msgpack.Decoder(Chunk)
        try:
            self.numbers, self.owners, self._ends = (
                _mapped_array(folder / file) for file in (NUMBERS_FILE, _OWNERS_FILE, _ENDS_FILE)
            )
            self.documents = msgspec.json.decode((folder / _DOCUMENTS_FILE).read_bytes(), type=list[str])
            self._bytes = _mapped(folder / CHUNKS_FILE)
        except (OSError, ValueError, msgspec.DecodeError) as error:
            raise IndexBroken(f"chunks of snapshot segment {folder} cannot be read: {error}") from error

    def __len__(self) -> int:
        return len(self.numbers)

    def places(self, numbers: Numbers) -> Numbers:
        """Return the place of each number's chunk, -1 where it is not in this segment."""
        places = np.searchsorted(self.numbers, numbers)
        places[places == len(self)] = -1
        held = self.numbers[places] == numbers if len(self) else np.zeros(len(numbers), np.bool_)
        return np.where(held, places, -1)

    def chunk(self, place: int) -> Chunk:
        """Decode the chunk at a place."""
        start = int(self._ends[place - 1]) if place else 0
        return self._decoder.decode(self._bytes[start : int(self._ends[place])])

    def rows(self) -> Iterator[CorpusRow]:
        """Yield all chunks in order of number."""
        for place, number in enumerate(self.numbers):
            yield CorpusRow(number=int(number), chunk=self.chunk(place))


def write_chunks(folder: Path, rows: Iterable[CorpusRow]) -> ChunkFile:
    """Write rows, in ascending order of number, into a segment's folder and return them, readable."""
    encoder = msgspec.msgpack.Encoder()
    numbers, ends, owners, documents = [], [], [], dict[str, int]()
    end = 0
    with (folder / CHUNKS_FILE).open("wb") as file:
        for row in rows:
            end += file.write(encoder.encode(row.chunk))
            numbers.append(row.number)
            ends.append(end)
            owners.append(documents.setdefault(row.chunk.document, len(documents)))
    np.save(folder / NUMBERS_FILE, np.array(numbers, np.int64))
    np.save(folder / _ENDS_FILE, np.array(ends, np.int64))
    np.save(folder / _OWNERS_FILE, np.array(owners, np.int64))
    (folder / _DOCUMENTS_FILE).write_bytes(msgspec.json.encode(list(documents)))
    return ChunkFile(folder)


class Corpus:
    """All live chunks of a collection at one state.

    Args:
        manifest: of the snapshot.
        segments: of the snapshot.
        dead: numbers in the segments that are not live.
    """

    def __init__(self, manifest: Manifest, segments: Sequence[ChunkFile], dead: Numbers) -> None:
        self.manifest = manifest
        self.dead = dead
        self._hidden = frozenset(dead.tolist())
        self._segments = tuple(segments)

    def without(self, removed: Numbers) -> Corpus:
        """Return the same corpus with further chunks gone."""
        return Corpus(self.manifest, self._segments, np.union1d(self.dead, removed))

    def __len__(self) -> int:
        return sum(int(alive.sum()) for alive in self._alive)

    def by_number(self, numbers: Sequence[int]) -> dict[int, Chunk]:
        """Return number → chunk of live chunks.

        Raises:
            KeyError: no live chunk has one of the numbers.
        """
        wanted = np.array(numbers, np.int64)
        found: dict[int, Chunk] = {}
        for segment in self._segments:
            places = segment.places(wanted)
            held = np.flatnonzero(places >= 0)
            found.update(zip(wanted[held].tolist(), map(segment.chunk, places[held].tolist()), strict=True))
        gone = [number for number in numbers if number not in found]
        if gone or not self._hidden.isdisjoint(numbers):
            raise KeyError(gone or numbers)
        return found

    def around(self, chunk: Chunk, count: int, allowed: Set[int] | None = None) -> Neighbours:
        """Return up to ``count`` chunks before and after a chunk.

        There are none where its document was removed, or where another version of it is served now.

        Args:
            chunk: in the middle.
            count: most on each side.
            allowed: numbers of the chunks that pass the filters, None where nothing is filtered; there are
                no neighbours where the chunk itself passes no more.
        """
        numbers = self._numbers_in(chunk.document)
        first = max(chunk.position - count, 0)
        near = self.by_number(numbers[first : chunk.position + count + 1].tolist())
        # a version's chunks are numbered in its order
        found = [near[number] for number in sorted(near) if allowed is None or number in allowed]
        if chunk.id not in {row.id for row in found if row.version == chunk.version}:
            return Neighbours()
        return Neighbours(
            before=tuple(row for row in found if row.position < chunk.position),
            after=tuple(row for row in found if row.position > chunk.position),
        )

    def _numbers_in(self, document: str) -> Numbers:
        """Return the numbers of a document's live chunks, ascending."""
        found = [np.zeros(0, np.int64)]
        for segment, alive in zip(self._segments, self._alive, strict=True):
            if document in segment.documents:
                owned = segment.owners == segment.documents.index(document)
                found.append(segment.numbers[owned & alive])
        return np.concatenate(found)

    @property
    def rows(self) -> Iterator[CorpusRow]:
        """The chunks by document and position, decoded one after the other."""
        return heapq.merge(*map(self._ordered, self._segments), key=_order)

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """The chunks by document and position, all decoded now."""
        return tuple(row.chunk for row in self.rows)

    @property
    def documents(self) -> tuple[str, ...]:
        """Paths of the documents."""
        found: set[str] = set()
        for segment, alive in zip(self._segments, self._alive, strict=True):
            found.update(segment.documents[owner] for owner in np.unique(segment.owners[alive]))
        return tuple(sorted(found))

    @functools.cached_property
    def numbers_of(self) -> dict[str, list[int]]:
        """The numbers of each document's chunks."""
        numbers: dict[str, list[int]] = {}
        for segment, alive in zip(self._segments, self._alive, strict=True):
            for number, owner in zip(
                segment.numbers[alive].tolist(), segment.owners[alive].tolist(), strict=True
            ):
                numbers.setdefault(segment.documents[owner], []).append(number)
        return numbers

    @functools.cached_property
    def _alive(self) -> list[np.typing.NDArray[np.bool_]]:
        return [~np.isin(segment.numbers, self.dead) for segment in self._segments]

    def _ordered(self, segment: ChunkFile) -> Iterator[CorpusRow]:
        """Yield a segment's live chunks by document and position; one document's are decoded at a time."""
        alive = self._alive[self._segments.index(segment)]
        places = np.flatnonzero(alive)
        by_path = np.argsort(np.argsort(segment.documents))[segment.owners[places]]
        places = places[np.argsort(by_path, kind="stable")]
        rows = (
            CorpusRow(number=int(segment.numbers[place]), chunk=segment.chunk(int(place))) for place in places
        )
        for _, group in itertools.groupby(rows, key=lambda row: row.chunk.document):
            yield from sorted(group, key=_order)


def load_corpus(collection: str, home: Home) -> Corpus:
    """Read the chunks of a collection's current snapshot.

    Raises:
        NotFoundError: the collection has no index.
        IndexBroken: the snapshot is damaged.
    """
    folder = home.collection(collection)
    snapshot, manifest = open_current(folder)
    verify(snapshot, collection, manifest.files)
    segments = [ChunkFile(snapshot / segment.name) for segment in manifest.segments]
    return Corpus(manifest, segments, np.union1d(read_dead(snapshot), read_removed(folder)))


def read_dead(snapshot: Path) -> Numbers:
    """Return the numbers in a snapshot's segments that were not live when it was written, ascending.

    Raises:
        IndexBroken: the file is damaged.
    """
    try:
        dead: Numbers = np.load(snapshot / DEAD_FILE)
    except (OSError, ValueError) as error:
        raise IndexBroken(f"snapshot file {snapshot / DEAD_FILE} cannot be read: {error}") from error
    return dead


def write_dead(snapshot: Path, numbers: Numbers) -> None:
    """Write the numbers in a snapshot's segments that are not live."""
    np.save(snapshot / DEAD_FILE, np.asarray(numbers, np.int64))


def _order(row: CorpusRow) -> tuple[str, int]:
    return row.chunk.document, row.chunk.position


def _mapped_array(path: Path) -> Numbers:
    array: Numbers = np.load(path, mmap_mode="r").view(np.ndarray)  # numpy's memmap is slow to index
    return array


def _mapped(path: Path) -> mmap.mmap | bytes:
    with path.open("rb") as file:
        if not path.stat().st_size:
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
