"""Opens what an answer needs from the data folder: one engine and one embedder for all collections."""

from __future__ import annotations

import threading
from functools import cached_property

from assistant.answering.pipeline import Pipeline
from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.engine.protocol import Engine
from assistant.engine.registry import load_engine
from assistant.store.adapters import Adapter, Adapters
from assistant.store.database import Database
from indexing.embedding import Embedder, load_embedder
from indexing.search import Searcher


class Resources:
    """Database, embedder and engine, each opened when it is first used and shared by all collections.

    Args:
        home: the data folder.
        settings: all settings.
    """

    def __init__(self, home: Home, settings: Settings) -> None:
        self.home = home
        self.settings = settings
        self._opening = threading.RLock()

    @cached_property
    def database(self) -> Database:
        """The rows."""
        return Database(self.home.make().database_url)

    @cached_property
    def embedder(self) -> Embedder:
        """What makes embeddings."""
        with self._opening:
            return load_embedder(self.settings, self.home)

    @cached_property
    def engine(self) -> Engine:
        """What generates text."""
        with self._opening:
            return load_engine(self.settings, self.home)

    def searcher(self, collection: str) -> Searcher:
        """Open a collection's index.

        Raises:
            NotFoundError: it has none.
            IndexBroken: it is damaged or of another embedder.
        """
        return Searcher.open(collection, self.home, self.settings, self.embedder)

    def active_adapter(self, collection: str) -> Adapter | None:
        """Return the served adapter of a collection, None if there is none."""
        with self.database.read() as session:
            return Adapters(session).active(collection)

    def pipeline(self, collection: str, *, needs_index: bool = True) -> Pipeline:
        """Open a collection's pipeline: its index, the engine, and its adapter where one is served.

        Raises:
            NotFoundError: the collection has no index and ``needs_index``.
            ModelError: the base model or the adapter cannot be loaded.
        """
        searcher = self.searcher(collection) if needs_index else None
        adapter = self.active_adapter(collection)
        with self._opening:
            engine = self.engine
            if adapter is not None:
                engine.load_adapter(adapter.name, adapter.folder)
        return Pipeline(
            engine=engine,
            searcher=searcher,
            settings=self.settings,
            adapter=adapter.name if adapter is not None else None,
        )

    def close(self) -> None:
        """Close what was opened."""
        if "engine" in self.__dict__:
            self.engine.close()
        if "database" in self.__dict__:
            self.database.close()


def open_pipeline(collection: str, home: Home, settings: Settings) -> Pipeline:
    """Open one collection's pipeline with resources of its own; errors as in ``Resources.pipeline``."""
    return Resources(home, settings).pipeline(collection)
