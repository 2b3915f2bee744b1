"""Opens what an answer needs from the data folder: one engine and one embedder for all collections."""

from __future__ import annotations

import logging
import threading
from functools import cached_property

from assistant.answering.calibrations import calibrated_settings
from assistant.answering.curated import CuratedAnswers
from assistant.answering.curated_source import CollectionCurated
from assistant.answering.pipeline import Pipeline
from assistant.answering.releases import check_release, release_settings
from assistant.core.errors import EngineUnavailable, ModelError
from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.engine.protocol import Engine
from assistant.engine.registry import load_engine
from assistant.store.adapters import Adapter, Adapters
from assistant.store.candidates import read_candidate
from assistant.store.database import Database
from assistant.store.releases import Release, Releases
from assistant.store.splits import Split
from indexing.embedders import Embedders
from indexing.embedding import Embedder
from indexing.search import Searcher
from indexing.snapshots import open_current

_LOG = logging.getLogger(__name__)


class Resources:
    """Database, embedder and engine, each opened when it is first used and shared by all collections.

    Args:
        home: the data folder.
        settings: all settings.
        engine: that generates; the one that the settings name if absent.
        asks_canaries: let an adapter that the engine has just loaded into this process prove itself; takes
            seconds, which a command that asks one question does not have.
    """

    def __init__(
        self, home: Home, settings: Settings, engine: Engine | None = None, *, asks_canaries: bool = False
    ) -> None:
        self.home = home
        self.settings = settings
        self._given_engine = engine
        self._asks_canaries = asks_canaries
        self._loaded: set[str] = set()
        self._proven: set[str] = set()
        self._opening = threading.RLock()
        self._embedders = Embedders(settings, home)

    @cached_property
    def database(self) -> Database:
        """The rows."""
        return Database(self.home.make().database_url)

    @cached_property
    def embedder(self) -> Embedder:
        """What makes embeddings for new collections."""
        return self._embedders.get(self.settings.embedder.model)

    @cached_property
    def engine(self) -> Engine:
        """What generates text."""
        with self._opening:
            return self._given_engine or load_engine(self.settings, self.home)

    @cached_property
    def curated(self) -> CuratedAnswers:
        """The answers that people wrote, of all collections."""
        return CuratedAnswers(self.database, self.settings.curated)

    def searcher(self, collection: str) -> Searcher:
        """Open a collection's index.

        Raises:
            NotFoundError: it has none.
            IndexBroken: it is damaged or its embedder is another one now.
        """
        open_current(self.home.collection(collection))  # says that there is no index before a model is loaded
        embedder = self._embedders.of(collection)
        return Searcher.open(collection, self.home, self.settings, embedder, embedders=self._embedders)

    def active_adapter(self, collection: str) -> Adapter | None:
        """Return the served adapter of a collection, None if there is none."""
        with self.database.read() as session:
            return Adapters(session).active(collection)

    def candidate_adapter(self, collection: str) -> Adapter | None:
        """Return the adapter trained last for a collection, served or not; the served one where none was."""
        name = read_candidate(self.home.collection(collection))
        with self.database.read() as session:
            adapters = Adapters(session)
            return (adapters.find(name) if name else None) or adapters.active(collection)

    def stamp(self, collection: str) -> str:
        """Return what tells whether a collection's pipeline is still the one to serve."""
        with self.database.read() as session:
            release = Releases(session).active(collection)
            if release is not None:
                split = Releases(session).split(collection)
                return f"{release.id} {split.challenger} {split.weight}" if split else release.id
            adapter = Adapters(session).active(collection)
            return adapter.name if adapter else ""

    def pipeline(self, collection: str, *, needs_index: bool = True, release: str | None = None) -> Pipeline:
        """Open a collection's pipeline: its served release, else its index and its adapter as they are now.

        Args:
            collection: name.
            needs_index: False where only arms without documents are asked.
            release: id of another release than the served one.

        Raises:
            NotFoundError: the collection has no index and ``needs_index``, or no such release.
            InputError: the release cannot be served as it was made.
            ModelError: the base model or the adapter cannot be loaded.
        """
        with self.database.read() as session:
            releases = Releases(session)
            found = releases.find(release, collection) if release else releases.active(collection)
        if found:
            opened = self.released(found)
        else:
            opened = self._open(collection, self.active_adapter(collection), needs_index=needs_index)
        if isinstance(opened.searcher, Searcher):
            opened.curated = CollectionCurated(self.curated, collection, opened.searcher)
        return opened

    def split(self, collection: str) -> tuple[Split, Pipeline] | None:
        """Return a collection's A/B and its challenger opened, None where there is none; errors as above."""
        with self.database.read() as session:
            split = Releases(session).split(collection)
        return (split, self.pipeline(collection, release=split.challenger)) if split else None

    def candidate(self, collection: str, *, needs_index: bool = True, is_calibrated: bool = True) -> Pipeline:
        """Open what the next release would be made of: newest snapshot and adapter, whatever is served.

        Without ``is_calibrated`` no answer is held back for being unsure.

        Raises:
            NotFoundError: the collection has no index and ``needs_index``.
            ModelError: the base model or the adapter cannot be loaded.
        """
        adapter = self.candidate_adapter(collection)
        return self._open(collection, adapter, needs_index=needs_index, is_calibrated=is_calibrated)

    def _open(
        self, collection: str, adapter: Adapter | None, *, needs_index: bool, is_calibrated: bool = True
    ) -> Pipeline:
        searcher = self.searcher(collection) if needs_index else None
        settings = self.settings
        if is_calibrated:
            folder = self.home.collection(collection)
            settings = calibrated_settings(folder, settings, adapter.name if adapter else None)
        return Pipeline(
            engine=self._engine_with(adapter),
            searcher=searcher,
            settings=settings,
            adapter=adapter.name if adapter is not None else None,
        )

    def released(self, release: Release) -> Pipeline:
        """Open a release; errors as in ``pipeline``."""
        settings, searcher, adapter = self._parts(release)
        return Pipeline(
            engine=self._engine_with(adapter),
            searcher=searcher,
            settings=settings,
            adapter=release.content.adapter,
            release=release.id,
        )

    def check(self, release: Release) -> None:
        """Hold a release to all that it is served from but the weights; errors as in ``pipeline``."""
        self._parts(release)

    def _parts(self, release: Release) -> tuple[Settings, Searcher, Adapter | None]:
        content = release.content
        with self.database.read() as session:
            adapter = Adapters(session).find(content.adapter) if content.adapter else None
        check_release(release, self.home.collection(content.collection), adapter)
        settings = release_settings(self.settings, content)
        searcher = Searcher.open(content.collection, self.home, settings, self.embedder, content.snapshot)
        return settings, searcher, adapter

    def _engine_with(self, adapter: Adapter | None) -> Engine:
        with self._opening:
            engine = self.engine
            if adapter is not None:
                try:
                    engine.load_adapter(adapter.name, adapter.folder)
                    self._loaded.add(adapter.name)
                    self._prove(engine, adapter.name)
                except EngineUnavailable as error:
                    # it is asked for again with the first question that the engine can answer
                    _LOG.warning("adapter %s is loaded later: %s", adapter.name, error)
        return engine

    def _prove(self, engine: Engine, name: str) -> None:
        """Ask an adapter its canary once; an SGLang server's client does so itself with every load."""
        if not self._asks_canaries or self.settings.engine.kind != "local" or name in self._proven:
            return
        try:
            engine.prove_adapter(name)
        except ModelError:
            engine.unload_adapter(name)
            raise
        self._proven.add(name)

    def drop_revoked(self) -> None:
        """Let the engine forget the adapters that were loaded from here and are no longer registered."""
        if "engine" not in self.__dict__ or not self._loaded:
            return
        with self.database.read() as session:
            gone = {name for name in self._loaded if Adapters(session).find(name) is None}
        for name in gone:
            _LOG.warning("adapter %s was revoked", name)
            with self._opening:
                self.engine.unload_adapter(name)
                self._loaded.discard(name)
                self._proven.discard(name)

    def close(self) -> None:
        """Close what was opened."""
        if "engine" in self.__dict__:
            self.engine.close()
        if "database" in self.__dict__:
            self.database.close()


def open_pipeline(collection: str, home: Home, settings: Settings) -> Pipeline:
    """Open one collection's pipeline with resources of its own; errors as in ``Resources.pipeline``."""
    return Resources(home, settings).pipeline(collection)
