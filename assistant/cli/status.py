"""``deskmate index status``: collections, their documents and what is served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assistant.cli.building import json_option, open_database
from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import IndexBroken, NotFoundError
from assistant.core.records import Metadata, Record
from assistant.store.chunks import Chunks
from assistant.store.documents import Collection, Documents

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class DocumentStatus(Record, frozen=True, kw_only=True):
    """A live document."""

    document: str
    version: int
    title: str
    page_count: int | None
    chunk_count: int
    added: str
    metadata: Metadata
    warnings: tuple[str, ...]


class SegmentStatus(Record, frozen=True, kw_only=True):
    """A part of the served snapshot: its chunks, kind of vector index and measured recall@10."""

    name: str
    chunk_count: int
    kind: str
    recall: float


class CollectionStatus(Record, frozen=True, kw_only=True):
    """A collection and its live documents.

    Attributes:
        collection: name.
        snapshot: that is served, None where nothing is yet.
        problem: why the served snapshot cannot be searched, and what to do; empty where it can.
        segments: of the served snapshot.
        document_count: live documents.
        chunk_count: their chunks.
        documents: the live documents.
    """

    collection: str
    snapshot: str | None
    problem: str
    segments: tuple[SegmentStatus, ...]
    document_count: int
    chunk_count: int
    documents: tuple[DocumentStatus, ...]


@click.command()
@click.option("--collection", help="Show the documents of one collection; default: all collections.")
@json_option
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


def describe_metadata(metadata: Metadata) -> str:
    """Return metadata in one line."""
    texts = {key: value if isinstance(value, str) else ", ".join(value) for key, value in metadata.items()}
    return " · ".join(f"{key}: {text}" for key, text in texts.items())


def _status(context: Context, wanted: str | None) -> list[CollectionStatus]:
    with open_database(context) as database, database.read() as session:
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

    folder = context.home.collection(item.name)
    segments, problem = _segments(folder)
    counts = Chunks(session).counts(item.id)
    documents = tuple(
        DocumentStatus(
            document=version.document,
            version=version.number,
            title=version.title,
            page_count=version.page_count,
            chunk_count=counts.get(version.document, 0),
            added=version.added,
            metadata=version.metadata,
            warnings=version.warnings,
        )
        for version in Documents(session).live_versions(item.id)
    )
    return CollectionStatus(
        collection=item.name,
        snapshot=current_name(folder),
        problem=problem,
        segments=segments,
        document_count=len(documents),
        chunk_count=sum(counts.values()),
        documents=documents,
    )


def _segments(folder: Path) -> tuple[tuple[SegmentStatus, ...], str]:
    """Return the served snapshot's parts, and why it cannot be searched where its manifest says so."""
    from indexing.snapshots import open_current

    try:
        _, manifest = open_current(folder)
    except NotFoundError:
        return (), ""
    except IndexBroken as error:
        return (), str(error)
    segments = tuple(
        SegmentStatus(name=part.name, chunk_count=part.chunk_count, kind=part.kind, recall=part.recall)
        for part in manifest.segments
    )
    return segments, ""


def _show_collection(row: CollectionStatus, *, with_documents: bool) -> None:
    click.echo(
        f"{row.collection}: {row.document_count} documents, {row.chunk_count} chunks, "
        f"snapshot {row.snapshot or 'none'}"
    )
    if row.problem:
        click.echo(f"  problem: {row.problem}")
    for part in row.segments:
        click.echo(f"  {part.name}: {part.chunk_count} chunks, {part.kind}, recall@10 {part.recall:.3f}")
    for item in row.documents if with_documents else ():
        pages = f", {item.page_count} pages" if item.page_count else ""
        click.echo(f"  {item.document}  version {item.version}, {item.chunk_count} chunks{pages}")
        if item.metadata:
            click.echo(f"    {describe_metadata(item.metadata)}")
        for warning in item.warnings:
            click.echo(f"    warning: {warning}")
