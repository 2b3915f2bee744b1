"""``deskmate index duplicates``: what stands in several documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from assistant.cli.building import (
    collection_option,
    existing_collection,
    json_option,
    open_database,
)
from assistant.cli.context import Context, pass_context, print_json
from assistant.core.records import Chunk, Record
from assistant.store.chunks import Chunks

if TYPE_CHECKING:
    from indexing.duplicates import DocumentPair, DuplicateChunk, Duplicates

_EXCERPT_CHARACTERS = 90


class Place(Record, frozen=True, kw_only=True):
    """Where a passage stands; ``similarity`` is that to the place of the group that it is most like."""

    document: str
    heading_path: tuple[str, ...]
    page: int | None
    chunk_id: str
    similarity: float


class Repeated(Record, frozen=True, kw_only=True):
    """A passage that stands in several documents, its text at the first place, and the places."""

    text: str
    places: tuple[Place, ...]


@click.command()
@collection_option
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1), help="Most rows of each list shown."
)
@json_option
@pass_context
def duplicates(context: Context, collection: str, limit: int, *, as_json: bool) -> None:
    """Show near-duplicates: documents that are nearly equal or hold one another, and repeated passages."""
    from indexing.duplicates import find_duplicates

    with open_database(context) as database, database.read() as session:
        numbers = Chunks(session).numbers(existing_collection(session, collection).id)
        found = find_duplicates(context.home.collection(collection), numbers, Chunks(session).numbered)
        groups = found.groups if as_json else _beside(found)[:limit]
        shown = {member.number for group in groups for member in group}
        chunks = {row.number: row.chunk for row in Chunks(session).numbered(shown)}
    passages = [_repeated(group, chunks) for group in groups]
    if as_json:
        print_json({"counts": found.counts, "documents": found.documents, "passages": passages})
        return
    _show(found, passages, limit)


def _beside(found: Duplicates) -> list[tuple[DuplicateChunk, ...]]:
    """Return the groups that the pairs of documents do not explain already."""
    alike = {frozenset((pair.left, pair.right)) for pair in found.documents}
    return [group for group in found.groups if not _is_explained({row.document for row in group}, alike)]


def _is_explained(documents: Iterable[str], alike: set[frozenset[str]]) -> bool:
    first, *others = sorted(documents)
    return all(frozenset((first, other)) in alike for other in others)


def _repeated(group: Sequence[DuplicateChunk], chunks: dict[int, Chunk]) -> Repeated:
    places = tuple(_place(chunks[member.number], member.similarity) for member in group)
    return Repeated(text=chunks[group[0].number].text, places=places)


def _place(chunk: Chunk, similarity: float) -> Place:
    return Place(
        document=chunk.document,
        heading_path=chunk.heading_path,
        page=chunk.page,
        chunk_id=chunk.id,
        similarity=similarity,
    )


def _show(found: Duplicates, passages: Sequence[Repeated], limit: int) -> None:
    if not found.groups and not found.documents:
        click.echo("no near-duplicates")
        return
    click.echo(f"{len(found.documents)} pairs of documents")
    for pair in found.documents[:limit]:
        click.echo(f"  {pair.similarity:.0%}  {pair.left}  {pair.right}{_holding(pair)}")
    beside = len(_beside(found))
    click.echo(f"{len(found.groups)} passages in several documents, {beside} of them in others than those")
    for passage in passages:
        click.echo(f"  {' '.join(passage.text.split())[:_EXCERPT_CHARACTERS]}")
        for place in passage.places:
            where = " > ".join((place.document, *place.heading_path))
            page = f", page {place.page}" if place.page else ""
            click.echo(f"    {place.similarity:.0%}  {where}{page}")


def _holding(pair: DocumentPair) -> str:
    """Return what to say where one document holds the other and more."""
    from indexing.likeness import SIMILARITY

    if pair.similarity >= SIMILARITY:
        return ""
    share, inner, outer = max((pair.of_left, pair.left, pair.right), (pair.of_right, pair.right, pair.left))
    return f"  ({share:.0%} of {inner} stands in {outer})"
