"""Two runs side by side: which settings differ, and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from assistant.core.errors import InputError, NotFoundError
from assistant.core.records import Record
from training.adapters import RUN_KIND
from training.lora import REPORT

_METRICS = (
    "validation_score",
    "last_loss",
    "first_loss",
    "steps",
    "examples",
    "tokens",
    "seconds",
    "tokens_per_second",
    "peak_mebibytes",
    "way",
    "stopped_early",
    "processes",
)


class Comparison(Record, frozen=True, kw_only=True):
    """What differs between two runs.

    Attributes:
        runs: their names.
        settings: setting, version or hash → its two values, where they differ.
        metrics: metric → its two values.
    """

    runs: tuple[str, str]
    settings: dict[str, tuple[Any, Any]]
    metrics: dict[str, tuple[Any, Any]]


def compare_runs(runs: Path, first: str, second: str) -> Comparison:
    """Compare two runs of training by name, with or without ``train-``.

    Raises:
        NotFoundError: there is no such run, or it has not ended.
        InputError: what it left is damaged.
    """
    folders = [find_run(runs, name) for name in (first, second)]
    about = [_flat(_read(folder / "run.json")) for folder in folders]
    reports = [_read(folder / REPORT) for folder in folders]
    keys = sorted(set(about[0]) | set(about[1]))
    return Comparison(
        runs=(folders[0].name, folders[1].name),
        settings={
            key: (about[0].get(key), about[1].get(key))
            for key in keys
            if about[0].get(key) != about[1].get(key) and key not in {"name", "started"}
        },
        metrics={key: (reports[0].get(key), reports[1].get(key)) for key in _METRICS},
    )


def find_run(runs: Path, name: str) -> Path:
    """Return the folder of a finished run.

    Raises:
        NotFoundError: there is none of that name, or it has not ended.
    """
    folder = runs / f"{RUN_KIND}-{name.removeprefix(f'{RUN_KIND}-')}"
    if folder.parent == runs and (folder / REPORT).exists():
        return folder
    known = sorted(path.parent.name for path in runs.glob(f"{RUN_KIND}-*/{REPORT}"))
    reason = "has not ended" if (folder / "run.json").exists() else "does not exist"
    raise NotFoundError(
        f"run {name!r} {reason}; finished runs: {', '.join(known) or 'none'}", next_command="deskmate train"
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            flat[prefix + key] = item
    return flat
