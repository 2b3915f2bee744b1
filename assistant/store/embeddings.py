"""Embeddings by text and embedder, so that unchanged text is never embedded again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from assistant.store.tables import ChunkRow, EmbeddingRow

_KEYS_PER_QUERY = 500


class Embeddings:
    """The embeddings within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def missing(self, keys: Iterable[str], fingerprint: str) -> list[str]:
        """Return those keys that this embedder has not embedded yet, each once, in the order given."""
        wanted = list(dict.fromkeys(keys))
        known: set[str] = set()
        for part in _parts(wanted):
            known.update(
                self._session.scalars(
                    select(EmbeddingRow.key).where(
                        EmbeddingRow.fingerprint == fingerprint, EmbeddingRow.key.in_(part)
                    )
                )
            )
        return [key for key in wanted if key not in known]

    def save(self, vectors: Mapping[str, bytes], fingerprint: str) -> None:
        """Store embeddings; those that are there already stay."""
        new = self.missing(vectors, fingerprint)
        rows = [{"key": key, "fingerprint": fingerprint, "vector": vectors[key]} for key in new]
        if rows:
            self._session.execute(insert(EmbeddingRow), rows)

    def load(self, keys: Iterable[str], fingerprint: str) -> dict[str, bytes]:
        """Return key → float32 bytes for the keys that are there."""
        found: dict[str, bytes] = {}
        for part in _parts(list(dict.fromkeys(keys))):
            rows = self._session.execute(
                select(EmbeddingRow.key, EmbeddingRow.vector).where(
                    EmbeddingRow.fingerprint == fingerprint, EmbeddingRow.key.in_(part)
                )
            )
            found.update({key: vector for key, vector in rows})  # noqa: C416 - rows are no plain tuples
        return found

    def delete_unused(self, keys: Iterable[str]) -> None:
        """Remove those of the keys' embeddings whose text no chunk holds any more."""
        for part in _parts(list(dict.fromkeys(keys))):
            used = set(
                self._session.scalars(select(ChunkRow.embedding_key).where(ChunkRow.embedding_key.in_(part)))
            )
            unused = [key for key in part if key not in used]
            self._session.execute(delete(EmbeddingRow).where(EmbeddingRow.key.in_(unused)))


def _parts(keys: Sequence[str]) -> Iterable[list[str]]:
    return (list(keys[start : start + _KEYS_PER_QUERY]) for start in range(0, len(keys), _KEYS_PER_QUERY))
