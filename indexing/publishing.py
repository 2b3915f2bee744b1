"""From stored chunks to the served snapshot: embed what is new, write the indexes aside, switch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from assistant.core.errors import IndexBroken, NotFoundError
from assistant.core.progress import Progress
from assistant.core.records import Record
from assistant.store.chunks import Chunks, NumberedChunk
from assistant.store.database import Database
from assistant.store.documents import Collection
from assistant.store.embeddings import Embeddings
from indexing.codes import build_codes, write_codes
from indexing.corpus import CorpusRow, indexed_text, write_corpus
from indexing.embedding import Embedder, Vectors, passage_text
from indexing.evidence import measure_background
from indexing.lexical_index import write_lexical
from indexing.snapshots import (
    LEXICAL_FOLDER,
    VECTORS_FILE,
    Manifest,
    current_name,
    disk_errors,
    new_snapshot,
    open_current,
    publish,
)
from indexing.vector_index import write_vectors

_EMBEDDED_AT_ONCE = 512


class Stages:
    """Tells of stages and keeps the seconds of each.

    Args:
        progress: told of them.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, title: str, total: int) -> Iterator[Progress]:
        """Time a stage under a short name and give the progress to tell of its steps."""
        self.progress.start(title, total)
        started = time.perf_counter()
        try:
            yield self.progress
        finally:
            self.seconds[name] = round(time.perf_counter() - started, 3)
            self.progress.finish()


class Published(Record, frozen=True, kw_only=True):
    """What is served after publishing."""

    snapshot: str
    document_count: int
    chunk_count: int
    embedded_count: int


class Publisher:
    """Makes the served snapshot of a collection what the database says.

    Args:
        folder: of the collection; its lock is held by the caller.
        database: the rows.
        embedder: makes the embeddings.
        stages: told of the stages ``embed`` and ``write``.
        kept: snapshots left on disk.
    """

    def __init__(
        self, folder: Path, database: Database, embedder: Embedder, stages: Stages, kept: int
    ) -> None:
        self._folder = folder
        self._database = database
        self._embedder = embedder
        self._stages = stages
        self._kept = kept

    def publish(self, collection: Collection, *, always: bool = False) -> Published:
        """Switch to a snapshot of the database's state where the served one is another.

        Args:
            collection: as stored.
            always: write a snapshot even where the served one is up to date.
        """
        with self._database.read() as session:
            rows = Chunks(session).live(collection.id)
        embedded_count = 0
        if always or not self._is_served(collection):
            embedded_count = self._embed(rows)
            self._write(collection, rows)
        return Published(
            snapshot=current_name(self._folder) or "",
            document_count=_document_count(rows),
            chunk_count=len(rows),
            embedded_count=embedded_count,
        )

    def _is_served(self, collection: Collection) -> bool:
        """Tell whether the served snapshot is whole, up to date and made by this embedder."""
        try:
            _, manifest = open_current(self._folder)
        except (NotFoundError, IndexBroken):
            return False
        return (manifest.generation, manifest.fingerprint) == (
            collection.generation,
            self._embedder.fingerprint,
        )

    def _embed(self, rows: Sequence[NumberedChunk]) -> int:
        """Embed what has no embedding yet, kept in steps so that little is lost when cut off."""
        fingerprint = self._embedder.fingerprint
        texts = {row.embedding_key: passage_text(row.chunk) for row in rows}
        with self._database.read() as session:
            missing = Embeddings(session).missing(texts, fingerprint)
        with self._stages.stage("embed", "embedding chunks", len(missing)) as progress:
            for start in range(0, len(missing), _EMBEDDED_AT_ONCE):
                keys = missing[start : start + _EMBEDDED_AT_ONCE]
                vectors = self._embedder.embed_passages([texts[key] for key in keys], progress)
                stored = {key: row.astype("<f4").tobytes() for key, row in zip(keys, vectors, strict=True)}
                with self._database.write() as session:
                    Embeddings(session).save(stored, fingerprint)
        return len(missing)

    def _vectors(self, rows: Sequence[NumberedChunk]) -> Vectors:
        with self._database.read() as session:
            stored = Embeddings(session).load((row.embedding_key for row in rows), self._embedder.fingerprint)
        vectors = np.zeros((len(rows), self._embedder.dimension), np.float32)
        for place, row in enumerate(rows):
            vectors[place] = np.frombuffer(stored[row.embedding_key], "<f4")
        return vectors

    def _write(self, collection: Collection, rows: Sequence[NumberedChunk]) -> None:
        with (
            self._stages.stage("write", "writing the index", 4) as progress,
            disk_errors(self._folder),
            new_snapshot(self._folder) as unfinished,
        ):
            texts = [(row.number, indexed_text(row.chunk)) for row in rows]
            write_corpus(unfinished, [CorpusRow(number=row.number, chunk=row.chunk) for row in rows])
            progress.advance()
            vectors = self._vectors(rows)
            write_vectors(unfinished / VECTORS_FILE, vectors, [row.number for row in rows])
            progress.advance()
            write_lexical(unfinished / LEXICAL_FOLDER, texts)
            progress.advance()
            titled = ((row.number, "\n".join(row.chunk.heading_path), row.chunk.text) for row in rows)
            write_codes(unfinished, build_codes(titled))
            manifest = self._manifest(collection, rows, vectors)
            publish(self._folder, unfinished, manifest, self._kept)
            progress.advance()

    def _manifest(self, collection: Collection, rows: Sequence[NumberedChunk], vectors: Vectors) -> Manifest:
        return Manifest(
            collection=collection.name,
            generation=collection.generation,
            embedder=self._embedder.name,
            fingerprint=self._embedder.fingerprint,
            dimension=self._embedder.dimension,
            chunk_count=len(rows),
            document_count=_document_count(rows),
            background=measure_background(vectors, [row.chunk.language for row in rows]),
        )


def _document_count(rows: Sequence[NumberedChunk]) -> int:
    return len({row.chunk.document for row in rows})
