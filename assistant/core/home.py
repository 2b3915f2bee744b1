"""Where everything lies: one folder, ``DESKMATE_HOME`` or the platform's user data folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

import platformdirs

from assistant.core.errors import InputError, ResourceError

_NAME = re.compile(r"[\w][\w.-]{0,63}")


class Home:
    """The data folder's layout.

    ``models/NAME/`` weights · ``deskmate.sqlite3`` rows · ``collections/NAME/`` with ``snapshots/``
    and ``datasets/`` · ``adapters/NAME/`` · ``runs/KIND-…/`` ·
    ``workers/`` locks of the running workers.
    """

    def __init__(self, root: Path, database_url: str | None = None) -> None:
        self.root = root
        self._database_url = database_url

    @classmethod
    def from_environment(cls) -> Home:
        """Return the home that ``DESKMATE_HOME`` names, else the platform's.

        ``DESKMATE_DATABASE_URL`` names another database than the one in it.
        """
        named = os.environ.get("DESKMATE_HOME")
        root = Path(named).expanduser().resolve() if named else platformdirs.user_data_path("deskmate")
        return cls(root, os.environ.get("DESKMATE_DATABASE_URL") or None)

    def make(self) -> Home:
        """Create the folder.

        Raises:
            ResourceError: it cannot be created or written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ResourceError(f"data folder {self.root} cannot be made: {error.strerror}") from error
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise ResourceError(f"data folder {self.root} cannot be written")
        return self

    @property
    def models(self) -> Path:
        """Folder of prepared models."""
        return self.root / "models"

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the database."""
        return self._database_url or f"sqlite:///{self.root / 'deskmate.sqlite3'}"

    @property
    def adapters(self) -> Path:
        """Folder of adapters."""
        return self.root / "adapters"

    @property
    def runs(self) -> Path:
        """Folder of runs."""
        return self.root / "runs"

    @property
    def workers(self) -> Path:
        """Folder of the workers' locks."""
        return self.root / "workers"

    def collection(self, name: str) -> Path:
        """Return the folder of a collection.

        Raises:
            InputError: the name could leave the folder or is no name.
        """
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r} is no collection name: letters, digits, '.', '_' and '-', 64 at most")
        return self.root / "collections" / name
