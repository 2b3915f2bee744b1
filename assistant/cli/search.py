"""``deskmate search``: from a query to passages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from assistant.cli.assignments import filter_option
from assistant.cli.batches import BatchRow, answer_rows, check_filters, read_batches
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.remote_options import named_collection, remote_options
from assistant.core.errors import InputError
from assistant.core.records import Chunk, Filters, Passage

if TYPE_CHECKING:
    from assistant.service.schemas import FoundPassage
    from indexing.search import Searcher

_BATCH = 64
_EXCERPT = 400


@click.command()
@click.argument("query", required=False)
@click.option("--collection", default="default", show_default=True, help="What to search.")
@click.option("--top-k", type=click.IntRange(1, 100), help="Most passages; default: [search] top_k.")
@filter_option
@click.option(
    "--neighbours",
    "neighbour_count",
    type=click.IntRange(0, 20),
    default=0,
    help="Show so many chunks before and after each passage, of the same version of its document.",
)
@click.option(
    "--batch",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help='Search for each row {"id", "question", "history"?} of a JSON Lines file; one JSON line a row.',
)
@remote_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def search(  # noqa: PLR0913 - one parameter an option
    context: Context,
    query: str | None,
    collection: str,
    top_k: int | None,
    filters: Filters,
    neighbour_count: int,
    file: Path | None,
    *,
    url: str | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Find the passages for QUERY."""
    if (query is None) == (file is None):
        raise click.UsageError("give either QUERY or --batch FILE")
    if url is not None:
        if file is not None:
            raise click.UsageError("--url does not go with --batch")
        from assistant.client import DeskmateClient

        with DeskmateClient(url, key) as client:
            found = client.search(
                query or "",
                named_collection(collection),
                top_k=top_k,
                filters=filters,
                neighbours=neighbour_count,
            )
        _show_remote(found, as_json=as_json)
        return
    searcher = open_searcher(context, collection)
    if file is not None:
        for row in _search_batch(searcher, file, top_k, filters, neighbour_count):
            print_json(row)
        return
    passages = searcher.search(query or "", top_k, filters)
    if as_json:
        print_json({"passages": _passage_rows(searcher, passages, neighbour_count)})
    else:
        _show(searcher, passages, neighbour_count)


def open_searcher(context: Context, collection: str) -> Searcher:
    """Open a collection for searching with its own embedder."""
    from indexing.embedders import Embedders
    from indexing.search import Searcher
    from indexing.snapshots import open_current

    open_current(context.home.collection(collection))  # says that there is no index before a model is loaded
    embedder = Embedders(context.settings, context.home).of(collection)
    return Searcher.open(collection, context.home, context.settings, embedder)


def passage_row(passage: Passage) -> dict[str, object]:
    """Return a passage as programs get it."""
    chunk = passage.chunk
    return {
        "rank": passage.rank,
        "score": passage.score,
        "document": chunk.document,
        "version": chunk.version,
        "page": chunk.page,
        "heading_path": chunk.heading_path,
        "text": chunk.text,
        "metadata": passage.metadata,
        "dense": None if passage.dense is None else round(passage.dense, 6),
        "lexical": None if passage.lexical is None else round(passage.lexical, 6),
        "is_code_match": passage.is_code_match,
        **({} if chunk.confidence is None else {"confidence": chunk.confidence}),
        **({} if chunk.box is None else {"box": chunk.box}),
    }


def _passage_rows(searcher: Searcher, passages: Sequence[Passage], count: int) -> list[dict[str, object]]:
    """Return passages as programs get them, with so many neighbours of each on both sides."""
    rows = [passage_row(passage) for passage in passages]
    if count:
        for row, passage in zip(rows, passages, strict=True):
            around = searcher.neighbours(passage, count)
            row["before"] = [_neighbour_row(chunk) for chunk in around.before]
            row["after"] = [_neighbour_row(chunk) for chunk in around.after]
    return rows


def _neighbour_row(chunk: Chunk) -> dict[str, object]:
    return {"page": chunk.page, "heading_path": chunk.heading_path, "text": chunk.text}


def _show_remote(found: Sequence[FoundPassage], *, as_json: bool) -> None:
    if as_json:
        print_json({"passages": found})
        return
    for row in found:
        where = " › ".join((row.document, *row.heading_path))
        page = f", p. {row.page}" if row.page else ""
        click.echo(f"{row.rank:>2}  {row.score:.3f}  {where} (version {row.version}{page})")
        for text in (*(near.text for near in row.before), row.text, *(near.text for near in row.after)):
            click.echo(f"    {' '.join(text.split())[:_EXCERPT]}")


def _search_batch(
    searcher: Searcher, file: Path, top_k: int | None, filters: Filters, neighbour_count: int
) -> Iterator[dict[str, Any]]:
    from indexing.search import query_in_context

    def find(rows: Sequence[BatchRow]) -> list[dict[str, Any]]:
        queries = [query_in_context(row.question, row.history) for row in rows]
        found = searcher.search_many(queries, top_k, filters)
        return [{"passages": _passage_rows(searcher, passages, neighbour_count)} for passages in found]

    batches = list(read_batches(file, _BATCH))  # a broken line is told before anything is printed
    if not batches:
        raise InputError(f"{file}: no rows")
    check_filters(searcher, filters)
    for rows in batches:
        yield from answer_rows(rows, find)


def _show(searcher: Searcher, passages: Sequence[Passage], neighbour_count: int) -> None:
    console = Console(highlight=False)
    if not passages:
        console.print("nothing found")
    for passage in passages:
        chunk = passage.chunk
        page = f", page {chunk.page}" if chunk.page else ""
        mark = " · code" if passage.is_code_match else ""
        where = f"{passage.rank}. {chunk.document} (version {chunk.version}{page}) {passage.score:.3f}{mark}"
        console.print(Text(where, style="bold"))
        if chunk.heading_path:
            console.print(Text("   " + " › ".join(chunk.heading_path), style="dim"))
        around = searcher.neighbours(passage, neighbour_count)
        for near in around.before:
            console.print(Text(_excerpt(near) + "\n", style="dim"))
        console.print(Text(_excerpt(chunk) + "\n"))
        for near in around.after:
            console.print(Text(_excerpt(near) + "\n", style="dim"))


def _excerpt(chunk: Chunk) -> str:
    text = chunk.text if len(chunk.text) <= _EXCERPT else chunk.text[:_EXCERPT] + "…"
    return "   " + text.replace("\n", "\n   ")
