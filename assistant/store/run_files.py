"""What training and evaluation left in folders, read as files: runs, their metrics and reports, datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from assistant.core.errors import InputError, NotFoundError
from assistant.core.records import Record

_REPORT = "report.json"
_ABOUT_RUN = {"kind", "name", "started", "settings", "versions", "collection"}
# what shaped a result; the rest of the settings says how a machine is set up
_SHOWN_SECTIONS = ("engine", "embedder", "index", "search", "answer", "synth", "train", "eval", "gate")


class RunFile(Record, frozen=True, kw_only=True):
    """A run's ``run.json``.

    Attributes:
        id: name of its folder.
        kind: train, eval, assess, stability.
        collection: that it was made on, None where an earlier version did not note it.
        started: when, ISO 8601 in UTC.
        has_report: it came to its end.
        settings: section → key → value, those that shape a result.
        versions: of the packages.
        about: what else shaped it, such as hashes.
    """

    id: str
    kind: str
    collection: str | None
    started: str
    has_report: bool
    settings: dict[str, Any]
    versions: dict[str, str]
    about: dict[str, Any]


class DatasetFile(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset's ``manifest.json``, as far as it is shown.

    Attributes:
        id: hash over its rows.
        collection: that it was made from.
        snapshot: of the index that it was made from.
        example_count: rows.
        recipes: recipe → rows.
        languages: language → rows.
        rejected: reason → pairs that a filter turned away.
        covered_chunk_share: of the collection's chunks, those with an example.
        splits: split → rows.
        teachers: teacher → rows.
        notes: what a person should know.
        is_current: training takes this one.
    """

    id: str
    collection: str
    snapshot: str
    example_count: int
    recipes: dict[str, int]
    languages: dict[str, int]
    rejected: dict[str, int]
    covered_chunk_share: float
    splits: dict[str, int] = {}
    teachers: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    is_current: bool = False


def read_runs(runs: Path, known: Mapping[str, str]) -> list[RunFile]:
    """Return all runs that can be read, newest first.

    Args:
        runs: their folder.
        known: adapter → collection, for runs that do not note theirs.
    """
    found = [_read_run(path.parent, known) for path in runs.glob("*/run.json")]
    return sorted((run for run in found if run), key=lambda run: (run.started, run.id), reverse=True)


def read_metrics(runs: Path, run: RunFile, skipped: int, limit: int) -> list[dict[str, Any]]:
    """Return rows of a run's metrics.

    Args:
        runs: folder of all runs.
        run: the run.
        skipped: rows before the first one.
        limit: most rows.
    """
    return list(_rows(runs / run.id / "metrics.jsonl", skipped, limit))


def read_report(runs: Path, run: RunFile) -> dict[str, Any]:
    """Return a run's report as it was written.

    Raises:
        NotFoundError: it has none yet.
    """
    report = _json(runs / run.id / _REPORT)
    if report is None:
        raise NotFoundError(f"run {run.id} has no report yet")
    return report


def read_datasets(folder: Path) -> list[DatasetFile]:
    """Return a collection's datasets, the current one first.

    Args:
        folder: of the collection.
    """
    datasets = folder / "datasets"
    try:
        current = msgspec.json.decode((datasets / "current").read_bytes(), type=str)
    except (OSError, msgspec.DecodeError):
        current = ""
    found = []
    for path in datasets.glob("[!.]*/manifest.json"):
        try:
            manifest = msgspec.json.decode(path.read_bytes(), type=DatasetFile)
        except (OSError, msgspec.DecodeError):
            continue
        found.append(msgspec.structs.replace(manifest, is_current=manifest.id == current))
    return sorted(found, key=lambda row: (not row.is_current, row.id))


def read_examples(folder: Path, dataset: DatasetFile, skipped: int, limit: int) -> list[dict[str, Any]]:
    """Return rows of a dataset, as they were written.

    Args:
        folder: of the collection.
        dataset: one of its datasets.
        skipped: rows before the first one.
        limit: most rows.
    """
    return list(_rows(folder / "datasets" / dataset.id / "examples.jsonl", skipped, limit))


def _read_run(folder: Path, known: Mapping[str, str]) -> RunFile | None:
    record = _json(folder / "run.json")
    if record is None:
        return None
    collection = record.get("collection") or known.get(str(record.get("name"))) or _reported(folder)
    sections = record.get("settings") or {}
    return RunFile(
        id=folder.name,
        kind=str(record.get("kind", "")),
        collection=collection,
        started=str(record.get("started", "")),
        has_report=(folder / _REPORT).exists(),
        settings={name: sections[name] for name in _SHOWN_SECTIONS if name in sections},
        versions=record.get("versions") or {},
        about={name: value for name, value in record.items() if name not in _ABOUT_RUN},
    )


def _reported(folder: Path) -> str | None:
    about = (_json(folder / _REPORT) or {}).get("about")
    return about.get("collection") if isinstance(about, dict) else None


def _json(path: Path) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return None


def _rows(path: Path, skipped: int, limit: int) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as lines:
            for line in islice(lines, skipped, skipped + limit):
                yield msgspec.json.decode(line, type=dict[str, Any])
    except FileNotFoundError:
        return
    except msgspec.DecodeError as error:
        raise InputError(f"{path.name}: a row cannot be read: {error}") from error
