"""``deskmate index sync``: a collection made equal to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from assistant.cli.assignments import meta_option
from assistant.cli.building import collection_option, generation_of, json_option, open_builder
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.jobs import background_option, enqueue
from assistant.cli.reporting import describe_counts, files_outcome, print_findings, print_refused
from assistant.core.records import Record
from assistant.jobs.records import Job, Outcome

if TYPE_CHECKING:
    from indexing.syncing import SyncReport

_COUNTED = ("added", "replaced", "removed", "renamed", "unchanged", "described", "held", "refused")


class SyncArguments(Record, frozen=True, kw_only=True):
    """Arguments of a job ``index.sync``.

    Attributes:
        folder: absolute.
        metadata: what holds of all files, by key.
        may_remove_most: go on where more than half of the documents would be removed.
        since: generation of the collection when the job was queued: what was removed later stays away.
        is_dry_run: tell what would be done and change nothing.
    """

    folder: str
    metadata: dict[str, list[str]] = msgspec.field(default_factory=dict)
    may_remove_most: bool = False
    since: int | None = None
    is_dry_run: bool = False


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@collection_option
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Tell what would be done and change nothing.")
@click.option("--yes", is_flag=True, help="Go on where more than half of the documents would be removed.")
@meta_option
@background_option
@json_option
@pass_context
def sync(
    context: Context,
    folder: Path,
    collection: str,
    metadata: dict[str, list[str]],
    *,
    is_dry_run: bool,
    yes: bool,
    background: bool,
    as_json: bool,
) -> None:
    """Make a collection equal to FOLDER: add, replace, rename and remove documents as its files did."""
    arguments = SyncArguments(folder=str(folder), metadata=metadata, may_remove_most=yes)
    if background and is_dry_run:
        raise click.UsageError("a dry run is not queued: give either --dry-run or --background")
    if background:
        since = generation_of(context, collection)
        arguments = msgspec.structs.replace(arguments, folder=str(folder.absolute()), since=since)
        enqueue(context, "index.sync", collection, msgspec.structs.asdict(arguments), as_json=as_json)
        return
    report = _sync(context, collection, arguments, is_dry_run=is_dry_run)
    if as_json:
        print_json(report)
    else:
        _show(context, report)


def sync_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``index.sync``; with refused files it never counts as a success."""
    arguments = msgspec.convert(job.arguments, SyncArguments)
    return files_outcome(_sync(context, job.collection, arguments, is_dry_run=arguments.is_dry_run))


def _sync(
    context: Context, collection: str, arguments: SyncArguments, *, is_dry_run: bool = False
) -> SyncReport:
    from indexing.syncing import sync as make_equal

    with open_builder(context, collection) as builder:
        return make_equal(
            builder,
            Path(arguments.folder),
            is_dry_run=is_dry_run,
            may_remove_most=arguments.may_remove_most,
            metadata=arguments.metadata,
            since=arguments.since,
        )


def _show(context: Context, report: SyncReport) -> None:
    print_refused(context, report)
    for name in ("added", "replaced", "described", "held", "removed"):
        for document in getattr(report, name):
            click.echo(f"{name:<9} {document}")
    for pair in report.renamed:
        click.echo(f"renamed   {pair.old} → {pair.new}")
    click.echo(describe_counts(report, _COUNTED))
    if report.is_dry_run:
        click.echo("dry run: nothing was changed; what is new is read, or refused, when it is added")
        return
    click.echo(
        f"collection {report.collection!r}: {report.document_count} documents, "
        f"{report.chunk_count} chunks, snapshot {report.snapshot or 'none'}"
    )
    print_findings(report)
