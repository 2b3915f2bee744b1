"""``deskmate index snapshots | diff | rollback``: the states of a whole collection."""

from __future__ import annotations

import click
import msgspec

from assistant.cli.building import (
    collection_option,
    existing_collection,
    json_option,
    open_builder,
    open_database,
)
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.jobs import background_option, enqueue
from assistant.core.records import Record
from assistant.jobs.records import Job, Outcome


@click.command()
@collection_option
@json_option
@pass_context
def snapshots(context: Context, collection: str, *, as_json: bool) -> None:
    """List the kept snapshots, oldest first; the served one is marked."""
    from indexing.versions import list_snapshots

    _check(context, collection)
    lines = list_snapshots(context.home.collection(collection))
    if as_json:
        print_json({"snapshots": lines})
        return
    for line in lines:
        if line.problem:
            click.echo(f"{line.snapshot}  cannot be read: {line.problem}")
            continue
        click.echo(
            f"{line.snapshot}  {line.created}  generation {line.generation}, {line.document_count} "
            f"documents, {line.chunk_count} chunks, embedder {line.embedder}"
            f"{'  served' if line.is_served else ''}"
        )


@click.command()
@click.argument("old")
@click.argument("new")
@collection_option
@json_option
@pass_context
def diff(context: Context, old: str, new: str, collection: str, *, as_json: bool) -> None:
    """Show what differs from snapshot OLD to snapshot NEW."""
    from indexing.versions import diff as compare

    _check(context, collection)
    found = compare(context.home.collection(collection), old, new)
    if as_json:
        print_json(found)
        return
    for name in ("added", "removed"):
        for document in getattr(found, name):
            click.echo(f"{name:<9} {document}")
    for pair in found.renamed:
        click.echo(f"renamed   {pair.old} → {pair.new}")
    for row in found.replaced:
        click.echo(f"replaced  {row.document}  version {row.old_version} → {row.new_version}")
    click.echo(f"{found.old} → {found.new}: {found.old_chunk_count} → {found.new_chunk_count} chunks")


@click.command()
@click.argument("snapshot")
@collection_option
@background_option
@json_option
@pass_context
def rollback(context: Context, snapshot: str, collection: str, *, background: bool, as_json: bool) -> None:
    """Serve the state of an earlier SNAPSHOT again; what was removed since stays removed.

    Files that are as they were before the rollback are left out until they change; "index restore" or another
    rollback brings them back.
    """
    from indexing.versions import rollback as roll_back

    if background:
        arguments = msgspec.to_builtins(RollbackArguments(snapshot=snapshot))
        enqueue(context, "index.rollback", collection, arguments, as_json=as_json)
        return
    with open_builder(context, collection) as builder:
        report = roll_back(builder, snapshot)
    if as_json:
        print_json(report)
        return
    for document in report.left_out:
        click.echo(f"left out: {document}: removed since, or its version is kept no more")
    click.echo(
        f"the state of snapshot {report.target} is served as {report.snapshot}: "
        f"{report.document_count} documents, {report.chunk_count} chunks"
    )


class RollbackArguments(Record, frozen=True, kw_only=True):
    """Arguments of a job ``index.rollback``."""

    snapshot: str


def rollback_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``index.rollback``."""
    from indexing.versions import rollback as roll_back

    arguments = msgspec.convert(job.arguments, RollbackArguments)
    with open_builder(context, job.collection) as builder:
        report = roll_back(builder, arguments.snapshot)
    return Outcome(result=msgspec.to_builtins(report))


def _check(context: Context, collection: str) -> None:
    """Say that there is no such collection."""
    context.home.collection(collection)
    with open_database(context) as database, database.read() as session:
        existing_collection(session, collection)
