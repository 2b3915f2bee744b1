"""Numbers of removed documents' chunks: no snapshot of the collection returns them, whichever is served.

Chunk numbers are never reused, so one set beside the snapshots serves them all. Removing a document writes
this one small file; what it hides leaves the disk with the snapshots that hold it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from assistant.core.errors import IndexBroken

Numbers = npt.NDArray[np.int64]
Stamp = tuple[int, int, int]

_FILE = "removed"
_DIGEST_BYTES = 32


def removed_stamp(folder: Path) -> Stamp | None:
    """Return what changes with every change of a collection's tombstones, None where there are none."""
    try:
        status = (folder / _FILE).stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def read_removed(folder: Path) -> Numbers:
    """Return the numbers of a collection's removed chunks, ascending.

    Raises:
        IndexBroken: the file is damaged; without it removed documents would come back.
    """
    file = folder / _FILE
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return np.zeros(0, np.int64)
    digest, body = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise IndexBroken(
            f"{file} is damaged: it names what was removed",
            next_command=f"deskmate index rebuild --collection {folder.name}",
        )
    return np.frombuffer(body, "<i8").astype(np.int64)


def write_removed(folder: Path, numbers: Numbers) -> None:
    """Write a collection's tombstones; they hold once this returns, even if the power fails then."""
    body = np.unique(numbers).astype("<i8").tobytes()
    file, aside = folder / _FILE, folder / f".{_FILE}.{os.getpid()}.tmp"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with aside.open("wb") as written:
            written.write(hashlib.sha256(body).digest() + body)
            written.flush()
            os.fsync(written.fileno())
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
    sync_path(folder)


def difference(left: Numbers, right: Numbers) -> Numbers:
    """Return the numbers of ``left`` that ``right`` does not hold, in order; each holds none twice."""
    return np.setdiff1d(left, right, assume_unique=True)


def sync_path(path: Path) -> None:
    """Write a file's or folder's pending changes to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
