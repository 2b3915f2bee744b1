"""``deskmate dataset``: what is taught, compared with another, and exported for other trainers."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import ModelError, NotFoundError
from assistant.core.records import Example
from assistant.core.settings import ModelsSettings

if TYPE_CHECKING:
    from training.dataset import DatasetManifest
    from training.exporting import ExportFormat

_FORMATS = ("llamafactory", "sharegpt", "alpaca", "openai")
_SHOWN_CHARACTERS = 300
_collection = click.option(
    "--collection", default="default", show_default=True, help="Name of the collection."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")


@click.group()
def dataset() -> None:
    """Look at instruction data, compare it, export it."""


@dataset.command("show")
@click.argument("name", default="")
@_collection
@click.option(
    "--rows",
    "row_count",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Random rows to print as well.",
)
@click.option("--recipe", default="", help="Rows of this recipe only.")
@_as_json
@pass_context
def show(context: Context, name: str, collection: str, row_count: int, recipe: str, *, as_json: bool) -> None:
    """Show the current dataset, or the one whose id begins with NAME."""
    manifest, examples = _read(context, collection, name)
    fitting = [example for example in examples if not recipe or example.recipe == recipe]
    if recipe and not fitting:
        there = ", ".join(sorted(manifest.recipes))
        raise NotFoundError(f"no rows of a recipe {recipe!r} in dataset {manifest.id}; there are {there}")
    chosen = random.Random(1).sample(fitting, min(row_count, len(fitting)))
    if as_json:
        print_json({"manifest": manifest, "rows": chosen})
        return
    click.echo(f"dataset {manifest.id} of {manifest.collection}, snapshot {manifest.snapshot}")
    for title, counts in (
        ("rows by recipe", manifest.recipes),
        ("rows by language", manifest.languages),
        ("rows by split", manifest.splits),
        ("rejected", manifest.rejected),
    ):
        click.echo(title)
        for key, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            click.echo(f"  {count:5}  {key}")
    for note in manifest.notes:
        click.echo(f"note: {note}")
    for example in chosen:
        _show_row(example)


@dataset.command("diff")
@click.argument("first")
@click.argument("second", default="")
@_collection
@_as_json
@pass_context
def diff(context: Context, first: str, second: str, collection: str, *, as_json: bool) -> None:
    """Show what a dataset lacks of another and has beyond it; the second is the current one if not named."""
    one, one_rows = _read(context, collection, first)
    other, other_rows = _read(context, collection, second)
    here, there = {row.id: row for row in one_rows}, {row.id: row for row in other_rows}
    gone = [row for name, row in here.items() if name not in there]
    new = [row for name, row in there.items() if name not in here]
    moved = sum(there[name].split != row.split for name, row in here.items() if name in there)
    if as_json:
        print_json({"from": one.id, "to": other.id, "removed": gone, "added": new, "moved": moved})
        return
    click.echo(f"{one.id} → {other.id}: {len(gone)} removed, {len(new)} added, {moved} in another split")
    for sign, rows in (("-", gone), ("+", new)):
        for recipe, count in sorted(Counter(row.recipe for row in rows).items()):
            click.echo(f"  {sign}{count:<5} {recipe}")
    changed = {
        document: (version, other.documents[document])
        for document, version in one.documents.items()
        if other.documents.get(document, version) != version
    }
    for document, (before, after) in sorted(changed.items()):
        click.echo(f"  {document}: version {before} → {after}")


@dataset.command("export")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--format", "form", type=click.Choice(_FORMATS), required=True, help="Of the rows.")
@click.option("--dataset", "name", default="", help="Beginning of a dataset's id; the current one if none.")
@_collection
@pass_context
def export_(context: Context, folder: Path, form: ExportFormat, name: str, collection: str) -> None:
    """Write a dataset into FOLDER for another trainer, one JSON Lines file a split."""
    from training.exporting import export

    manifest, examples = _read(context, collection, name)
    title = f"{manifest.collection}-{manifest.id}"
    done = export(examples, folder, form, title, _base_model(context))
    for file, count in done.rows.items():
        click.echo(f"{folder / file}: {count} rows")
    for file in done.described_by:
        click.echo(f"{folder / file}")


def _base_model(context: Context) -> str:
    """Return where another trainer finds the base model: its folder, or its name where it lies elsewhere."""
    from assistant.models.folders import resolve_model

    name = context.settings.engine.base_model
    try:
        return str(resolve_model(name, "generator", context.home, ModelsSettings()))
    except ModelError:
        return name


def _read(context: Context, collection: str, name: str) -> tuple[DatasetManifest, list[Example]]:
    from training.dataset import find_dataset, read_rows

    folder = context.home.collection(collection) / "datasets"
    manifest = find_dataset(folder, collection, name)
    return manifest, read_rows(folder, manifest)


def _show_row(example: Example) -> None:
    facts = (example.recipe, example.language, example.split, example.teacher, *example.documents)
    click.echo(f"\n[{example.id}] {' · '.join(facts)}")
    for turn in example.messages:
        text = turn.content if turn.role != "system" else turn.content[:_SHOWN_CHARACTERS]
        click.echo(f"  {turn.role}: {text}")
