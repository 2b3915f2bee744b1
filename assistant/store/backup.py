"""Backup and restore: the database as of one moment, and the files that its rows name, in one archive."""

from __future__ import annotations

import hashlib
import io
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from assistant.core.errors import InputError, ResourceError
from assistant.core.home import Home
from assistant.core.ids import file_sha256
from assistant.core.progress import Progress
from assistant.core.records import Record

DATABASE = "deskmate.sqlite3"
MANIFEST = "backup.json"
FOLDERS = ("collections", "adapters", "uploads")
_FORMAT = 1
_LEFT_OUT = (".lock", ".tmp")


class BackupManifest(Record, frozen=True, kw_only=True):
    """What a backup holds: path in the data folder → SHA-256."""

    format: int
    files: dict[str, str]


class BackupReport(Record, frozen=True, kw_only=True):
    """What was written or brought back."""

    file: str
    file_count: int
    size_bytes: int


def write_backup(home: Home, file: Path, progress: Progress) -> BackupReport:
    """Write database, indexes, adapters and waiting uploads into an archive; the service may run meanwhile.

    The database is copied first: what is published after that moment has files that no row of the copy
    names, which does no harm. Files that are replaced meanwhile are copied again.

    Args:
        home: the data folder.
        file: the archive; one of that name is replaced once the new one is complete.
        progress: told of each file.

    Raises:
        InputError: the database is no SQLite file; its own tools back it up.
        ResourceError: the disk takes no more.
    """
    if not home.database_url.startswith("sqlite:///"):
        raise InputError(
            "the database is not SQLite: back it up with its own tools, and the data folder beside it",
            next_command="pg_dump",
        )
    source = Path(home.database_url.removeprefix("sqlite:///"))
    if not source.exists():
        raise InputError(
            f"there is nothing to back up in {home.root}", next_command="deskmate index add PATH"
        )
    unfinished = file.with_name(f".{file.name}.unfinished")
    try:
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            copy = Path(folder) / DATABASE
            _copy_database(source, copy)
            files = _write(home, unfinished, copy, progress)
        unfinished.replace(file)
    except OSError as error:
        raise ResourceError(f"{file} cannot be written: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return BackupReport(file=str(file), file_count=len(files), size_bytes=file.stat().st_size)


def restore_backup(home: Home, file: Path, progress: Progress) -> BackupReport:
    """Bring a backup back into an empty data folder; models stay where they are.

    Raises:
        InputError: the file is no backup, is damaged, or there is a database already.
    """
    target = home.make().root
    if (target / DATABASE).exists():
        raise InputError(f"{target} holds a database already; restore into an empty DESKMATE_HOME")
    with _opened(file) as archive, tempfile.TemporaryDirectory(dir=target) as folder:
        try:
            archive.extractall(folder, filter="data")
            manifest = msgspec.json.decode((Path(folder) / MANIFEST).read_bytes(), type=BackupManifest)
        except (tarfile.TarError, OSError, EOFError, msgspec.DecodeError) as error:
            raise InputError(f"{file} is no backup, or is damaged: {error}") from error
        if manifest.format != _FORMAT:
            raise InputError(f"{file} has format {manifest.format}, this Deskmate reads {_FORMAT}")
        _check(Path(folder), manifest, file, progress)
        for name in FOLDERS:
            if (Path(folder) / name).exists():
                shutil.copytree(Path(folder) / name, target / name, dirs_exist_ok=True)
        # last: a data folder without a database counts as empty
        (Path(folder) / DATABASE).replace(target / DATABASE)
    return BackupReport(file=str(file), file_count=len(manifest.files), size_bytes=file.stat().st_size)


def _copy_database(source: Path, copy: Path) -> None:
    with closing(sqlite3.connect(source)) as opened, closing(sqlite3.connect(copy)) as target:
        opened.backup(target)


def _write(home: Home, file: Path, database: Path, progress: Progress) -> dict[str, str]:
    found = list(_files(home))
    progress.start("writing the backup", len(found) + 1)
    with tarfile.open(file, "w:gz", compresslevel=1) as archive:
        hashes = {DATABASE: file_sha256(database)}
        archive.add(database, DATABASE)
        progress.advance(note=DATABASE)
        for path in found:
            name = path.relative_to(home.root).as_posix()
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # a snapshot that was pruned meanwhile
                continue
            _add(archive, name, content)
            hashes[name] = _sha256(content)
            progress.advance(note=name)
        _add(archive, MANIFEST, msgspec.json.encode(BackupManifest(format=_FORMAT, files=hashes)))
    progress.finish()
    return hashes


def _files(home: Home) -> Iterator[Path]:
    for name in FOLDERS:
        for path in sorted((home.root / name).rglob("*")):
            if path.is_file() and not path.name.endswith(_LEFT_OUT):
                yield path


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        archive = tarfile.open(file, "r:gz")  # noqa: SIM115 - closed below
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"{file} is no backup: {error}") from error
    with archive:
        yield archive


def _check(folder: Path, manifest: BackupManifest, file: Path, progress: Progress) -> None:
    progress.start("checking the backup", len(manifest.files))
    for name, digest in manifest.files.items():
        path = folder / name
        if not path.is_file() or file_sha256(path) != digest:
            raise InputError(f"{file} is damaged: {name}")
        progress.advance(note=name)
    progress.finish()
