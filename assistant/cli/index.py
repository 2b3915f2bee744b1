"""``deskmate index``: what is searched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from assistant.cli.assignments import meta_option
from assistant.cli.building import (
    collection_option,
    describe_counts,
    json_option,
    open_builder,
    open_database,
)
from assistant.cli.compaction import compact
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.duplicates import describe_duplicates, describe_personal_data, duplicates
from assistant.cli.jobs import background_option, enqueue
from assistant.cli.snapshots import diff, rollback, snapshots
from assistant.cli.status import status
from assistant.cli.sync import sync
from assistant.cli.tuning import tune
from assistant.cli.versions import restore, show, versions
from assistant.core.errors import FileRefused, InputError
from assistant.core.records import Record
from assistant.jobs.records import Job, JobError, Outcome

if TYPE_CHECKING:
    from indexing.build import AddReport

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
    if background:
        arguments = AddArguments(paths=tuple(str(path.absolute()) for path in paths), metadata=metadata)
        enqueue(context, "index.add", collection, msgspec.structs.asdict(arguments), as_json=as_json)
        return
    with open_builder(context, collection) as builder:
        report = builder.add(paths, metadata)
    _print(context, report, as_json=as_json)
    if not report.indexed_count and not report.held:
        raise InputError(f"none of {len(report.refused)} files can be indexed; the reasons stand above")


class AddArguments(Record, frozen=True, kw_only=True):
    """Arguments of a job ``index.add``; ``paths`` are absolute."""

    paths: tuple[str, ...]
    metadata: dict[str, list[str]] = msgspec.field(default_factory=dict)


def add_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``index.add``; with refused files it never counts as a success."""
    arguments = msgspec.convert(job.arguments, AddArguments)
    with open_builder(context, job.collection) as builder:
        report = builder.add([Path(path) for path in arguments.paths], arguments.metadata)
    error = None
    if report.refused:
        count = f"{len(report.refused)} of {len(report.refused) + report.indexed_count} files"
        error = JobError(slug=FileRefused.slug, message=f"{count} cannot be indexed")
    return Outcome(
        result=msgspec.to_builtins(report), error=error, is_partial=bool(report.indexed_count or report.held)
    )


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
@background_option
@json_option
@pass_context
def rebuild(context: Context, collection: str, *, background: bool, as_json: bool) -> None:
    """Write the index anew from the database, for instance after a change of embedder."""
    if background:
        enqueue(context, "index.rebuild", collection, {}, as_json=as_json)
        return
    with open_builder(context, collection) as builder:
        report = builder.rebuild()
    _print(context, report, as_json=as_json)


def rebuild_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``index.rebuild``."""
    with open_builder(context, job.collection) as builder:
        return Outcome(result=msgspec.to_builtins(builder.rebuild()))


def _print(context: Context, report: AddReport, *, as_json: bool) -> None:
    for refusal in report.refused:
        context.console.print(f"refused: {refusal.path}: {refusal.reason}", markup=False, soft_wrap=True)
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
    for line in filter(None, (describe_personal_data(report), describe_duplicates(report))):
        click.echo(line)


for _command in (compact, status, duplicates, sync, versions, show, restore, snapshots, diff, rollback, tune):
    index.add_command(_command)
