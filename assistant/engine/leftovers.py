"""What is left of a server whose watcher was killed: found by a mark in its environment, and ended.

A process group does not tell: where the server was killed too, its number may belong to others by now, and
a child of SGLang (``sglang::detokenizer`` was seen) can outlive both. Every process that a server starts
inherits the mark, which names the data folder.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from pathlib import Path

import psutil

from assistant.core.errors import ResourceError

_LOG = logging.getLogger(__name__)
_MARK = "DESKMATE_ENGINE_OF"
_KILL_SECONDS = 5.0
_LOOK_SECONDS = 0.1


def mark(root: Path) -> dict[str, str]:
    """Return the variables with which a server of a folder is to be started."""
    # SGLang's processes name themselves, and setproctitle writes the name over the environment otherwise
    return {_MARK: _name(root), "SPT_NOENV": "1"}


def end_leftovers(root: Path, patience_seconds: float) -> int:
    """End all processes of a folder's server; to be called by who holds the right to watch.

    Args:
        root: the folder.
        patience_seconds: between asking and killing.

    Returns:
        How many there were.

    Raises:
        ResourceError: one cannot be ended.
    """
    name = _name(root)
    found = _leftovers(name)
    if found:
        _LOG.warning("ending %d processes of a server whose watcher was killed", len(found))
    left = found
    for end, seconds in ((psutil.Process.terminate, patience_seconds), (psutil.Process.kill, _KILL_SECONDS)):
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)
        left = _await_end(name, seconds) if left else []
    if left:
        raise ResourceError(f"processes of an earlier server do not end: {[one.pid for one in left]}")
    return len(found)


def _leftovers(name: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        # another user's processes are nobody's business, and those of a zombie have no environment
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(_MARK) == name:
                found.append(process)
    return found


def _await_end(name: str, seconds: float) -> list[psutil.Process]:
    until = time.monotonic() + seconds
    while (left := _leftovers(name)) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    return left


def _name(root: Path) -> str:
    return str(root.resolve())
