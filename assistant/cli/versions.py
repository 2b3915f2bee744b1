"""``deskmate index versions | show | restore``: what a document was, and is to be again."""

from __future__ import annotations

import click
import msgspec
from rich.console import Console
from rich.text import Text

from assistant.cli.building import (
    collection_option,
    existing_collection,
    json_option,
    open_builder,
    open_database,
)
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.jobs import background_option, enqueue
from assistant.cli.status import describe_metadata
from assistant.core.records import Chunk, Metadata, Record
from assistant.jobs.records import Job, Outcome
from assistant.store.chunks import Chunks
from assistant.store.documents import Version
from assistant.store.history import History


class VersionLine(Record, frozen=True, kw_only=True):
    """A version of a document; ``state`` is live, replaced, pruned (its text is not kept) or deleted."""

    document: str
    version: int
    state: str
    is_live: bool
    sha256: str
    added: str
    size_bytes: int
    title: str
    metadata: Metadata


class ShownVersion(Record, frozen=True, kw_only=True):
    """A version with its chunks."""

    version: VersionLine
    chunks: tuple[Chunk, ...]


@click.command()
@click.argument("document")
@collection_option
@json_option
@pass_context
def versions(context: Context, document: str, collection: str, *, as_json: bool) -> None:
    """List the versions of DOCUMENT, by its present path or an earlier one."""
    with open_database(context) as database, database.read() as session:
        found = History(session, existing_collection(session, collection)).versions(document)
    lines = [_line(version) for version in found]
    if as_json:
        print_json({"versions": lines})
        return
    for line in lines:
        click.echo(
            f"{line.version:>3}  {line.state:<8}  {line.added}  {line.sha256[:12]}  "
            f"{line.size_bytes:>9} bytes  {line.document}"
        )


@click.command()
@click.argument("document")
@click.option(
    "--version", "number", type=click.IntRange(1), help="Its number; default: the one that answers."
)
@collection_option
@json_option
@pass_context
def show(context: Context, document: str, number: int | None, collection: str, *, as_json: bool) -> None:
    """Show the text of DOCUMENT as it was cited, also of a version that answers no more."""
    with open_database(context) as database, database.read() as session:
        version = History(session, existing_collection(session, collection)).version(document, number)
        shown = ShownVersion(version=_line(version), chunks=tuple(Chunks(session).of(version.id)))
    if as_json:
        print_json(shown)
        return
    console, line = Console(highlight=False), shown.version
    head = f"{line.document} · version {line.version} ({line.state}) · {line.added} · {line.title}"
    console.print(Text(head, style="bold"))
    if line.metadata:
        console.print(Text(describe_metadata(line.metadata), style="dim"))
    for chunk in shown.chunks:
        page = f", page {chunk.page}" if chunk.page else ""
        console.print(Text(f"\n{chunk.id}{page}  {' › '.join(chunk.heading_path)}", style="dim"))
        console.print(Text(chunk.text))


@click.command()
@click.argument("document")
@click.option("--version", "number", type=click.IntRange(1), required=True, help="Its number.")
@collection_option
@background_option
@json_option
@pass_context
def restore(
    context: Context, document: str, number: int, collection: str, *, background: bool, as_json: bool
) -> None:
    """Make an older version of DOCUMENT the one that answers, until its file changes again."""
    from indexing.versions import restore as bring_back

    if background:
        arguments = msgspec.to_builtins(RestoreArguments(document=document, version=number))
        enqueue(context, "index.restore", collection, arguments, as_json=as_json)
        return
    with open_builder(context, collection) as builder:
        report = bring_back(builder, document, number)
    if as_json:
        print_json(report)
    else:
        click.echo(f"version {number} of {document} answers now, snapshot {report.snapshot}")


class RestoreArguments(Record, frozen=True, kw_only=True):
    """Arguments of a job ``index.restore``."""

    document: str
    version: int


def restore_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``index.restore``."""
    from indexing.versions import restore as bring_back

    arguments = msgspec.convert(job.arguments, RestoreArguments)
    with open_builder(context, job.collection) as builder:
        report = bring_back(builder, arguments.document, arguments.version)
    return Outcome(result=msgspec.to_builtins(report))


def _line(version: Version) -> VersionLine:
    return VersionLine(
        document=version.document,
        version=version.number,
        state=version.state,
        is_live=version.state == "live",
        sha256=version.sha256,
        added=version.added,
        size_bytes=version.size_bytes,
        title=version.title,
        metadata=version.metadata,
    )
