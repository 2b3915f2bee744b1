"""Pipelines from the data folder."""

import threading

from assistant.answering.opening import Resources
from assistant.answering.pipeline import Pipeline
from assistant.core.errors import EngineUnavailable
from assistant.core.home import Home
from assistant.core.records import Arm, Chunk
from assistant.core.settings import Settings
from assistant.store.adapters import Adapters
from assistant.store.chunks import Chunks
from assistant.store.documents import Documents


class HomePipelines:
    """Opens what the data folder holds; one engine for all collections.

    Args:
        home: the data folder.
        settings: all settings.
    """

    def __init__(self, home: Home, settings: Settings) -> None:
        self._resources = Resources(home, settings)
        self._closed = threading.Event()

    def collections(self) -> tuple[str, ...]:
        """Return the names of all collections."""
        with self._resources.database.read() as session:
            return tuple(collection.name for collection in Documents(session).collections())

    def arms(self, collection: str) -> tuple[Arm, ...]:
        """Return the arms of a collection: those with an adapter only where one is served."""
        with self._resources.database.read() as session:
            has_adapter = Adapters(session).active(collection) is not None
        return ("base", "rag", "ft", "rag+ft") if has_adapter else ("base", "rag")

    def open(self, collection: str) -> Pipeline:
        """Open a collection's index, the engine and the collection's adapter."""
        pipeline = self._resources.pipeline(collection)
        if self._closed.is_set():
            # the service stopped while a model was being read: nobody else closes it now
            self._resources.close()
            raise EngineUnavailable("the service stops")
        return pipeline

    def chunk(self, chunk_id: str) -> Chunk | None:
        """Return a chunk of a document that was not deleted."""
        with self._resources.database.read() as session:
            return Chunks(session).find(chunk_id)

    def close(self) -> None:
        """Stop the engine and close the database."""
        self._closed.set()
        self._resources.close()
