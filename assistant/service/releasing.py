"""Releases on behalf of a caller: put together from what is there, and taken back."""

from pathlib import Path

import msgspec

from assistant.answering.releases import check_release, compose_release, keep_snapshot, switch_release
from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.core.settings import Settings
from assistant.service.kept import Kept
from assistant.service.queued import generation_of
from assistant.service.refusals import Conflict
from assistant.service.run_reading import find_run, runs_of
from assistant.service.schemas_training import ReleaseRequest
from assistant.store.adapters import Adapter, Adapters
from assistant.store.releases import Release, Releases
from indexing.snapshots import open_current
from indexing.tuning import tuned_settings


def make_release(
    kept: Kept, settings: Settings, caller: Caller, collection: str, wanted: ReleaseRequest
) -> Release:
    """Put a release together and store it; blocks.

    Raises:
        NotFoundError: the collection has no index, or there is no such adapter or evaluation.
        ModelError: a file of the adapter is missing.
    """
    generation_of(kept, collection)
    folder = kept.home.collection(collection)
    snapshot, manifest = open_current(folder)
    search = tuned_settings(folder, settings.search, manifest.fingerprint)
    adapter = None if wanted.without_adapter else _adapter(kept, collection, wanted.adapter)
    keep_snapshot(folder, snapshot.name)
    content = compose_release(
        folder,
        msgspec.structs.replace(settings, search=search),
        snapshot.name,
        manifest.fingerprint,
        adapter,
        _report(kept, caller, collection, wanted.run),
    )
    with kept.database.write() as session:
        return Releases(session).save(content, caller.id)


def serve_before(kept: Kept, caller: Caller, served: Release) -> Release:
    """Serve the release again that a served one took over from; blocks.

    Raises:
        Conflict: it is not the served one.
        NotFoundError: there is none to go back to.
        CollectionBusy: another one was promoted meanwhile.
        InputError: the one before cannot be served as it was made.
    """
    if served.state != "active":
        raise Conflict(f"release {served.id} is not served, so it cannot be taken back")
    collection = served.content.collection
    with kept.database.read() as session:
        before = Releases(session).previous(collection)
        name = before.content.adapter
        adapter = Adapters(session).find(name) if name else None
    check_release(before, kept.home.collection(collection), adapter)
    return switch_release(kept.home, kept.database, before, "rollback", served.id, caller.id, "files: whole")


def _adapter(kept: Kept, collection: str, name: str | None) -> Adapter | None:
    with kept.database.read() as session:
        adapters = Adapters(session)
        found = adapters.find(name) if name else adapters.active(collection)
    if name and (found is None or found.collection != collection):
        raise NotFoundError(f"no adapter {name[:64]!r} of collection {collection!r}")
    return found


def _report(kept: Kept, caller: Caller, collection: str, run_id: str | None) -> Path | None:
    """Return the report of a run, of the collection's newest evaluation if none is named."""
    if run_id is not None:
        run = find_run(kept, caller, run_id, "eval")
        if run.collection != collection or not run.has_report:
            raise NotFoundError(f"run {run_id[:100]!r} has no report on collection {collection!r}")
        return kept.home.runs / run.id / "report.json"
    found = [run for run in runs_of(kept, caller, collection, "eval") if run.has_report]
    return kept.home.runs / found[0].id / "report.json" if found else None
