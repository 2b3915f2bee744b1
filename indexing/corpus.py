"""The chunks of a collection's snapshot, read without the database."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from assistant.core.errors import IndexBroken
from assistant.core.home import Home
from assistant.core.records import Chunk, Record
from indexing.snapshots import Manifest, open_current

CHUNKS_FILE = "chunks.msgpack"


class CorpusRow(Record, frozen=True, kw_only=True):
    """A chunk under the number that the snapshot's indexes know it by."""

    number: int
    chunk: Chunk


def indexed_text(chunk: Chunk) -> str:
    """Return the text in which a chunk's terms are looked up: the titles above it and its own text."""
    return "\n".join((*chunk.heading_path, chunk.text))


class Corpus:
    """All live chunks of a collection at one state, by document and position."""

    def __init__(self, manifest: Manifest, rows: Sequence[CorpusRow]) -> None:
        self.manifest = manifest
        self.rows = tuple(rows)

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """The chunks."""
        return tuple(row.chunk for row in self.rows)

    @cached_property
    def by_number(self) -> dict[int, Chunk]:
        """The chunks by number."""
        return {row.number: row.chunk for row in self.rows}

    @cached_property
    def by_id(self) -> dict[str, Chunk]:
        """The chunks by content id; of equal ones the first."""
        return {chunk.id: chunk for chunk in reversed(self.chunks)}

    @cached_property
    def documents(self) -> tuple[str, ...]:
        """Paths of the documents."""
        return tuple(dict.fromkeys(chunk.document for chunk in self.chunks))


def load_corpus(collection: str, home: Home) -> Corpus:
    """Read the chunks of a collection's current snapshot.

    Raises:
        NotFoundError: the collection has no index.
        IndexBroken: the snapshot is damaged.
    """
    folder, manifest = open_current(home.collection(collection))
    return read_corpus(folder, manifest)


def read_corpus(folder: Path, manifest: Manifest) -> Corpus:
    """Read the chunks of a snapshot's folder.

    Raises:
        IndexBroken: they are damaged.
    """
    file = folder / CHUNKS_FILE
    try:
        rows = msgspec.msgpack.decode(file.read_bytes(), type=list[CorpusRow])
    except (OSError, msgspec.DecodeError) as error:
        raise IndexBroken(f"snapshot file {file} cannot be read: {error}") from error
    return Corpus(manifest, rows)


def write_corpus(folder: Path, rows: Sequence[CorpusRow]) -> None:
    """Write the chunks into a snapshot's folder."""
    (folder / CHUNKS_FILE).write_bytes(msgspec.msgpack.encode(rows))
