"""``deskmate curated``: answers that a person approved, given as they stand for the questions they fit."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from assistant.cli.assignments import meta_option
from assistant.cli.building import collection_option, json_option, open_database
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.remote_options import named_collection, remote_options
from assistant.core.errors import InputError
from assistant.store.curated import Curated

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from assistant.answering.curated import CuratedDraft
    from assistant.service.schemas_knowledge import CuratedShown
    from assistant.store.curated import CuratedAnswer, NewCurated

_AUTHOR = "local"


@click.group()
def curated() -> None:
    """Keep approved answers to questions that must not be left to a model."""


@curated.command()
@click.argument("questions", nargs=-1, required=True, metavar="QUESTION...")
@click.option("--answer", "text", required=True, help="The approved answer; [1] cites the first --cite.")
@click.option("--cite", nargs=2, multiple=True, metavar="DOCUMENT QUOTE", help="Words that it stands on.")
@click.option("--language", type=click.Choice(["en", "zh"]), help="Default: that of the questions.")
@click.option("--from", "valid_from", metavar="DATE", help="Not given before.")
@click.option("--until", "valid_until", metavar="DATE", help="Not given after.")
@meta_option
@collection_option
@remote_options
@json_option
@pass_context
def add(
    context: Context,
    /,
    questions: tuple[str, ...],
    cite: tuple[tuple[str, str], ...],
    collection: str,
    *,
    url: str | None,
    key: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Keep an answer to QUESTION; several wordings of one question may be given."""
    citations = [{"document": document, "quote": quote} for document, quote in cite]
    draft = _draft({"questions": questions, "citations": citations, **given})
    if url is not None:
        from assistant.client import DeskmateClient, routes

        with DeskmateClient(url, key) as client:
            fields = msgspec.to_builtins(draft)
            shown = client.send(routes.curate(**fields, collection=named_collection(collection)))
        print_json(shown) if as_json else click.echo(f"{shown.id} answers {len(shown.questions)} wordings")
        return
    with open_database(context) as database, database.write() as session:
        made = Curated(session).add(collection, _read(session, collection, draft), _AUTHOR)
    if as_json:
        print_json(made)
    else:
        click.echo(f"{made.id} answers {len(made.questions)} wordings in collection {collection!r}")


@curated.command("list")
@collection_option
@remote_options
@json_option
@pass_context
def list_(context: Context, collection: str, *, url: str | None, key: str | None, as_json: bool) -> None:
    """Show the curated answers of a collection, newest first."""
    if url is not None:
        from assistant.client import DeskmateClient, routes

        with DeskmateClient(url, key) as client:
            _show(list(client.pages(routes.curated_answers(named_collection(collection)))), as_json=as_json)
        return
    from assistant.answering.curated import stands

    with open_database(context) as database, database.read() as session:
        found = Curated(session).listed([collection])
        fallen = {row.id for row in found if not stands(session, row)}
    _show(found, fallen, as_json=as_json)
    if not found and not as_json:
        click.echo(f"none; next: deskmate curated add QUESTION --answer TEXT --collection {collection}")


@curated.command()
@click.argument("answer_id", metavar="ID")
@remote_options
@pass_context
def remove(context: Context, answer_id: str, *, url: str | None, key: str | None) -> None:
    """Remove a curated answer."""
    if url is not None:
        from assistant.client import DeskmateClient, routes

        with DeskmateClient(url, key) as client:
            client.send(routes.remove_curated(answer_id))
        click.echo(f"{answer_id} is removed")
        return
    with open_database(context) as database, database.write() as session:
        Curated(session).remove(answer_id)
    click.echo(f"{answer_id} is removed")


@curated.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@collection_option
@pass_context
def import_(context: Context, file: Path, collection: str) -> None:
    """Keep the answers of FILE: JSON Lines with `questions`, `text` and, if wanted, `citations`.

    A row takes the place of an answer to the same wordings. Where one row is bad, none is kept.
    """
    from assistant.answering.curated import CuratedDraft
    from assistant.core.jsonl import read_jsonl

    with open_database(context) as database, database.write() as session:
        news = []
        for number, draft in enumerate(read_jsonl(file, CuratedDraft), 1):
            try:
                news.append(_read(session, collection, draft))
            except InputError as error:
                raise InputError(f"{file}, row {number}: {error.message}") from error
        counts = Curated(session).put_all(collection, news, _AUTHOR)
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()))


def _show(
    found: Sequence[CuratedAnswer | CuratedShown], fallen: Set[str] = frozenset(), *, as_json: bool
) -> None:
    if as_json:
        print_json(found)
        return
    for row in found:
        until = f"  until {row.valid_until}" if row.valid_until else ""
        note = "  not given: a cited document was removed" if row.id in fallen else ""
        click.echo(f"{row.id}  {row.language}  {' | '.join(row.questions)}{until}{note}")


def _draft(values: dict[str, object]) -> CuratedDraft:
    from assistant.answering.curated import CuratedDraft

    given = {name: value for name, value in values.items() if value is not None}
    try:
        return msgspec.convert(given, CuratedDraft)
    except msgspec.ValidationError as error:
        raise InputError(f"this cannot be kept: {error}") from error


def _read(session: Session, collection: str, draft: CuratedDraft) -> NewCurated:
    from assistant.answering.curated import read_draft

    return read_draft(session, collection, draft)
