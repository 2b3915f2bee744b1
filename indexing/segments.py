"""A segment of a snapshot: chunks with their vectors and codes, written once and mapped into memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from indexing.codes import build_codes, read_codes, write_codes
from indexing.corpus import ChunkFile, CorpusRow, indexed_text, write_chunks
from indexing.crowding import measure_crowding, sample_places, write_crowding
from indexing.letters import LetterFile, write_letters
from indexing.snapshots import VECTORS_FILE, Segment
from indexing.table_rows import ChunkVectors, write_rows
from indexing.vector_index import Floats, kind_for, write_vectors


class OpenSegment:
    """A segment on disk; never changes.

    Args:
        folder: of the segment.
        files: path → SHA-256 of its files; what makes two segments the same one.

    Raises:
        IndexBroken: a file cannot be read.
    """

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.files = files
        self.chunks = ChunkFile(folder)
        self.vectors = ChunkVectors(folder / VECTORS_FILE)
        self.codes = read_codes(folder)
        self.letters = LetterFile(folder, len(self.chunks))


def write_segment(
    folder: Path,
    rows: Iterable[CorpusRow],
    vectors: Floats,
    table_rows: Floats,
    owners: Sequence[int],
    sample: Floats | None = None,
) -> Segment:
    """Write a segment into a new folder, which names it.

    Args:
        folder: to write into.
        rows: chunks in ascending order of number.
        vectors: one unit vector a chunk, shape ``(chunks, dimension)``.
        table_rows: one unit vector a row of a table, shape ``(rows, dimension)``.
        owners: for each row of a table the place of its chunk, ascending.
        sample: vectors that the chunks may crowd with, some of the segment's own where None.
    """
    folder.mkdir(parents=True)
    chunks = write_chunks(folder, rows)
    kind = kind_for(len(chunks))
    recall = write_vectors(folder / VECTORS_FILE, vectors, kind)
    write_rows(folder, table_rows, owners)
    sample = vectors[sample_places(len(vectors))] if sample is None else sample
    write_crowding(folder, measure_crowding(vectors, sample))
    write_letters(folder, (indexed_text(row.chunk) for row in chunks.rows()))
    titled = ((row.number, "\n".join(row.chunk.heading_path), row.chunk.text) for row in chunks.rows())
    write_codes(folder, build_codes(titled))
    return Segment(name=folder.name, chunk_count=len(chunks), kind=kind, recall=recall)
