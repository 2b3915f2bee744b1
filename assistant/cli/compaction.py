"""``deskmate index compact``: what was removed leaves the disk."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from assistant.cli.building import collection_option, json_option, open_builder
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.jobs import background_option, enqueue
from assistant.core.records import Record
from assistant.jobs.records import Job, Outcome
from assistant.store.releases import Releases

_MEBIBYTE = 1 << 20


class CompactReport(Record, frozen=True, kw_only=True):
    """What compacting did."""

    collection: str
    snapshot: str
    document_count: int
    chunk_count: int
    freed_bytes: int


@click.command()
@collection_option
@background_option
@json_option
@pass_context
def compact(context: Context, collection: str, *, background: bool, as_json: bool) -> None:
    """Write the index anew in one piece and drop older snapshots: removed text leaves the disk."""
    if background:
        enqueue(context, "index.compact", collection, {}, as_json=as_json)
        return
    report = _compact(context, collection)
    if as_json:
        print_json(report)
        return
    click.echo(
        f"collection {collection!r}: {report.document_count} documents, {report.chunk_count} chunks, "
        f"snapshot {report.snapshot}; {report.freed_bytes / _MEBIBYTE:.1f} MiB freed"
    )


def compact_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``index.compact``."""
    return Outcome(result=msgspec.to_builtins(_compact(context, job.collection)))


def _compact(context: Context, collection: str) -> CompactReport:
    folder = context.home.collection(collection) / "snapshots"
    before = _size(folder)
    _let_go_of_releases(context, collection)
    with open_builder(context, collection) as builder:
        report = builder.compact()
        builder.database.empty_log()
    return CompactReport(
        collection=collection,
        snapshot=report.snapshot,
        document_count=report.document_count,
        chunk_count=report.chunk_count,
        freed_bytes=max(before - _size(folder), 0),
    )


def _let_go_of_releases(context: Context, collection: str) -> None:
    """Keep the snapshot of the served release only: what was removed leaves the disk with the others."""
    from indexing.snapshots import set_released, switching_lock

    with context.resources.database.read() as session:
        active = Releases(session).active(collection)
    folder = context.home.collection(collection)
    if folder.is_dir():
        with switching_lock(folder):
            set_released(folder, {active.content.snapshot} if active else ())


def _size(folder: Path) -> int:
    """Return the bytes on disk below a folder; a file that several snapshots share counts once."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    return sum({(status.st_dev, status.st_ino): status.st_size for status in found}.values())
