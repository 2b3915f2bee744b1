"""A served snapshot, opened for searching."""

from __future__ import annotations

import copy
from pathlib import Path

from assistant.core.errors import IndexBroken
from indexing.codes import CodeIndex, merge_codes
from indexing.contents import Contents, read_contents
from indexing.corpus import Corpus, read_dead
from indexing.dense import DenseLane
from indexing.embedders import Embedders
from indexing.embedding import Embedder
from indexing.letters import LetterLane
from indexing.lexical_index import LexicalIndex
from indexing.segments import OpenSegment
from indexing.snapshots import (
    LEXICAL_FOLDER,
    Manifest,
    current_name,
    open_current,
    open_named,
    rebuild_command,
    verify,
)
from indexing.tombstones import Numbers, Stamp, read_removed, removed_stamp


class OpenSnapshot:
    """A snapshot's lanes and chunks, opened together; never changes.

    Args:
        folder: of the collection.
        embedder: that the queries are embedded with.
        before: a snapshot of the same collection; segments that it shares are not read again.
        name: of another snapshot than the served one.
        embedders: give the snapshot's own embedder where it is another one; without them it is refused.

    Attributes:
        name: of its folder.
        embedder: that made it.
        segments: its parts.
        removed_stamp: of the tombstones that are left out.

    Raises:
        NotFoundError: the collection has no snapshot.
        IndexBroken: it is damaged or made by another embedder.
    """

    def __init__(
        self,
        folder: Path,
        embedder: Embedder,
        before: OpenSnapshot | None = None,
        name: str | None = None,
        embedders: Embedders | None = None,
    ) -> None:
        path, self.manifest = open_named(folder, name) if name else open_current(folder)
        self.name = path.name
        if embedders is not None and self.manifest.embedder != embedder.name:
            embedder = embedders.get(self.manifest.embedder)
        _check_embedder(self.manifest, embedder)
        self.embedder = embedder
        self.segments = self._open_segments(path, before)
        self.contents: Contents = read_contents(path)
        self.lexical = LexicalIndex(path / LEXICAL_FOLDER)
        dead = read_dead(path)
        self.corpus = Corpus(self.manifest, [segment.chunks for segment in self.segments], dead)
        self.vectors = DenseLane([(segment.chunks, segment.vectors) for segment in self.segments], dead)
        self.letters = LetterLane([(segment.chunks, segment.letters) for segment in self.segments])
        entries = merge_codes([segment.codes for segment in self.segments])
        self.codes = CodeIndex(entries, self.manifest.chunk_count).without(frozenset(dead.tolist()))
        self.removed_stamp: Stamp | None = removed_stamp(folder)
        self.leave_out(read_removed(folder))

    def without_removed(self, folder: Path) -> OpenSnapshot:
        """Return the same snapshot without what was removed from the collection since it was opened."""
        fewer = copy.copy(self)
        fewer.removed_stamp = removed_stamp(folder)  # before reading: what comes between is read again
        fewer.leave_out(read_removed(folder))
        return fewer

    def leave_out(self, removed: Numbers) -> None:
        """Drop chunks from all lanes, before anything is searched."""
        numbers = frozenset(removed.tolist())
        self.corpus = self.corpus.without(removed)
        self.vectors = self.vectors.without(removed)
        self.lexical = self.lexical.without(numbers)
        self.codes = self.codes.without(numbers)

    def _open_segments(self, path: Path, before: OpenSnapshot | None) -> list[OpenSegment]:
        known = {frozenset(segment.files.items()): segment for segment in before.segments} if before else {}
        found = {
            segment.name: known.get(frozenset(self.manifest.files_of(segment.name).items()))
            for segment in self.manifest.segments
        }
        verified: set[str] = {file for segment in found.values() if segment for file in segment.files}
        files = self.manifest.files.items()
        verify(path, self.manifest.collection, {file: sha for file, sha in files if file not in verified})
        return [
            segment or OpenSegment(path / name, self.manifest.files_of(name))
            for name, segment in found.items()
        ]


def open_snapshot(
    folder: Path,
    embedder: Embedder,
    before: OpenSnapshot | None = None,
    embedders: Embedders | None = None,
) -> OpenSnapshot:
    """Open the served snapshot of a collection, the next one where it was switched and pruned meanwhile.

    Raises:
        NotFoundError: the collection has no snapshot.
        IndexBroken: it is damaged or made by another embedder.
    """
    while True:
        name = current_name(folder)
        try:
            snapshot = OpenSnapshot(folder, embedder, before, embedders=embedders)
        except IndexBroken:
            if current_name(folder) == name:
                raise
            continue
        if current_name(folder) == snapshot.name:
            return snapshot


def _check_embedder(manifest: Manifest, embedder: Embedder) -> None:
    if (manifest.fingerprint, manifest.dimension) != (embedder.fingerprint, embedder.dimension):
        raise IndexBroken(
            f"the index of collection {manifest.collection!r} was made by embedder {manifest.embedder!r} "
            f"({manifest.fingerprint}), not by {embedder.name!r} ({embedder.fingerprint})",
            next_command=rebuild_command(manifest.collection),
        )
