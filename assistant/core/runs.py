"""A run's folder: its settings, versions, seed and metrics, so that it can be read and made again."""

from __future__ import annotations

import fcntl
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import msgspec

from assistant.core.errors import CollectionBusy
from assistant.core.jsonl import append_jsonl, write_json

_PACKAGES = (
    "deskmate",
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "bitsandbytes",
    "faiss-cpu",
    "unstructured",
    "litestar",
)


class Run:
    """One execution with a folder.

    The folder holds ``run.json`` (settings, versions, start) and ``metrics.jsonl``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def start(
        cls,
        runs: Path,
        kind: str,
        name: str,
        settings: msgspec.Struct,
        about: Mapping[str, object] | None = None,
    ) -> Run:
        """Make or reopen the folder ``runs/KIND-NAME``; the same name resumes the same run.

        Args:
            runs: folder of all runs.
            kind: of the run.
            name: among runs of its kind.
            settings: that shape it.
            about: what else shapes it, such as hashes.
        """
        run = cls(runs / f"{kind}-{name}")
        run.folder.mkdir(parents=True, exist_ok=True)
        if not run.record_path.exists():
            started = datetime.now(UTC).isoformat(timespec="seconds")
            record = {
                "kind": kind,
                "name": name,
                "started": started,
                "settings": settings,
                "versions": versions(),
                **(about or {}),
            }
            write_json(run.record_path, record)
        return run

    @property
    def record_path(self) -> Path:
        """Path of ``run.json``."""
        return self.folder / "run.json"

    @property
    def metrics_path(self) -> Path:
        """Path of ``metrics.jsonl``."""
        return self.folder / "metrics.jsonl"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out of the run for the time of the block; a killed one keeps nobody out.

        Raises:
            CollectionBusy: another one is at work in it.
        """
        with (self.folder / ".lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CollectionBusy(f"another process is at work in run {self.folder.name}") from error
            yield

    def log(self, **values: float | str) -> None:
        """Append one row of metrics."""
        append_jsonl(self.metrics_path, values)


def versions() -> dict[str, str]:
    """Return the versions that shape results; a package that is not installed is left out."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
