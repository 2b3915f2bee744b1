"""``deskmate-model.json``: what a prepared folder was made from and what each of its files must be."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from assistant.core.ids import file_sha256
from assistant.core.jsonl import write_json
from assistant.core.records import Record
from assistant.models.catalogue import ModelSpec

MANIFEST = "deskmate-model.json"


class FileRecord(Record, frozen=True, kw_only=True):
    """A file's content; the time tells whether the hash must be computed again."""

    size_bytes: int
    modified_ns: int
    sha256: str


class Manifest(Record, frozen=True, kw_only=True):
    """What stands in a prepared folder."""

    name: str
    kind: str
    licence: str
    provenance: str
    recipe: str
    files: dict[str, FileRecord]


def record_file(path: Path, known: FileRecord | None = None) -> FileRecord:
    """Return a file's record; the known hash is kept where size and time are unchanged."""
    status = path.stat()
    if known and (known.size_bytes, known.modified_ns) == (status.st_size, status.st_mtime_ns):
        return known
    return FileRecord(size_bytes=status.st_size, modified_ns=status.st_mtime_ns, sha256=file_sha256(path))


def write_manifest(spec: ModelSpec, folder: Path) -> None:
    """Flush every file of a folder to disk and write its manifest, the last file to appear."""
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        sync(path)
        files[path.relative_to(folder).as_posix()] = record_file(path)
    manifest = Manifest(
        name=spec.name,
        kind=spec.kind,
        licence=spec.licence,
        provenance=spec.provenance,
        recipe=spec.recipe,
        files=files,
    )
    write_json(folder / MANIFEST, manifest)
    sync(folder)


def read_manifest(folder: Path) -> Manifest | None:
    """Return a folder's manifest, None where there is none that can be read."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def folder_problem(spec: ModelSpec, folder: Path) -> str | None:
    """Return why a folder is not the prepared model, None where it is; sizes are compared, not hashes."""
    manifest = read_manifest(folder)
    if manifest is None:
        return "is not prepared"
    if manifest.recipe != spec.recipe:
        return "was prepared from other data than this version pins"
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file():
            return f"is broken: {path} is missing"
        if path.stat().st_size != record.size_bytes:
            return f"is broken: {path} has {path.stat().st_size} bytes instead of {record.size_bytes}"
    return None


def is_ready(spec: ModelSpec, folder: Path) -> bool:
    """Tell whether a folder was made from this spec and holds every file unchanged.

    Only files whose time changed are hashed; a folder that was copied gets its new times noted.
    """
    manifest = read_manifest(folder)
    if manifest is None or folder_problem(spec, folder):
        return False
    found = {name: record_file(folder / name, known) for name, known in manifest.files.items()}
    if any(found[name].sha256 != known.sha256 for name, known in manifest.files.items()):
        return False
    if found != manifest.files:
        write_json(folder / MANIFEST, msgspec.structs.replace(manifest, files=found))
    return True


def sync(path: Path) -> None:
    """Flush a file or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
