"""Which snapshot a query sees: the served one, switched under live queries without stopping any."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from assistant.core.errors import DeskmateError
from indexing.embedders import Embedders
from indexing.embedding import Embedder
from indexing.opening import OpenSnapshot, open_snapshot
from indexing.snapshots import current_name, open_current, open_named
from indexing.tombstones import removed_stamp

# the query that sees a new snapshot first waits so long for it; all others go on with the one before
_PATIENCE_SECONDS = 0.25
_LOG = logging.getLogger(__name__)


class PinnedSnapshot:
    """Gives each query the same snapshot, whatever is published; removed documents are gone all the same.

    Args:
        folder: of the collection.
        embedder: that the queries are embedded with.
        name: of the snapshot.
        embedders: give the snapshot's own embedder where it is another one.

    Raises:
        IndexBroken: it is not kept, damaged or made by another embedder.
    """

    def __init__(
        self, folder: Path, embedder: Embedder, name: str, embedders: Embedders | None = None
    ) -> None:
        self._folder = folder
        self._changing = threading.Lock()
        self._snapshot = OpenSnapshot(folder, embedder, name=name, embedders=embedders)

    def current(self) -> OpenSnapshot:
        """Return the snapshot without what was removed since.

        Raises:
            IndexBroken: it was dropped meanwhile: what was removed since cannot be told any more.
        """
        with self._changing:
            if removed_stamp(self._folder) != self._snapshot.removed_stamp:
                held = self._snapshot.without_removed(self._folder)
                open_named(self._folder, held.name)  # looked at last: numbers are forgotten after snapshots
                self._snapshot = held
            return self._snapshot


class ServedSnapshot:
    """Gives each query the snapshot to search. Safe to use from several threads.

    A snapshot that was switched to is opened aside; where it is damaged, the one before is served on as long
    as it is kept on disk, and the log says so. Removed documents are gone from the next query on.

    Args:
        folder: of the collection.
        embedder: that the queries are embedded with.
        embedders: give the embedder of a snapshot that another one made.

    Raises:
        NotFoundError: the collection has no snapshot.
        IndexBroken: it is damaged or made by another embedder.
    """

    def __init__(self, folder: Path, embedder: Embedder, embedders: Embedders | None = None) -> None:
        self._folder = folder
        self._embedders = embedders
        self._opening = threading.Lock()
        self._changing = threading.Lock()
        self._refused = ""
        self._snapshot = open_snapshot(folder, embedder, embedders=embedders)

    def current(self) -> OpenSnapshot:
        """Return the snapshot to search now.

        Raises:
            NotFoundError: the collection is gone.
            IndexBroken: the served snapshot is damaged, and the one before is no longer kept.
        """
        name = current_name(self._folder)
        if name is None:
            open_current(self._folder)
        is_known = name in {self._snapshot.name, self._refused}
        if not is_known and self._opening.acquire(blocking=False):
            opening = threading.Thread(target=self._open, args=(name,), daemon=True)
            opening.start()
            opening.join(_PATIENCE_SECONDS)
        while (held := self._without_removed()) is None:
            self._wait_for_served()
        return held

    def _open(self, name: str) -> None:
        try:
            snapshot = self._opened()
            with self._changing:
                self._snapshot = snapshot
        except DeskmateError as error:
            self._refused = name
            _LOG.error("snapshot %s is served on: %s", self._snapshot.name, error)
        finally:
            self._opening.release()

    def _opened(self) -> OpenSnapshot:
        held = self._snapshot
        return open_snapshot(self._folder, held.embedder, held, self._embedders)

    def _wait_for_served(self) -> None:
        with self._opening:
            if not self._is_kept(self._snapshot):
                snapshot = self._opened()
                with self._changing:
                    self._snapshot = snapshot

    def _without_removed(self) -> OpenSnapshot | None:
        """Leave out what was removed since the snapshot was opened; numbers that are out stay out.

        None where that is not known: the list speaks of kept snapshots only.
        """
        held = self._snapshot
        if removed_stamp(self._folder) == held.removed_stamp:
            return held
        with self._changing:
            held = self._snapshot
            if removed_stamp(self._folder) != held.removed_stamp:
                held = held.without_removed(self._folder)
                if not self._is_kept(held):  # looked at last: snapshots go before their numbers are forgotten
                    return None
                self._snapshot = held
            return held

    def _is_kept(self, snapshot: OpenSnapshot) -> bool:
        return (self._folder / "snapshots" / snapshot.name).exists()
