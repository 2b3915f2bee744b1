"""Snapshots on disk: written aside, verified by their manifest, switched in one step.

``collections/NAME/snapshots/NNNNNN/`` holds one immutable state, ``collections/NAME/current`` names the
served one. Whatever moment the power fails, ``current`` names a whole snapshot or there is none yet.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from assistant.core.errors import IndexBroken, NotFoundError, ResourceError
from assistant.core.ids import file_sha256
from assistant.core.jsonl import write_json
from assistant.core.records import Record

FORMAT = 1
MANIFEST = "manifest.json"
VECTORS_FILE = "vectors.faiss"
LEXICAL_FOLDER = "lexical"
_CURRENT = "current"
_FREE_BYTES = 64 << 20
_UNFINISHED = ".unfinished-"


class Background(Record, frozen=True, kw_only=True):
    """Cosines between random chunks of one language: what the embedder says of texts that share a manual.

    It makes cosines comparable: with multilingual-e5-small unrelated English chunks have .84, Chinese .88.

    Attributes:
        mean: of the cosines.
        spread: their standard deviation.
    """

    mean: float
    spread: float


class Manifest(Record, frozen=True, kw_only=True):
    """What a snapshot was made from.

    Attributes:
        format: of the snapshot's files.
        collection: name.
        generation: of the collection's rows; the database is ahead where it has a higher one.
        embedder: name of the embedder.
        fingerprint: of the embedder.
        dimension: of its vectors.
        is_normalised: the vectors have length 1.
        chunk_count: chunks in it.
        document_count: documents in it.
        background: language → cosines between unrelated chunks.
        files: path within the folder → SHA-256.
        created: when, ISO 8601 in UTC.
    """

    collection: str
    generation: int
    embedder: str
    fingerprint: str
    dimension: int
    chunk_count: int
    document_count: int
    background: dict[str, Background]
    format: int = FORMAT
    is_normalised: bool = True
    files: dict[str, str] = msgspec.field(default_factory=dict)
    created: str = ""


def rebuild_command(collection: str) -> str:
    """Return the command that writes a collection's snapshot anew from the database."""
    return f"deskmate index rebuild --collection {collection}"


def current_name(folder: Path) -> str | None:
    """Return the name of a collection folder's served snapshot, None if there is none."""
    try:
        return (folder / _CURRENT).read_text("ascii").strip()
    except FileNotFoundError:
        return None


def open_current(folder: Path) -> tuple[Path, Manifest]:
    """Return folder and manifest of a collection's served snapshot, files checked against the manifest.

    Raises:
        NotFoundError: the collection has no snapshot.
        IndexBroken: the snapshot is damaged or of an unknown format.
    """
    collection, name = folder.name, current_name(folder)
    if name is None:
        raise NotFoundError(
            f"no index for collection {collection!r}",
            next_command=f"deskmate index add PATH --collection {collection}",
        )
    snapshot = folder / "snapshots" / name
    manifest = read_manifest(snapshot, collection)
    for file, sha256 in manifest.files.items():
        if _sha256(snapshot / file) != sha256:
            raise IndexBroken(
                f"snapshot {snapshot} is damaged: {file} is not what was written",
                next_command=rebuild_command(collection),
            )
    return snapshot, manifest


def read_manifest(snapshot: Path, collection: str) -> Manifest:
    """Read a snapshot's manifest.

    Raises:
        IndexBroken: it is missing, damaged or of an unknown format.
    """
    mend = rebuild_command(collection)
    try:
        manifest = msgspec.json.decode((snapshot / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise IndexBroken(
            f"snapshot {snapshot} has no readable manifest: {error}", next_command=mend
        ) from error
    if manifest.format != FORMAT:
        raise IndexBroken(
            f"snapshot {snapshot} has format {manifest.format}, this Deskmate reads {FORMAT}",
            next_command=mend,
        )
    return manifest


@contextmanager
def collection_lock(folder: Path) -> Iterator[None]:
    """Hold a collection's folder against other processes that would change it.

    Raises:
        ResourceError: another process changes it now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResourceError(
                f"another process changes collection {folder.name!r} now; try again when it is done"
            ) from error
        yield


@contextmanager
def new_snapshot(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write a snapshot into; without ``publish`` it is removed again."""
    snapshots = folder / "snapshots"
    snapshots.mkdir(parents=True, exist_ok=True)
    for left in snapshots.glob(_UNFINISHED + "*"):
        shutil.rmtree(left)
    unfinished = snapshots / f"{_UNFINISHED}{os.getpid()}"
    unfinished.mkdir()
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def publish(folder: Path, unfinished: Path, manifest: Manifest, kept: int) -> Path:
    """Make a written folder the served snapshot of a collection and remove the oldest ones.

    Args:
        folder: of the collection.
        unfinished: from ``new_snapshot``.
        manifest: without files and time, which are filled in here.
        kept: snapshots left on disk, the new one included.
    """
    files = sorted(path for path in unfinished.rglob("*") if path.is_file())
    manifest = msgspec.structs.replace(
        manifest,
        files={path.relative_to(unfinished).as_posix(): file_sha256(path) for path in files},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_json(unfinished / MANIFEST, manifest)
    for path in (*files, *(f for f in unfinished.rglob("*") if f.is_dir()), unfinished):
        _sync(path)
    snapshot = unfinished.with_name(_next_name(unfinished.parent))
    unfinished.rename(snapshot)
    _sync(snapshot.parent)
    aside = folder / f".{_CURRENT}.{os.getpid()}.tmp"
    aside.write_text(snapshot.name, "ascii")
    _sync(aside)
    aside.replace(folder / _CURRENT)
    _sync(folder)
    _prune(snapshot, kept)
    return snapshot


def need_disk(folder: Path) -> None:
    """Refuse to begin where the disk is nearly full.

    Raises:
        ResourceError: less than 64 MiB are free.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < _FREE_BYTES:
        raise ResourceError(
            f"the disk is full: {free >> 20} MiB are free at {existing}, {_FREE_BYTES >> 20} are needed",
            next_command="deskmate doctor",
        )


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Name the full disk as the reason where a library that writes there says something else."""
    try:
        yield
    except (OSError, RuntimeError, ValueError):
        need_disk(folder)
        raise


def _next_name(snapshots: Path) -> str:
    last = max((int(path.name) for path in snapshots.iterdir() if path.name.isdigit()), default=0)
    return f"{last + 1:06d}"


def _prune(served: Path, kept: int) -> None:
    names = sorted(path.name for path in served.parent.iterdir() if path.name.isdigit())
    for name in names[:-kept]:
        if name != served.name:
            shutil.rmtree(served.parent / name)


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError:
        return ""


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
