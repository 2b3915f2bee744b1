"""From a query to passages: a dense, a lexical and an exact-code lane over one snapshot, fused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from assistant.core.errors import InputError
from assistant.core.home import Home
from assistant.core.records import Filters, Message, Metadata, Neighbours, Passage, Record
from assistant.core.settings import SearchSettings, Settings
from indexing.codes import UnknownCode
from indexing.corpus import Corpus
from indexing.embedders import Embedders
from indexing.embedding import Embedder
from indexing.evidence import measure_evidence
from indexing.filters import DocumentFilter
from indexing.glossary import ServedGlossary
from indexing.opening import OpenSnapshot
from indexing.queries import QueryReader
from indexing.ranking import rank
from indexing.serving import PinnedSnapshot, ServedSnapshot
from indexing.tuning import tuned_settings

_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd\ud800-\udfff]")
_CONTEXT_CHARACTERS = 500


class SearchStats(Record, frozen=True, kw_only=True):
    """What is searched.

    Attributes:
        collection: name.
        snapshot: name of the served snapshot.
        document_count: documents.
        chunk_count: chunks.
        code_count: distinct fault codes, part and model numbers.
        embedder: name of the embedder.
        created: when the snapshot was written, ISO 8601 in UTC.
    """

    collection: str
    snapshot: str
    document_count: int
    chunk_count: int
    code_count: int
    embedder: str
    created: str


class _Way(msgspec.Struct, frozen=True, kw_only=True):
    """How snapshots of one embedder are searched."""

    embedder: Embedder
    reader: QueryReader
    settings: SearchSettings


class Searcher:
    """Searches one collection. Safe to use from several threads.

    A snapshot that was switched to since is picked up by the next query; queries under way finish on the
    one that they began with. Queries are embedded by what made the snapshot that they search.

    Args:
        folder: of the collection.
        settings: all settings.
        embedder: of the snapshot.
        snapshot: name of another one than the served one.
        embedders: give the embedder of a snapshot that another one made; without them it is refused.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        embedder: Embedder,
        snapshot: str | None = None,
        embedders: Embedders | None = None,
    ) -> None:
        self._folder = folder
        self._untuned = settings.search
        self._is_tuned = snapshot is None
        self._longest = settings.answer.max_question_characters
        self._glossary = ServedGlossary(folder)
        self._served: ServedSnapshot | PinnedSnapshot = (
            PinnedSnapshot(folder, embedder, snapshot, embedders)
            if snapshot
            else ServedSnapshot(folder, embedder, embedders)
        )
        self._filter = DocumentFilter()
        self._way = self._way_of(self._current())

    @classmethod
    def open(
        cls,
        collection: str,
        home: Home,
        settings: Settings,
        embedder: Embedder,
        snapshot: str | None = None,
        embedders: Embedders | None = None,
    ) -> Searcher:
        """Open the served snapshot of a collection, or a named one with the settings as they are.

        One that another embedder made is searched with that one.

        Raises:
            NotFoundError: there is none.
            IndexBroken: it is damaged or its embedder is no longer the one that made it.
        """
        return cls(
            home.collection(collection), settings, embedder, snapshot, embedders or Embedders(settings, home)
        )

    @property
    def embedder(self) -> Embedder:
        """What embeds queries now: what made the served snapshot."""
        return self._current().embedder

    @property
    def corpus(self) -> Corpus:
        """The chunks of the served snapshot."""
        return self._current().corpus

    def metadata(self) -> dict[str, Metadata]:
        """Return the metadata of each document of the served snapshot."""
        return {name: entry.metadata for name, entry in self._current().contents.items()}

    def stats(self) -> SearchStats:
        """Return what is searched."""
        snapshot = self._current()
        manifest = snapshot.manifest
        return SearchStats(
            collection=manifest.collection,
            snapshot=snapshot.name,
            document_count=len(snapshot.corpus.documents),
            chunk_count=len(snapshot.corpus),
            code_count=len(snapshot.codes.entries),
            embedder=manifest.embedder,
            created=manifest.created,
        )

    def search(
        self, query: str, top_k: int | None = None, filters: Filters | None = None
    ) -> tuple[Passage, ...]:
        """Return the best passages for a query, best first.

        Args:
            query: what to look for.
            top_k: most passages, ``[search] top_k`` where None.
            filters: key → accepted values; only documents whose metadata passes are searched, in every lane.

        Raises:
            InputError: the query is empty, too long or no text, or a filter's key is unknown.
        """
        return self.search_many([query], top_k, filters)[0]

    def search_many(
        self, queries: Sequence[str], top_k: int | None = None, filters: Filters | None = None
    ) -> list[tuple[Passage, ...]]:
        """Return the best passages for each query; the queries are embedded together.

        Raises:
            InputError: a query is empty, too long or no text, or a filter's key is unknown.
        """
        for query in queries:
            check_query(query, self._longest)
        snapshot = self._current()
        allowed = self._filter.allowed(snapshot, filters)
        way = self._way
        if way.embedder is not snapshot.embedder:
            way = self._way = self._way_of(snapshot)
        read = way.reader.read(queries, snapshot.manifest.background, self._glossary.terms)
        aims = np.array([query.aim for query in read], np.float32)
        dense = snapshot.vectors.search(aims, way.settings.pool, allowed)
        ranked = [
            rank(snapshot, query, lane, way.settings, top_k or way.settings.top_k, allowed)
            for query, lane in zip(read, dense, strict=True)
        ]
        return [tuple(_described(passage, snapshot) for passage in passages) for passages in ranked]

    def neighbours(self, passage: Passage, count: int, filters: Filters | None = None) -> Neighbours:
        """Return up to ``count`` chunks before and after a passage, of the version that it was found in.

        There are none where its document was removed or replaced since, or passes the filters no more.

        Raises:
            InputError: a filter's key is unknown.
        """
        snapshot = self._current()
        return snapshot.corpus.around(passage.chunk, count, self._filter.allowed(snapshot, filters))

    def evidence(self, query: str, passages: Sequence[Passage]) -> float:
        """Return from 0 to 1 how well the passages cover a query; low where the documents do not."""
        snapshot = self._current()
        backgrounds = snapshot.manifest.background
        return measure_evidence(query, passages, snapshot.lexical.rarity, backgrounds)

    def unknown_codes(self, question: str, filters: Filters | None = None) -> tuple[UnknownCode, ...]:
        """Return the question's fault codes that the collection does not know, with the nearest it does.

        Only what passes the filters is known, and named as nearest.

        Raises:
            InputError: a filter's key is unknown.
        """
        snapshot = self._current()
        allowed = self._filter.allowed(snapshot, filters)
        codes = snapshot.codes if allowed is None else snapshot.codes.only(allowed)
        return codes.unknown(question)

    def _way_of(self, snapshot: OpenSnapshot) -> _Way:
        settings = self._untuned
        if self._is_tuned:
            settings = tuned_settings(self._folder, settings, snapshot.embedder.fingerprint)
        return _Way(embedder=snapshot.embedder, reader=QueryReader(snapshot.embedder), settings=settings)

    def _current(self) -> OpenSnapshot:
        return self._served.current()


def _described(passage: Passage, snapshot: OpenSnapshot) -> Passage:
    entry = snapshot.contents.get(passage.chunk.document)
    return msgspec.structs.replace(passage, metadata=entry.metadata) if entry else passage


def check_query(query: str, longest: int) -> None:
    """Refuse what cannot be searched for.

    Raises:
        InputError: the query is empty, too long or no text.
    """
    if not query.strip():
        raise InputError("the question is empty")
    if len(query) > longest:
        raise InputError(
            f"the question has {len(query)} characters, at most {longest} are taken "
            "([answer] max_question_characters)"
        )
    if _NO_TEXT.search(query):
        raise InputError("the question is not text: it holds control characters or broken ones")


def query_in_context(question: str, history: Sequence[Message]) -> str:
    """Return what to search for when a question comes after earlier turns: it and the one before.

    Measured on multi-turn support questions: hit@1 .87 instead of .84; all earlier turns together are
    worse than none.
    """
    before = [turn.content[:_CONTEXT_CHARACTERS] for turn in history if turn.role == "user"]
    return "\n".join([*before[-1:], question])
