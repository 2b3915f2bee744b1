"""``deskmate glossary``: customers' words for the documents' words, proposed, approved, exported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import NotFoundError
from assistant.core.jsonl import write_jsonl
from assistant.jobs.records import Job, Outcome

if TYPE_CHECKING:
    from indexing.glossary import Term

_collection = click.option(
    "--collection", default="default", show_default=True, help="Name of the collection."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")


@click.group()
def glossary() -> None:
    """Keep the words that customers use for what the documents name."""


@glossary.command("mine")
@_collection
@_as_json
@pass_context
def mine_(context: Context, collection: str, *, as_json: bool) -> None:
    """Propose terms from tickets and dialogues; what was approved or rejected before stays so."""
    proposed = _mine(context, collection)
    if as_json:
        print_json(proposed)
        return
    for term in proposed:
        click.echo(
            f"{term.id}  {term.score:.2f}  {term.said} → {term.meant}  ({', '.join(term.sources[:3])})"
        )
    click.echo(f"{len(proposed)} proposals")
    if proposed:
        click.echo(f"next: deskmate glossary approve ID … --collection {collection}")
    else:
        click.echo("terms are found where tickets or dialogues and documents of one language lie together")


def mine_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``glossary.mine``."""
    proposed = _mine(context, job.collection)
    return Outcome(result={"proposed": msgspec.to_builtins(proposed)})


def _mine(context: Context, collection: str) -> list[Term]:
    from indexing.glossary import edit_glossary, read_glossary
    from training.glossary import mine

    folder = context.home.collection(collection)
    searcher = context.resources.searcher(collection)
    mined = mine(searcher.corpus.chunks, searcher.embedder)
    with edit_glossary(folder) as terms:  # short: people approve meanwhile
        for name in [name for name, term in terms.items() if term.state == "proposed"]:
            del terms[name]
        terms.update({term.id: term for term in mined if term.id not in terms})
    return [term for term in read_glossary(folder) if term.state == "proposed"]


def _folder(context: Context, collection: str) -> Path:
    """Return the folder of a collection.

    Raises:
        NotFoundError: there is no such collection; its glossary would be found by nobody.
    """
    from indexing.snapshots import open_current

    folder = context.home.collection(collection)
    open_current(folder)
    return folder


@glossary.command("list")
@_collection
@click.option(
    "--state", type=click.Choice(["proposed", "approved", "rejected"]), help="Only terms in this state."
)
@_as_json
@pass_context
def list_(context: Context, collection: str, state: str | None, *, as_json: bool) -> None:
    """Show the terms of a collection."""
    from indexing.glossary import read_glossary

    terms = read_glossary(_folder(context, collection))
    shown = [term for term in terms if state in (None, term.state)]
    if as_json:
        print_json(shown)
        return
    for term in shown:
        click.echo(f"{term.id}  {term.state:8}  {term.score:.2f}  {term.said} → {term.meant}")


@glossary.command("approve")
@click.argument("ids", nargs=-1)
@_collection
@click.option("--all", "everything", is_flag=True, help="Every proposal.")
@click.option("--reject", is_flag=True, help="Reject instead, so that it is not proposed again.")
@click.option("--add", nargs=2, multiple=True, metavar="SAID MEANT", help="A term of one's own, approved.")
@pass_context
def approve(
    context: Context,
    ids: tuple[str, ...],
    collection: str,
    add: tuple[tuple[str, str], ...],
    *,
    everything: bool,
    reject: bool,
) -> None:
    """Approve proposals by their ids; from then on queries are widened and data is made with them."""
    from indexing.glossary import edit_glossary, own_term

    if not (ids or everything or add):
        raise click.UsageError("name terms by the ids that glossary list shows, or give --all or --add")
    if everything and ids:
        raise click.UsageError("give ids or --all, not both")
    with edit_glossary(_folder(context, collection)) as terms:
        unknown = [name for name in ids if name not in terms]
        if unknown:
            raise NotFoundError(
                f"no term {', '.join(unknown)} in the glossary of {collection!r}",
                next_command=f"deskmate glossary list --collection {collection}",
            )
        proposed = [name for name, term in terms.items() if term.state == "proposed"]
        chosen = proposed if everything else list(ids)
        for name in chosen:
            terms[name] = msgspec.structs.replace(terms[name], state="rejected" if reject else "approved")
        for said, meant in add:
            own = own_term(said, meant)
            terms[own.id] = own
    click.echo(f"{len(chosen)} {'rejected' if reject else 'approved'}, {len(add)} added")
    click.echo(
        f"Chinese ones become words of the index with: deskmate index compact --collection {collection}"
    )


@glossary.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_collection
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "jieba"]),
    default="jsonl",
    show_default=True,
    help="All terms as rows, or the approved Chinese words as a dictionary for jieba.",
)
@pass_context
def export(context: Context, file: Path, collection: str, form: str) -> None:
    """Write the glossary to FILE."""
    from indexing.glossary import approved_terms, jieba_lines, read_glossary

    folder = _folder(context, collection)
    if form == "jsonl":
        count = write_jsonl(file, read_glossary(folder))
    else:
        lines = jieba_lines(approved_terms(folder))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        count = len(lines)
    click.echo(f"{file}: {count}")
