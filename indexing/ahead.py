"""Embedding: what has none yet, and ahead of time while the next files are read.

Files are read in a process of its own, so that one core waits while the other works; what is stored by then
is embedded meanwhile. What is left, and what was cut off, is embedded before the snapshot is written.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from assistant.core.progress import NoProgress, Progress
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.embeddings import Embeddings
from indexing.embedding import Embedder
from indexing.table_rows import embed_chunks

_AT_ONCE = 512
_AHEAD = 64


def missing_embeddings(database: Database, embedder: Embedder, numbers: Sequence[int]) -> dict[str, int]:
    """Return key → number of a chunk that has it, for the texts of chunks that are not embedded yet."""
    with database.read() as session:
        found = {key: number for number, key in Chunks(session).keys(numbers).items()}
        missing = Embeddings(session).missing(found, embedder.fingerprint)
    return {key: found[key] for key in missing}


def embed_missing(database: Database, embedder: Embedder, missing: dict[str, int], progress: Progress) -> int:
    """Embed texts, kept in steps so that little is lost when cut off; return how many were.

    Those of documents that are removed meanwhile are left out.
    """
    embedded_count = 0
    keys = list(missing)
    for start in range(0, len(keys), _AT_ONCE):
        part = [missing[key] for key in keys[start : start + _AT_ONCE]]
        with database.read() as session:
            rows = list(Chunks(session).numbered(part))
        vectors = embed_chunks(embedder, [row.chunk for row in rows], progress)
        stored = {
            row.embedding_key: vector.astype("<f4").tobytes()
            for row, vector in zip(rows, vectors, strict=True)
        }
        with database.write() as session:
            left = Chunks(session).keys(part).values()  # without those that were removed meanwhile
            Embeddings(session).save({key: stored[key] for key in left}, embedder.fingerprint)
        embedded_count += len(set(left))
    return embedded_count


class EmbeddingAhead:
    """Embeds stored chunks in a thread of its own, as many at a time as fill the encoder's batches.

    Args:
        database: the rows.
        embedder: makes the embeddings.

    Attributes:
        count: texts embedded so far.
    """

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self.count = 0
        self._database = database
        self._embedder = embedder
        self._waiting: list[int] = []
        self._running: Future[int] | None = None
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedding")

    def __enter__(self) -> EmbeddingAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for what is under way; where the reading failed it is stopped instead."""
        if kind is not None:
            self._stopping.set()
        self._thread.shutdown(wait=True)
        if kind is None:
            self._collect()

    def offer(self, numbers: Sequence[int]) -> None:
        """Take the numbers of chunks just stored.

        Raises:
            DeskmateError: embedding earlier ones failed.
        """
        self._waiting += numbers
        if self._running is not None and not self._running.done():
            return
        self._collect()
        if len(self._waiting) >= _AHEAD:
            part, self._waiting = self._waiting, []
            self._running = self._thread.submit(self._embed, part)

    def _collect(self) -> None:
        if self._running is not None:
            self.count += self._running.result()
            self._running = None

    def _embed(self, numbers: Sequence[int]) -> int:
        missing = missing_embeddings(self._database, self._embedder, numbers)
        return embed_missing(self._database, self._embedder, missing, _Stoppable(self._stopping))


class _Stopped(Exception):
    """The reading failed, so that nobody waits for the embeddings."""


class _Stoppable(NoProgress):
    """Silent, and ends the work when told to."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping

    def advance(self, count: int = 1, note: str = "") -> None:  # noqa: ARG002 - as the protocol has it
        if self._stopping.is_set():
            raise _Stopped
