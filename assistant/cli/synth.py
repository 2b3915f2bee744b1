"""``deskmate synth``: instruction data from a collection, and the page that tells how it came out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from assistant.cli.building import open_database
from assistant.cli.context import Context, pass_context, print_json, refuse_own_options
from assistant.cli.jobs import background_option, enqueue
from assistant.core.errors import InputError
from assistant.core.jsonl import write_jsonl
from assistant.core.records import Record
from assistant.jobs.records import Job, Outcome

if TYPE_CHECKING:
    from assistant.engine.protocol import Engine
    from training.dataset import DatasetManifest

TEACHER_KEY = "DESKMATE_TEACHER_API_KEY"
_collection = click.option(
    "--collection", default="default", show_default=True, help="Name of the collection."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")


@click.group(invoke_without_command=True)
@_collection
@click.option(
    "--held-out",
    "held_out",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A suite whose questions must not be trained on; may be given several times.",
)
@click.option(
    "--pairs",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A JSON Lines file of corrections or FAQ: question, answer, kind; may be given several times.",
)
@background_option
@_as_json
@click.pass_context
def synth(
    click_context: click.Context,
    collection: str,
    held_out: tuple[Path, ...],
    pairs: tuple[Path, ...],
    *,
    background: bool,
    as_json: bool,
) -> None:
    """Make instruction data from a collection's chunks, tables, tickets and dialogues.

    The sample suite is always kept out. A dataset that is there already and still fits is not made again.
    """
    if click_context.invoked_subcommand is not None:
        refuse_own_options(click_context)
        return
    context = click_context.find_object(Context)
    if context is None:
        raise click.UsageError("no context")
    arguments = SynthArguments(held_out=_absolute(held_out), pairs=_absolute(pairs))
    if background:
        enqueue(context, "synth", collection, msgspec.structs.asdict(arguments), as_json=as_json)
        return
    manifest, is_new = _synthesize(context, collection, arguments)
    if as_json:
        print_json(manifest)
        return
    made = "made" if is_new else "is there already"
    click.echo(f"dataset {manifest.id} {made}: {manifest.example_count} examples")
    _show_counts(manifest)
    click.echo(f"chunks with an example: {manifest.covered_chunk_share:.0%}")
    click.echo(f"next: deskmate train --collection {collection}")


@synth.command("report")
@_collection
@click.option("--dataset", "name", default="", help="Beginning of a dataset's id; the current one if none.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Where the page goes.")
@pass_context
def report(context: Context, collection: str, name: str, output: Path | None) -> None:
    """Write a page about a dataset: counts, rejects by reason, coverage, and 50 random rows to read."""
    from training.dataset import find_dataset, read_rejects, read_rows
    from training.synth_page import render_page

    folder = context.home.collection(collection) / "datasets"
    manifest = find_dataset(folder, collection, name)
    page = render_page(manifest, read_rows(folder, manifest), read_rejects(folder, manifest))
    target = output or context.home.runs / f"synth-{manifest.id}.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, "utf-8")
    click.echo(f"page: {target}")


@synth.command("corrections")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_collection
@pass_context
def corrections(context: Context, file: Path, collection: str) -> None:
    """Write the corrections in the collection's feedback into FILE, to be read and given with --pairs.

    Anybody who may ask may also correct: whoever answers for the data reads them first.
    """
    from assistant.store.corrections import read_corrections

    if file.exists():
        raise InputError(f"{file} is there already: a person may have edited it; name another file")
    with open_database(context) as database, database.read() as session:
        found = read_corrections(session, collection)
    if not found:
        click.echo(f"no corrections in the feedback on answers of {collection!r}")
        return
    write_jsonl(file, found)
    click.echo(f"{file}: {len(found)} corrections, to be read before they are taught")
    click.echo(f"next: deskmate synth --collection {collection} --pairs {file}")


@synth.command("recipes")
@_as_json
def recipes(*, as_json: bool) -> None:
    """List the recipes that ship; name them in [synth] recipes."""
    from training.recipes.recipe import load_recipe, shipped_recipes

    found = [load_recipe(name) for name in shipped_recipes()]
    if as_json:
        print_json(found)
        return
    for recipe in found:
        click.echo(f"{recipe.name:14} {recipe.version:2}  up to {recipe.count:4}  {recipe.about}")


class SynthArguments(Record, frozen=True, kw_only=True):
    """Arguments of a job ``synth``; the paths are absolute."""

    held_out: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()


def synth_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``synth``."""
    arguments = msgspec.convert(job.arguments, SynthArguments)
    manifest, is_new = _synthesize(context, job.collection, arguments)
    return Outcome(result={"is_new": is_new, "manifest": msgspec.to_builtins(manifest)})


def _absolute(paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(str(path.absolute()) for path in paths)


def _show_counts(manifest: DatasetManifest) -> None:
    for name, count in sorted(manifest.recipes.items()):
        click.echo(f"  {count:5}  {name}")
    for reason, count in sorted(manifest.rejected.items()):
        click.echo(f"  {count:5}  rejected: {reason}")
    for note in manifest.notes:
        click.echo(f"  note: {note}")


def _synthesize(context: Context, collection: str, arguments: SynthArguments) -> tuple[DatasetManifest, bool]:
    from eval.suite_making import held_out_cases, held_out_documents
    from eval.suites import load_suite, sample_suite_path
    from training.sources import read_given_pairs
    from training.synthesis import Extras, synthesize

    resources = context.resources
    suites = (sample_suite_path(), *map(Path, arguments.held_out))
    given = read_given_pairs([Path(path) for path in arguments.pairs])
    folder = context.home.collection(collection)
    with ExitStack() as opened:
        return synthesize(
            collection,
            folder / "datasets",
            resources.searcher(collection),
            lambda: resources.engine,
            context.settings,
            context.progress(),
            held_out=[*(case for path in suites for case in load_suite(path)), *held_out_cases(folder)],
            extras=Extras(
                given=given,
                teacher_source=_teacher_source(context, opened),
                left_out=held_out_documents(folder),
            ),
        )


def _teacher_source(context: Context, stack: ExitStack) -> Callable[[], Engine] | None:
    """Return what opens the teacher that the settings name, None where it is the engine itself.

    Args:
        context: of the command.
        stack: closes the teacher.
    """
    teacher = context.settings.teacher
    if teacher.kind == "base":
        return None
    from assistant.engine.registry import load_engine, load_other_engine

    engine = msgspec.structs.replace(
        context.settings.engine,
        kind=teacher.kind,
        base_model=teacher.base_model or context.settings.engine.base_model,
        url=teacher.url,
        batch_size=teacher.batch_size,
        timeout_seconds=teacher.timeout_seconds,
    )
    settings = msgspec.structs.replace(context.settings, engine=engine)
    opened: list[Engine] = []

    def open_once() -> Engine:
        if not opened:
            key = os.environ.get(TEACHER_KEY, "")
            is_same = settings.engine.url == context.settings.engine.url and not key
            opened.append(
                load_engine(settings, context.home)
                if is_same
                else load_other_engine(settings, context.home, key)
            )
            stack.callback(opened[0].close)
        return opened[0]

    return open_once
