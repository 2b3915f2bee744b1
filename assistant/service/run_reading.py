"""Runs, datasets and cards on the disk, as far as they exist for a caller."""

from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.service.kept import Kept
from assistant.service.queued import generation_of
from assistant.store.adapters import Adapter, Adapters
from assistant.store.documents import Documents
from assistant.store.run_files import DatasetFile, RunFile, read_datasets, read_runs


def runs_of(
    kept: Kept, caller: Caller, collection: str | None = None, kind: str | None = None
) -> list[RunFile]:
    """Return the runs that exist for a caller, newest first; blocks.

    A run whose collection is not known exists only for who may read all of them.
    """
    with kept.database.read() as session:
        known = _collections_of_adapters(session)
    return [
        run
        for run in read_runs(kept.home.runs, known)
        if (caller.collections is None or (run.collection is not None and caller.reads(run.collection)))
        and collection in {None, run.collection}
        and kind in {None, run.kind}
    ]


def find_run(kept: Kept, caller: Caller, run_id: str, kind: str | None = None) -> RunFile:
    """Return a run; blocks.

    Raises:
        NotFoundError: there is none for the caller.
    """
    found = next((run for run in runs_of(kept, caller, kind=kind) if run.id == run_id), None)
    if found is None:
        raise NotFoundError(f"no run {run_id[:100]!r}")
    return found


def datasets_of(kept: Kept, collection: str) -> list[DatasetFile]:
    """Return a collection's datasets; blocks.

    Raises:
        NotFoundError: there is no such collection.
    """
    generation_of(kept, collection)
    return read_datasets(kept.home.collection(collection))


def adapter_card(kept: Kept, adapter: Adapter) -> dict[str, Any] | None:
    """Return an adapter's card without paths of this machine, None where it is not there; blocks."""
    try:
        text = (Path(adapter.folder) / "adapter.json").read_text("utf-8")
        return msgspec.json.decode(kept.without_paths(text), type=dict[str, Any])
    except (OSError, UnicodeDecodeError, msgspec.DecodeError):
        return None


def _collections_of_adapters(session: Session) -> dict[str, str]:
    names = [collection.name for collection in Documents(session).collections()]
    return {adapter.name: adapter.collection for name in names for adapter in Adapters(session).of(name)}
