"""``deskmate synth``: instruction data from a collection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.jobs import background_option, enqueue
from assistant.core.records import Record
from assistant.jobs.records import Job, Outcome

if TYPE_CHECKING:
    from training.dataset import DatasetManifest


@click.command()
@click.option("--collection", default="default", show_default=True, help="Name of the collection.")
@click.option(
    "--held-out",
    "held_out",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A suite whose questions must not be trained on; may be given several times.",
)
@background_option
@click.option("--json", "as_json", is_flag=True, help="Print the dataset's manifest as JSON.")
@pass_context
def synth(
    context: Context, collection: str, held_out: tuple[Path, ...], *, background: bool, as_json: bool
) -> None:
    """Make instruction data from a collection's chunks, tables, tickets and dialogues.

    The sample suite is always kept out. A dataset that is there already and still fits is not made again.
    """
    if background:
        arguments = SynthArguments(held_out=tuple(str(path.absolute()) for path in held_out))
        enqueue(context, "synth", collection, msgspec.structs.asdict(arguments), as_json=as_json)
        return
    manifest, is_new = _synthesize(context, collection, held_out)
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


class SynthArguments(Record, frozen=True, kw_only=True):
    """Arguments of a job ``synth``; the paths are absolute."""

    held_out: tuple[str, ...] = ()


def synth_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``synth``."""
    arguments = msgspec.convert(job.arguments, SynthArguments)
    manifest, is_new = _synthesize(context, job.collection, [Path(path) for path in arguments.held_out])
    return Outcome(result={"is_new": is_new, "manifest": msgspec.to_builtins(manifest)})


def _synthesize(context: Context, collection: str, held_out: Sequence[Path]) -> tuple[DatasetManifest, bool]:
    from eval.suites import load_suite, sample_suite_path
    from training.synthesis import synthesize

    resources = context.resources
    cases = [case for path in (sample_suite_path(), *held_out) for case in load_suite(path)]
    return synthesize(
        collection,
        context.home.collection(collection) / "datasets",
        resources.searcher(collection),
        lambda: resources.engine,
        context.settings,
        context.progress(),
        held_out=cases,
    )
