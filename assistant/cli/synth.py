"""``deskmate synth``: instruction data from a collection."""

from __future__ import annotations

from pathlib import Path

import click

from assistant.cli.context import Context, pass_context, print_json


@click.command()
@click.option("--collection", default="default", show_default=True, help="Name of the collection.")
@click.option(
    "--held-out",
    "held_out",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A suite whose questions must not be trained on; may be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the dataset's manifest as JSON.")
@pass_context
def synth(context: Context, collection: str, held_out: tuple[Path, ...], *, as_json: bool) -> None:
    """Make instruction data from a collection's chunks, tables, tickets and dialogues.

    The sample suite is always kept out. A dataset that is there already and still fits is not made again.
    """
    from eval.suites import load_suite, sample_suite_path
    from training.synthesis import synthesize

    resources = context.resources
    cases = [case for path in (sample_suite_path(), *held_out) for case in load_suite(path)]
    manifest, is_new = synthesize(
        collection,
        context.home.collection(collection) / "datasets",
        resources.searcher(collection),
        lambda: resources.engine,
        context.settings,
        context.progress(),
        held_out=cases,
    )
    if as_json:
        print_json(manifest)
        return
    made = "made" if is_new else "is there already"
    click.echo(f"dataset {manifest.id} {made}: {manifest.example_count} examples")
    for name, count in sorted(manifest.recipes.items()):
        click.echo(f"  {count:5}  {name}")
    for reason, count in sorted(manifest.rejected.items()):
        click.echo(f"  {count:5}  rejected: {reason}")
    click.echo(f"chunks with an example: {manifest.covered_chunk_share:.0%}")
    click.echo(f"next: deskmate train --collection {collection}")
