"""``deskmate train``: a LoRA adapter from a collection's dataset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
import msgspec

from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.jobs import background_option, enqueue
from assistant.core.errors import InputError
from assistant.core.records import Example
from assistant.jobs.records import Job, Outcome
from assistant.store.documents import Documents
from assistant.store.history import History

if TYPE_CHECKING:
    from assistant.store.adapters import Adapter
    from training.lora import TrainReport


@click.command()
@click.option("--collection", default="default", show_default=True, help="Name of the collection.")
@background_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def train(context: Context, collection: str, *, background: bool, as_json: bool) -> None:
    """Tune a LoRA adapter on the collection's instruction data and serve it from then on.

    Stopped midway, the same command goes on from the last checkpoint; finished, it does nothing.
    """
    if background:
        enqueue(context, "train", collection, {}, as_json=as_json)
        return
    adapter, report = _train(context, collection)
    if as_json:
        print_json({"adapter": adapter, "report": report})
        return
    if report is None:
        click.echo(f"adapter {adapter.name} is there already")
    else:
        click.echo(
            f"adapter {adapter.name}: {report.steps} steps over {report.examples} examples in "
            f"{report.seconds:.0f} s, loss {report.first_loss:.2f} → {report.last_loss:.2f}"
        )
    click.echo(f"folder: {adapter.folder}")
    click.echo(f"next: deskmate eval --collection {collection}")


def train_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``train``."""
    adapter, report = _train(context, job.collection)
    return Outcome(result={"adapter": msgspec.to_builtins(adapter), "report": msgspec.to_builtins(report)})


def _train(context: Context, collection: str) -> tuple[Adapter, TrainReport | None]:
    from training.adapters import train_collection
    from training.dataset import read_examples

    manifest, examples = read_examples(context.home.collection(collection) / "datasets", collection)
    _refuse_removed(context, collection, examples)
    return train_collection(
        manifest, examples, context.home, context.settings, context.resources.database, context.progress()
    )


def _refuse_removed(context: Context, collection: str, examples: Iterable[Example]) -> None:
    """Refuse a dataset with examples from documents that have been removed since it was made.

    Raises:
        InputError: it has some.
    """
    with context.resources.database.read() as session:
        found = Documents(session).find_collection(collection)
        there = History(session, found).paths() if found else set()
    gone = sorted({name for example in examples for name in example.documents} - there)
    if gone:
        raise InputError(
            f"the instruction data of collection {collection!r} is made from documents that are no longer "
            f"in it: {len(gone)}, such as {gone[0]!r}",
            next_command=f"deskmate synth --collection {collection}",
        )
