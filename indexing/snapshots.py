"""Snapshots on disk: written aside, verified by their manifest, switched in one step.

``collections/NAME/snapshots/NNNNNN/`` holds one immutable state, ``collections/NAME/current`` names the
served one. Whatever moment the power fails, ``current`` names a whole snapshot or there is none yet.

Its segments are ``base`` and, for what came since, ``delta``; files that did not change are hard links.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from assistant.core.errors import CollectionBusy, IndexBroken, NotFoundError, ResourceError
from assistant.core.ids import file_sha256
from assistant.core.jsonl import write_json
from assistant.core.records import Record
from indexing.tombstones import sync_path

FORMAT = 2
MANIFEST = "manifest.json"
VECTORS_FILE = "vectors.faiss"
LEXICAL_FOLDER = "lexical"
TUNING_FILE = "tuning.json"
BASE, DELTA = "base", "delta"
VectorKind = Literal["flat", "hnsw", "ivf-sq8"]
_CURRENT = "current"
_LONGEST_NAME = 256
_RELEASED = "released"
_FREE_BYTES = 64 << 20
_UNFINISHED = ".unfinished-"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Background(Record, frozen=True, kw_only=True):
    """Cosines between random chunks of one language: what the embedder says of texts that share a manual.

    It makes cosines comparable: with multilingual-e5-small unrelated English chunks have .84, Chinese .88.

    Attributes:
        mean: of the cosines.
        spread: their standard deviation.
        count: chunks written in it.
    """

    mean: float
    spread: float
    count: int = 0


class Segment(Record, frozen=True, kw_only=True):
    """A part of a snapshot: chunks with their vectors and codes, written together.

    Attributes:
        name: ``base`` or ``delta``; its folder within the snapshot's.
        chunk_count: chunks in it, those no longer live included.
        kind: of its vector index.
        recall: of ten true neighbours, the share that the vector index finds; measured on its own vectors.
    """

    name: str
    chunk_count: int
    kind: VectorKind
    recall: float


class Manifest(Record, frozen=True, kw_only=True):
    """What a snapshot was made from.

    Attributes:
        format: of the snapshot's files.
        collection: name.
        generation: of the collection's rows; the database is ahead where it has a higher one.
        mark: by which the database that numbered the chunks knows it.
        embedder: name of the embedder.
        fingerprint: of the embedder.
        dimension: of its vectors.
        is_normalised: the vectors have length 1.
        chunk_count: live chunks in it.
        document_count: live documents in it.
        segments: its parts.
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
    segments: tuple[Segment, ...]
    mark: str = ""
    format: int = FORMAT
    is_normalised: bool = True
    files: dict[str, str] = msgspec.field(default_factory=dict)
    created: str = ""

    def files_of(self, segment: str) -> dict[str, str]:
        """Return path → SHA-256 of a segment's files."""
        return {file: digest for file, digest in self.files.items() if file.startswith(f"{segment}/")}


class _Format(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What manifests of every format hold."""

    format: int


def rebuild_command(collection: str) -> str:
    """Return the command that writes a collection's snapshot anew from the database."""
    return f"deskmate index rebuild --collection {collection}"


def current_name(folder: Path) -> str | None:
    """Return the name of a collection folder's served snapshot, None if there is none."""
    try:
        # every query asks: a file object with its decoder costs ten times as much
        descriptor = os.open(folder / _CURRENT, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return os.read(descriptor, _LONGEST_NAME).decode("ascii").strip()
    finally:
        os.close(descriptor)


def open_current(folder: Path) -> tuple[Path, Manifest]:
    """Return folder and manifest of a collection's served snapshot; its files are not looked at.

    Raises:
        NotFoundError: the collection has no snapshot.
        IndexBroken: the snapshot's manifest is damaged or of an unknown format.
    """
    collection, name = folder.name, current_name(folder)
    if name is None:
        raise NotFoundError(
            f"no index for collection {collection!r}",
            next_command=f"deskmate index add PATH --collection {collection}",
        )
    return open_named(folder, name)


def open_named(folder: Path, name: str) -> tuple[Path, Manifest]:
    """Return folder and manifest of any kept snapshot; its files are not looked at.

    Raises:
        IndexBroken: the snapshot is not kept, or its manifest is damaged or of an unknown format.
    """
    snapshot = folder / "snapshots" / name
    return snapshot, read_manifest(snapshot, folder.name)


def verify(snapshot: Path, collection: str, files: Mapping[str, str]) -> None:
    """Check files of a snapshot against their SHA-256.

    Raises:
        IndexBroken: one is not what was written; the message names it.
    """
    for file, sha256 in files.items():
        if _sha256(snapshot / file) != sha256:
            raise IndexBroken(
                f"snapshot {snapshot} is damaged: {file} is not what was written",
                next_command=rebuild_command(collection),
            )


def read_manifest(snapshot: Path, collection: str) -> Manifest:
    """Read a snapshot's manifest.

    Raises:
        IndexBroken: it is missing, damaged or of an unknown format.
    """
    mend = rebuild_command(collection)
    try:
        raw = (snapshot / MANIFEST).read_bytes()
        found = msgspec.json.decode(raw, type=_Format).format  # first: the rest is another format's
        if found != FORMAT:
            raise IndexBroken(
                f"snapshot {snapshot} has format {found}, this Deskmate reads {FORMAT}", next_command=mend
            )
        return msgspec.json.decode(raw, type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise IndexBroken(
            f"snapshot {snapshot} has no readable manifest: {error}", next_command=mend
        ) from error


@contextmanager
def collection_lock(folder: Path) -> Iterator[None]:
    """Hold a collection's folder against other processes that would change it.

    Raises:
        CollectionBusy: another process changes it now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CollectionBusy(
                f"another process changes collection {folder.name!r} now; try again when it is done"
            ) from error
        yield


@contextmanager
def switching_lock(folder: Path) -> Iterator[None]:
    """Wait for, and hold, what is changed in moments only: which snapshots there are, and what they hide.

    Removing a document takes this lock and not the collection's, so that it need not wait for work that runs
    for hours.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".switching").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
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


def link_files(source: Path, target: Path) -> None:
    """Make a folder's files appear in a new folder too, as the same files where the disk knows links."""
    target.mkdir(parents=True)
    for path in source.iterdir():
        try:
            os.link(path, target / path.name)
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise
            shutil.copy2(path, target / path.name)


def publish(folder: Path, unfinished: Path, manifest: Manifest, kept: int) -> Path:
    """Make a written folder the served snapshot of a collection and remove the oldest ones.

    Args:
        folder: of the collection.
        unfinished: from ``new_snapshot``.
        manifest: without files and time, which are filled in here.
        kept: snapshots left on disk, the new one included.
    """
    files = sorted(path for path in unfinished.rglob("*") if path.is_file())
    known = _digests_of_links(folder)
    digests = {path: known.get(_inode(path)) for path in files}
    manifest = msgspec.structs.replace(
        manifest,
        files={
            path.relative_to(unfinished).as_posix(): digest or file_sha256(path)
            for path, digest in digests.items()
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_json(unfinished / MANIFEST, manifest)
    new = [path for path, digest in digests.items() if digest is None]
    for path in (*new, *(f for f in unfinished.rglob("*") if f.is_dir()), unfinished):
        sync_path(path)
    with switching_lock(folder):
        snapshot = unfinished.with_name(_next_name(unfinished.parent))
        unfinished.rename(snapshot)
        sync_path(snapshot.parent)
        switch_to(folder, snapshot.name)
        _prune(snapshot, kept)
    return snapshot


def switch_to(folder: Path, name: str) -> None:
    """Make a whole snapshot the served one of its collection."""
    aside = folder / f".{_CURRENT}.{os.getpid()}.tmp"
    aside.write_text(name, "ascii")
    sync_path(aside)
    aside.replace(folder / _CURRENT)
    sync_path(folder)


def snapshot_folders(folder: Path) -> list[Path]:
    """Return the snapshots of a collection's folder, oldest first."""
    snapshots = folder / "snapshots"
    found = snapshots.iterdir() if snapshots.exists() else ()
    return sorted(path for path in found if path.name.isdigit())


def discard(snapshot: Path) -> None:
    """Delete a snapshot; cut off in the middle, what is left is no snapshot and goes with the next one."""
    aside = snapshot.with_name(f"{_UNFINISHED}{snapshot.name}")
    snapshot.rename(aside)
    shutil.rmtree(aside)


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
    """Name the full disk as the reason where a library that writes there says something else.

    Raises:
        ResourceError: a file could not be written because the disk, or what may be used of it, is full.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        reasons = [os.strerror(number) for number in _NO_SPACE]
        is_full = getattr(error, "errno", None) in _NO_SPACE or any(text in str(error) for text in reasons)
        if not is_full:
            need_disk(folder)
            raise
        free = shutil.disk_usage(folder).free >> 20
        raise ResourceError(
            f"the disk is full: {getattr(error, 'filename', None) or folder} cannot be written, {free} MiB "
            f"are free; the snapshot before is served on ({error})",
            next_command="deskmate doctor",
        ) from error


def _next_name(snapshots: Path) -> str:
    last = max((int(path.name) for path in snapshots.iterdir() if path.name.isdigit()), default=0)
    return f"{last + 1:06d}"


def released_names(folder: Path) -> set[str]:
    """Return the names of a collection's snapshots that a release may be served from: they are not pruned."""
    try:
        return set((folder / _RELEASED).read_text("ascii").split())
    except FileNotFoundError:
        return set()


def set_released(folder: Path, names: Iterable[str]) -> None:
    """Say which of a collection's snapshots are not pruned, as releases are served from them."""
    aside = folder / f".{_RELEASED}.{os.getpid()}.tmp"
    aside.write_text("\n".join(sorted(names)), "ascii")
    sync_path(aside)
    aside.replace(folder / _RELEASED)


def _prune(served: Path, kept: int) -> None:
    folder = served.parents[1]
    released = released_names(folder)
    for snapshot in snapshot_folders(folder)[:-kept]:
        if snapshot != served and snapshot.name not in released:
            discard(snapshot)


def _digests_of_links(folder: Path) -> dict[tuple[int, int], str]:
    """Return what is known of the served snapshot's files, by file and not by name."""
    try:
        snapshot, manifest = open_current(folder)
    except (NotFoundError, IndexBroken):
        return {}
    files = ((snapshot / file, digest) for file, digest in manifest.files.items())
    return {_inode(file): digest for file, digest in files if file.exists()}


def _inode(path: Path) -> tuple[int, int]:
    return (status := path.stat()).st_dev, status.st_ino


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError:
        return ""
