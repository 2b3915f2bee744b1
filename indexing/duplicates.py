"""Near-duplicates across files: found when indexing, kept in the collection's folder, shown on request.

Kept are the result and, by chunk number, each chunk's signature and document and the likeness of all that was
compared exactly: a chunk is read when it is new or first meets one that may say the same.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from assistant.core.records import Record
from indexing.likeness import (
    SIMILARITY,
    Pair,
    Read,
    Rows,
    Shares,
    chunk_likeness,
    document_shares,
    groups_of,
    rows_of,
)
from indexing.minhash import SIGNATURE_HASHES

FORMAT = 1
_KEPT_FILE = "duplicates.msgpack"


class DocumentPair(Record, frozen=True, kw_only=True):
    """Two documents that say nearly the same, or one of which holds the other.

    Attributes:
        left: a document.
        right: another one.
        similarity: what they share of all that they hold, from 0 to 1.
        of_left: share of the left one's text that stands in the right one.
        of_right: share of the right one's text that stands in the left one.
    """

    left: str
    right: str
    similarity: float
    of_left: float
    of_right: float


class DuplicateChunk(Record, frozen=True, kw_only=True):
    """A chunk of a group.

    Attributes:
        number: its number.
        document: its document.
        similarity: to the chunk of the group that it is most like, from 0 to 1.
    """

    number: int
    document: str
    similarity: float


class DuplicateCounts(Record, frozen=True, kw_only=True):
    """How much stands in several documents.

    Attributes:
        document_pair_count: pairs of documents.
        passage_count: passages that stand in several documents.
        place_count: where they stand, all together.
    """

    document_pair_count: int = 0
    passage_count: int = 0
    place_count: int = 0


class Duplicates(Record, frozen=True, kw_only=True):
    """What stands in several documents of a collection.

    Attributes:
        documents: pairs of documents, the most alike first.
        groups: chunks that say nearly the same, of two documents at least, the oldest first.
    """

    documents: tuple[DocumentPair, ...] = ()
    groups: tuple[tuple[DuplicateChunk, ...], ...] = ()

    @property
    def counts(self) -> DuplicateCounts:
        """How much it is."""
        return DuplicateCounts(
            document_pair_count=len(self.documents),
            passage_count=len(self.groups),
            place_count=sum(map(len, self.groups)),
        )


class _Kept(Record, frozen=True, kw_only=True):
    """The file.

    Attributes:
        numbers: of the chunks, ascending.
        documents: of each chunk.
        signatures: of each chunk, uint32, little-endian.
        chunk_likeness: two numbers and their likeness.
        document_shares: the first numbers of two documents and what they share.
        found: the result.
        format: of the file.
    """

    numbers: list[int]
    documents: list[str]
    signatures: bytes
    chunk_likeness: list[tuple[Pair, float]]
    document_shares: list[tuple[Pair, Shares]]
    found: Duplicates
    format: int


_NOTHING = _Kept(
    numbers=[],
    documents=[],
    signatures=b"",
    chunk_likeness=[],
    document_shares=[],
    found=Duplicates(),
    format=FORMAT,
)


def find_duplicates(folder: Path, numbers: Sequence[int], read: Read) -> Duplicates:
    """Return a collection's near-duplicates and keep them in its folder.

    Args:
        folder: of the collection.
        numbers: of all live chunks, ascending.
        read: gives chunks for numbers, by ascending number.
    """
    file = folder / _KEPT_FILE
    kept = _read_kept(file)
    if kept.numbers == list(numbers):
        return kept.found
    signed = np.frombuffer(kept.signatures, "<u4").reshape(-1, SIGNATURE_HASHES)
    rows = rows_of(numbers, Rows(kept.numbers, kept.documents, signed), read)
    likeness = chunk_likeness(rows, dict(kept.chunk_likeness), read)
    groups = groups_of(rows, likeness)
    shares = document_shares(rows, groups, dict(kept.document_shares), read)
    found = Duplicates(documents=_document_pairs(rows, shares), groups=_shown(rows, groups, likeness))
    _write_kept(
        file,
        _Kept(
            numbers=rows.numbers,
            documents=rows.documents,
            signatures=rows.signatures.astype("<u4").tobytes(),
            chunk_likeness=list(likeness.items()),
            document_shares=list(shares.items()),
            found=found,
            format=FORMAT,
        ),
    )
    return found


def _shown(
    rows: Rows, groups: Iterable[Sequence[int]], likeness: Mapping[Pair, float]
) -> tuple[tuple[DuplicateChunk, ...], ...]:
    document = rows.document
    best: dict[int, float] = defaultdict(float)
    for pair, value in likeness.items():
        for number in pair:
            best[number] = max(best[number], value)
    return tuple(
        tuple(
            DuplicateChunk(number=number, document=document[number], similarity=best[number])
            for number in group
        )
        for group in groups
    )


def _document_pairs(rows: Rows, shares: Mapping[Pair, Shares]) -> tuple[DocumentPair, ...]:
    document = rows.document
    pairs = [
        DocumentPair(
            left=document[left],
            right=document[right],
            similarity=similarity,
            of_left=of_left,
            of_right=of_right,
        )
        for (left, right), (similarity, of_left, of_right) in shares.items()
        if max(of_left, of_right) >= SIMILARITY
    ]
    return tuple(sorted(pairs, key=lambda pair: (-pair.similarity, pair.left, pair.right)))


def _read_kept(file: Path) -> _Kept:
    """Return what was kept, nothing where that cannot be used: all is then made anew."""
    try:
        kept = msgspec.msgpack.decode(file.read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):
        return _NOTHING
    row_count = len(kept.numbers)
    is_whole = len(kept.documents) == row_count and len(kept.signatures) == 4 * SIGNATURE_HASHES * row_count
    return kept if is_whole and kept.format == FORMAT else _NOTHING


def _write_kept(file: Path, kept: _Kept) -> None:
    aside = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        aside.write_bytes(msgspec.msgpack.encode(kept))
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
