"""Which embedder a collection has: that of its served snapshot, whatever the settings name for new ones."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path

import msgspec

from assistant.core.errors import IndexBroken
from assistant.core.home import Home
from assistant.core.settings import Settings
from indexing.embedding import Embedder, load_embedder
from indexing.snapshots import current_name, read_manifest, snapshot_folders


class Embedders:
    """Loads embedders by name, each once as long as somebody uses it. Safe to use from several threads.

    Args:
        settings: all settings; ``[embedder] model`` is that of collections without a snapshot.
        home: data folder.
    """

    def __init__(self, settings: Settings, home: Home) -> None:
        self._settings = settings
        self._home = home
        self._loading = threading.Lock()
        self._loaded: weakref.WeakValueDictionary[str, Embedder] = weakref.WeakValueDictionary()

    def get(self, name: str) -> Embedder:
        """Return an embedder by name.

        Raises:
            NotFoundError: there is no such model.
            ModelError: its folder is broken.
        """
        with self._loading:
            found = self._loaded.get(name)
            if found is None:
                own = msgspec.structs.replace(self._settings.embedder, model=name)
                found = load_embedder(msgspec.structs.replace(self._settings, embedder=own), self._home)
                self._loaded[name] = found
            return found

    def of(self, collection: str) -> Embedder:
        """Return the embedder of a collection; errors as in ``get``."""
        return self.get(embedder_name(self._home.collection(collection)) or self._settings.embedder.model)


def embedder_name(folder: Path) -> str | None:
    """Return the name of the embedder that a collection's snapshots were made by, None where there is none.

    The served one tells; where its manifest is damaged, the newest that can be read does.
    """
    served = current_name(folder)
    kept = sorted(snapshot_folders(folder), key=lambda path: (path.name == served, path.name), reverse=True)
    for snapshot in kept if served else ():
        try:
            return read_manifest(snapshot, folder.name).embedder
        except IndexBroken:
            continue
    return None
