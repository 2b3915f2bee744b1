"""``deskmate index``: what is searched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from assistant.cli.assignments import meta_option
from assistant.cli.building import (
    collection_option,
    generation_of,
    json_option,
    open_builder,
    open_database,
)
from assistant.cli.compaction import compact
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.downloading import download
from assistant.cli.duplicates import duplicates
from assistant.cli.jobs import background_option, enqueue
from assistant.cli.reporting import describe_counts, files_outcome, print_findings, print_refused
from assistant.cli.snapshots import diff, rollback, snapshots
from assistant.cli.status import status
from assistant.cli.sync import sync
from assistant.cli.tuning import tune
from assistant.cli.versions import restore, show, versions
from assistant.core.errors import InputError
from assistant.core.records import Record
from assistant.jobs.records import Job, Outcome

if TYPE_CHECKING:
    from indexing.reports import AddReport

_COUNTED = ("added", "replaced", "unchanged", "described", "held", "refused")


@click.group()
def index() -> None:
    """Add documents to a collection, remove them, look at what is there."""


@index.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@collection_option
@meta_option
@background_option
@json_option
@pass_context
def add(
    context: Context,
    paths: tuple[Path, ...],
    collection: str,
    metadata: dict[str, list[str]],
    *,
    background: bool,
    as_json: bool,
) -> None:
    """Add files and folders; what is there unchanged is skipped, what changed becomes a new version."""
    if not as_json and not any(path.exists() for path in paths):  # told before a model is loaded
        raise InputError(f"{paths[0]} does not exist")
    if background:
        arguments = AddArguments(
            paths=tuple(str(path.absolute()) for path in paths),
            metadata=metadata,
            since=generation_of(context, collection),
        )
        enqueue(context, "index.add", collection, msgspec.structs.asdict(arguments), as_json=as_json)
        return
    with open_builder(context, collection) as builder:
        report = builder.add(paths, metadata)
    _print(context, report, as_json=as_json)
    if not report.indexed_count and not report.held:
        raise InputError(f"none of {len(report.refused)} files can be indexed; the reasons stand above")


class AddArguments(Record, frozen=True, kw_only=True):
    """Arguments of a job ``index.add``.

    Attributes:
        paths: absolute.
        metadata: what holds of all files, by key.
        since: generation of the collection when the job was queued: what was removed later stays away.
    """

    paths: tuple[str, ...]
    metadata: dict[str, list[str]] = msgspec.field(default_factory=dict)
    since: int | None = None


def add_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``index.add``; with refused files it never counts as a success."""
    arguments = msgspec.convert(job.arguments, AddArguments)
    with open_builder(context, job.collection) as builder:
        paths = [Path(path) for path in arguments.paths]
        return files_outcome(builder.add(paths, arguments.metadata, arguments.since))


@index.command()
@click.argument("document")
@collection_option
@json_option
@pass_context
def remove(context: Context, document: str, collection: str, *, as_json: bool) -> None:
    """Remove DOCUMENT (its path as ``index status`` shows it) with all its versions."""
    from indexing.removal import remove_document

    with open_database(context) as database:  # no model is loaded: it is done at once
        report = remove_document(collection, context.home, database, document)
    if as_json:
        print_json(report)
        return
    click.echo(
        f"{document} is removed; collection {collection!r}: {report.document_count} documents, "
        f"{report.chunk_count} chunks. Its text leaves the disk with: "
        f"deskmate index compact --collection {collection}"
    )


@index.command()
@collection_option
@click.option(
    "--embedder", metavar="NAME", help="Change to this embedder; default: the one that the collection has."
)
@background_option
@json_option
@pass_context
def rebuild(
    context: Context, collection: str, embedder: str | None, *, background: bool, as_json: bool
) -> None:
    """Write the index anew from the database; with --embedder NAME, by another embedder.

    The index before is searched until the new one is whole. Killed, the same command goes on from there.
    """
    if background:
        enqueue(context, "index.rebuild", collection, {"embedder": embedder}, as_json=as_json)
        return
    with open_builder(context, collection, embedder) as builder:
        report = builder.rebuild()
    _print(context, report, as_json=as_json)


class RebuildArguments(Record, frozen=True, kw_only=True):
    """Arguments of a job ``index.rebuild``; without an embedder's name the collection's own is kept."""

    embedder: str | None = None


def rebuild_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``index.rebuild``."""
    arguments = msgspec.convert(job.arguments, RebuildArguments)
    with open_builder(context, job.collection, arguments.embedder) as builder:
        return Outcome(result=msgspec.to_builtins(builder.rebuild()))


def _print(context: Context, report: AddReport, *, as_json: bool) -> None:
    print_refused(context, report)
    if as_json:
        print_json(report)
        return
    click.echo(describe_counts(report, _COUNTED))
    if report.snapshot:
        seconds = ", ".join(f"{name} {value:.1f} s" for name, value in report.seconds.items())
        click.echo(
            f"collection {report.collection!r}: {report.document_count} documents, "
            f"{report.chunk_count} chunks ({report.embedded_count} embedded now), snapshot {report.snapshot}"
        )
        click.echo(f"time: {seconds or 'nothing to do'}")
    print_findings(report)


for _command in (
    *(compact, status, duplicates, sync, versions, show, download, restore, snapshots, diff, rollback, tune),
):
    index.add_command(_command)
