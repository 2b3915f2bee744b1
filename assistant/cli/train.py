"""``deskmate train``: a LoRA adapter from a collection's dataset."""

from __future__ import annotations

import click

from assistant.cli.context import Context, pass_context, print_json


@click.command()
@click.option("--collection", default="default", show_default=True, help="Name of the collection.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def train(context: Context, collection: str, *, as_json: bool) -> None:
    """Tune a LoRA adapter on the collection's instruction data and serve it from then on.

    Stopped midway, the same command goes on from the last checkpoint; finished, it does nothing.
    """
    from training.adapters import train_collection
    from training.dataset import read_examples

    manifest, examples = read_examples(context.home.collection(collection) / "datasets", collection)
    adapter, report = train_collection(
        manifest, examples, context.home, context.settings, context.resources.database, context.progress()
    )
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
