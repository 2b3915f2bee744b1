"""Which workers live: each holds a lock on a file of its own, which the system frees however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from assistant.core.ids import random_id

Life = Literal["alive", "dead", "unknown"]
_PREFIX = "worker"


class Presence:
    """The workers that share a data folder.

    Args:
        folder: of their lock files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def enter(self) -> Iterator[str]:
        """Give the name of a new worker, alive until the end of the block or of the process."""
        name = random_id(_PREFIX)
        self._folder.mkdir(parents=True, exist_ok=True)
        path, aside = self._folder / name, self._folder / f".{name}"
        with aside.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(f"{os.getpid()}\n")
            file.flush()
            aside.rename(path)  # nobody sees the file without its lock
            try:
                yield name
            finally:
                path.unlink(missing_ok=True)

    def life(self, name: str) -> Life:
        """Tell whether a worker lives; ``unknown`` for one that does not share the folder."""
        try:
            with (self._folder / name).open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return "unknown"
        except BlockingIOError:
            return "alive"
        return "dead"

    def forget_dead(self) -> None:
        """Remove the files of the workers that are dead."""
        for name in self._names():
            if self.life(name) == "dead":
                (self._folder / name).unlink(missing_ok=True)

    def has_worker(self) -> bool:
        """Tell whether any worker lives that shares the folder."""
        return any(self.life(name) == "alive" for name in self._names())

    def _names(self) -> list[str]:
        return [path.name for path in self._folder.glob(f"{_PREFIX}-*")]
