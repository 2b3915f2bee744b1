"""Pipelines from the data folder."""

import threading
from collections.abc import Sequence

from assistant.answering.opening import Resources
from assistant.answering.pipeline import Pipeline
from assistant.core.access import Caller
from assistant.core.errors import EngineUnavailable
from assistant.core.home import Home
from assistant.core.records import Arm
from assistant.core.settings import Settings
from assistant.engine.protocol import Engine
from assistant.service.access import readable
from assistant.service.wiring import TUNED, UNTUNED, Embedded
from assistant.store.adapters import Adapters
from assistant.store.documents import Documents
from assistant.store.reading import FoundChunk, Reading
from assistant.store.releases import Releases
from assistant.store.splits import Split


class HomePipelines:
    """Opens what the data folder holds; one engine for all collections.

    Args:
        home: the data folder.
        settings: all settings.
        engine: that generates; the one that the settings name if absent.
    """

    def __init__(self, home: Home, settings: Settings, engine: Engine | None = None) -> None:
        self._resources = Resources(home, settings, engine, asks_canaries=True)
        self._closed = threading.Event()

    def collections(self) -> tuple[str, ...]:
        """Return the names of all collections."""
        with self._resources.database.read() as session:
            return tuple(collection.name for collection in Documents(session).collections())

    def arms(self) -> dict[str, tuple[Arm, ...]]:
        """Return each collection's arms: those with an adapter only where one is served."""
        with self._resources.database.read() as session:
            names = [collection.name for collection in Documents(session).collections()]
            adapters = Adapters(session).served() | Releases(session).adapters()
        return {name: TUNED if adapters.get(name) is not None else UNTUNED for name in names}

    def open(self, collection: str) -> Pipeline:
        """Open a collection's index, the engine and the collection's adapter."""
        return self._ready(self._resources.pipeline(collection))

    def open_release(self, collection: str, release: str) -> Pipeline:
        """Open another release of a collection than the served one."""
        return self._ready(self._resources.pipeline(collection, release=release))

    def _ready(self, pipeline: Pipeline) -> Pipeline:
        if self._closed.is_set():
            # the service stopped while a model was being read: nobody else closes it now
            self._resources.close()
            raise EngineUnavailable("the service stops")
        if pipeline.searcher is not None:  # dictionary and embedder are read now, not by the first questions
            pipeline.searcher.search("warm up 预热")
        return pipeline

    def split(self, collection: str) -> tuple[Split, Pipeline] | None:
        """Return the collection's A/B and its challenger opened, None where there is none."""
        return self._resources.split(collection)

    def tidy(self) -> None:
        """Let the engine forget adapters that were revoked."""
        self._resources.drop_revoked()

    def stamp(self, collection: str) -> str:
        """Return what tells the served release, its A/B, or without one the served adapter."""
        return self._resources.stamp(collection)

    def embed(self, texts: Sequence[str], *, are_queries: bool) -> Embedded:
        """Embed texts with the embedder of the collections."""
        embedder = self._resources.embedder
        vectors = embedder.embed_queries(texts) if are_queries else embedder.embed_passages(texts)
        tokens = [min(len(embedder.tokenizer.encode(text).ids), embedder.max_tokens) for text in texts]
        return Embedded(
            model=embedder.name,
            vectors=tuple(tuple(float(value) for value in vector) for vector in vectors),
            token_count=sum(tokens),
        )

    def chunk(self, chunk_id: str, caller: Caller) -> FoundChunk | None:
        """Return a chunk of a document that was not deleted and that the caller may read."""
        with self._resources.database.read() as session:
            found = Reading(session).chunks(chunk_id)
        may = (row for row in found if caller.reads(row.collection) and readable(caller, row.metadata))
        return next(may, None)

    def close(self) -> None:
        """Stop the engine and close the database."""
        self._closed.set()
        self._resources.close()
