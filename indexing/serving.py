"""Which snapshot a query sees: the served one, switched under live queries without stopping any."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from assistant.core.errors import DeskmateError
from indexing.embedding import Embedder
from indexing.opening import OpenSnapshot, open_snapshot
from indexing.snapshots import current_name, open_current
from indexing.tombstones import removed_stamp

# the query that sees a new snapshot first waits so long for it; all others go on with the one before
_PATIENCE_SECONDS = 0.25
_LOG = logging.getLogger(__name__)


class ServedSnapshot:
    """Gives each query the snapshot to search. Safe to use from several threads.

    A snapshot that was switched to is opened aside; where it is damaged, the one before is served on and
    the log says so. Removed documents are gone from the next query on.

    Args:
        folder: of the collection.
        embedder: that the queries are embedded with.

    Raises:
        NotFoundError: the collection has no snapshot.
        IndexBroken: it is damaged or made by another embedder.
    """

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        self._folder = folder
        self._embedder = embedder
        self._opening = threading.Lock()
        self._changing = threading.Lock()
        self._refused = ""
        self._snapshot = open_snapshot(folder, embedder)

    def current(self) -> OpenSnapshot:
        """Return the snapshot to search now.

        Raises:
            NotFoundError: the collection is gone.
        """
        name = current_name(self._folder)
        if name is None:
            open_current(self._folder)
        is_known = name in {self._snapshot.name, self._refused}
        if not is_known and self._opening.acquire(blocking=False):
            opening = threading.Thread(target=self._open, args=(name,), daemon=True)
            opening.start()
            opening.join(_PATIENCE_SECONDS)
        return self._without_removed()

    def _open(self, name: str) -> None:
        try:
            snapshot = open_snapshot(self._folder, self._embedder, self._snapshot)
            with self._changing:
                self._snapshot = snapshot
        except DeskmateError as error:
            self._refused = name
            _LOG.error("snapshot %s is served on: %s", self._snapshot.name, error)
        finally:
            self._opening.release()

    def _without_removed(self) -> OpenSnapshot:
        """Leave out what was removed since the snapshot was opened; numbers that are out stay out."""
        if removed_stamp(self._folder) == self._snapshot.removed_stamp:
            return self._snapshot
        with self._changing:
            if removed_stamp(self._folder) != self._snapshot.removed_stamp:
                self._snapshot = self._snapshot.without_removed(self._folder)
            return self._snapshot
