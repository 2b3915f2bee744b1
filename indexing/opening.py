"""A served snapshot, opened for searching."""

from __future__ import annotations

from pathlib import Path

from assistant.core.errors import IndexBroken
from indexing.codes import CodeIndex, read_codes
from indexing.corpus import Corpus, read_corpus
from indexing.embedding import Embedder
from indexing.lexical_index import LexicalIndex
from indexing.snapshots import LEXICAL_FOLDER, VECTORS_FILE, Manifest, open_current, rebuild_command
from indexing.vector_index import VectorIndex


class OpenSnapshot:
    """A snapshot's indexes and chunks, opened together; never changes.

    Raises:
        NotFoundError: the collection has no snapshot.
        IndexBroken: it is damaged or made by another embedder.
    """

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        path, self.manifest = open_current(folder)
        self.name = path.name
        _check_embedder(self.manifest, embedder)
        self.corpus: Corpus = read_corpus(path, self.manifest)
        self.vectors = VectorIndex(path / VECTORS_FILE)
        self.lexical = LexicalIndex(path / LEXICAL_FOLDER)
        self.codes: CodeIndex = read_codes(path, self.manifest.chunk_count)


def _check_embedder(manifest: Manifest, embedder: Embedder) -> None:
    if (manifest.fingerprint, manifest.dimension) != (embedder.fingerprint, embedder.dimension):
        raise IndexBroken(
            f"the index of collection {manifest.collection!r} was made by embedder {manifest.embedder!r} "
            f"({manifest.fingerprint}), the settings name {embedder.name!r} ({embedder.fingerprint})",
            next_command=rebuild_command(manifest.collection),
        )
