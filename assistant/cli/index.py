"""``deskmate index``: what is searched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import InputError, NotFoundError
from assistant.core.records import Record
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Collection, Documents

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from indexing.build import AddReport, Builder

_collection = click.option(
    "--collection", default="default", show_default=True, help="Name of the collection."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def index() -> None:
    """Add documents to a collection, remove them, look at what is there."""


@index.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@_collection
@_as_json
@pass_context
def add(context: Context, paths: tuple[Path, ...], collection: str, *, as_json: bool) -> None:
    """Add files and folders; what is there unchanged is skipped, what changed becomes a new version."""
    with _builder(context, collection) as builder:
        report = builder.add(paths)
    _print(context, report, as_json=as_json)
    if not report.indexed_count:
        raise InputError(f"none of {len(report.refused)} files can be indexed; the reasons stand above")


@index.command()
@click.argument("document")
@_collection
@_as_json
@pass_context
def remove(context: Context, document: str, collection: str, *, as_json: bool) -> None:
    """Remove DOCUMENT (its path as ``index status`` shows it) with all its versions."""
    with _builder(context, collection) as builder:
        report = builder.remove(document)
    _print(context, report, as_json=as_json)


@index.command()
@_collection
@_as_json
@pass_context
def rebuild(context: Context, collection: str, *, as_json: bool) -> None:
    """Write the index anew from the database, for instance after a change of embedder."""
    with _builder(context, collection) as builder:
        report = builder.rebuild()
    _print(context, report, as_json=as_json)


@index.command()
@click.option("--collection", help="Show the documents of one collection; default: all collections.")
@_as_json
@pass_context
def status(context: Context, collection: str | None, *, as_json: bool) -> None:
    """Show collections, documents and the served snapshot."""
    rows = _status(context, collection)
    if as_json:
        print_json({"collections": rows})
        return
    if not rows:
        click.echo("no collections yet; run: deskmate index add PATH")
    for row in rows:
        _show_collection(row, with_documents=collection is not None)


@contextmanager
def _builder(context: Context, collection: str) -> Iterator[Builder]:
    from indexing.build import Builder
    from indexing.embedding import load_embedder

    context.home.collection(collection)  # a bad name is told before a model is loaded
    with _database(context) as database:
        embedder = load_embedder(context.settings, context.home)
        yield Builder(collection, context.home, context.settings, database, embedder, context.progress())


@contextmanager
def _database(context: Context) -> Iterator[Database]:
    database = Database(context.home.database_url)
    try:
        yield database
    finally:
        database.close()


def _print(context: Context, report: AddReport, *, as_json: bool) -> None:
    for refusal in report.refused:
        context.console.print(f"refused: {refusal.path}: {refusal.reason}", markup=False, soft_wrap=True)
    if as_json:
        print_json(report)
        return
    counts = {name: len(getattr(report, name)) for name in ("added", "replaced", "unchanged", "refused")}
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
    if report.snapshot:
        seconds = ", ".join(f"{name} {value:.1f} s" for name, value in report.seconds.items())
        click.echo(
            f"collection {report.collection!r}: {report.document_count} documents, "
            f"{report.chunk_count} chunks ({report.embedded_count} embedded now), snapshot {report.snapshot}"
        )
        click.echo(f"time: {seconds or 'nothing to do'}")


class DocumentStatus(Record, frozen=True, kw_only=True):
    """A live document."""

    document: str
    version: int
    title: str
    page_count: int | None
    chunk_count: int
    added: str
    warnings: tuple[str, ...]


class CollectionStatus(Record, frozen=True, kw_only=True):
    """A collection and its live documents; ``snapshot`` is None where nothing is served yet."""

    collection: str
    snapshot: str | None
    document_count: int
    chunk_count: int
    documents: tuple[DocumentStatus, ...]


def _status(context: Context, wanted: str | None) -> list[CollectionStatus]:
    with _database(context) as database, database.read() as session:
        found = Documents(session).collections()
        rows = [_collection_status(context, session, item) for item in found if wanted in {None, item.name}]
    if wanted and not rows:
        raise NotFoundError(
            f"no index for collection {wanted!r}",
            next_command=f"deskmate index add PATH --collection {wanted}",
        )
    return rows


def _collection_status(context: Context, session: Session, item: Collection) -> CollectionStatus:
    from indexing.snapshots import current_name

    counts = Chunks(session).counts(item.id)
    documents = tuple(
        DocumentStatus(
            document=version.document,
            version=version.number,
            title=version.title,
            page_count=version.page_count,
            chunk_count=counts.get(version.document, 0),
            added=version.added,
            warnings=version.warnings,
        )
        for version in Documents(session).live_versions(item.id)
    )
    return CollectionStatus(
        collection=item.name,
        snapshot=current_name(context.home.collection(item.name)),
        document_count=len(documents),
        chunk_count=sum(counts.values()),
        documents=documents,
    )


def _show_collection(row: CollectionStatus, *, with_documents: bool) -> None:
    click.echo(
        f"{row.collection}: {row.document_count} documents, {row.chunk_count} chunks, "
        f"snapshot {row.snapshot or 'none'}"
    )
    for item in row.documents if with_documents else ():
        pages = f", {item.page_count} pages" if item.page_count else ""
        click.echo(f"  {item.document}  version {item.version}, {item.chunk_count} chunks{pages}")
        for warning in item.warnings:
            click.echo(f"    warning: {warning}")
