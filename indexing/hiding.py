"""Removed documents hidden at once in every kept snapshot, and forgotten when none holds them any more."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from assistant.core.errors import IndexBroken
from indexing.contents import read_contents
from indexing.corpus import ChunkFile
from indexing.snapshots import current_name, discard, read_manifest, snapshot_folders
from indexing.tombstones import Numbers, read_removed, write_removed


def hide(folder: Path, document_id: int, document: str, numbers: Iterable[int]) -> None:
    """Let no snapshot of a collection return a document from now on; switching lock held.

    Older snapshots may hold it under numbers, and under a path, that the database no longer knows. One of
    them that cannot be read is deleted.

    Args:
        folder: of the collection.
        document_id: the document's row id.
        document: its path.
        numbers: of its chunks in the database.

    Raises:
        IndexBroken: the served snapshot, or the list of what was removed before, cannot be read.
    """
    hidden = [read_removed(folder), np.fromiter(numbers, np.int64)]
    for snapshot in snapshot_folders(folder):
        try:
            hidden += _numbers_in(snapshot, folder.name, document_id, document)
        except IndexBroken:
            if snapshot.name == current_name(folder):
                raise
            discard(snapshot)
    write_removed(folder, np.concatenate(hidden))


def show_again(folder: Path, live: Numbers) -> bool:
    """Take live numbers off the removed ones and tell whether there were any; switching lock held.

    There are some where a removal was cut off before the database knew of it.

    Raises:
        IndexBroken: the list of what was removed cannot be read.
    """
    removed = read_removed(folder)
    left = np.setdiff1d(removed, live)
    if len(left) == len(removed):
        return False
    write_removed(folder, left)
    return True


def forget_removed(folder: Path) -> None:
    """Forget removed numbers that no kept snapshot holds any more; switching lock held.

    Raises:
        IndexBroken: the list of what was removed cannot be read.
    """
    removed = read_removed(folder)
    if not len(removed):
        return
    try:
        held = [
            np.intersect1d(removed, chunks.numbers)
            for snapshot in snapshot_folders(folder)
            for chunks in _segments(snapshot, folder.name)
        ]
    except IndexBroken:  # an older snapshot is damaged: what it holds is not known
        return
    write_removed(folder, np.concatenate(held) if held else removed[:0])


def _numbers_in(snapshot: Path, collection: str, document_id: int, document: str) -> list[Numbers]:
    contents = read_contents(snapshot)
    paths = {path for path, entry in contents.items() if entry.document_id == document_id} | {document}
    return [
        chunks.numbers[
            np.isin(chunks.owners, [i for i, path in enumerate(chunks.documents) if path in paths])
        ]
        for chunks in _segments(snapshot, collection)
    ]


def _segments(snapshot: Path, collection: str) -> list[ChunkFile]:
    manifest = read_manifest(snapshot, collection)
    return [ChunkFile(snapshot / segment.name) for segment in manifest.segments]
