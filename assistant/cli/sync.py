"""``deskmate index sync``: a collection made equal to a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assistant.cli.assignments import meta_option
from assistant.cli.building import collection_option, describe_counts, json_option, open_builder
from assistant.cli.context import Context, pass_context, print_json

if TYPE_CHECKING:
    from indexing.syncing import SyncReport

_COUNTED = ("added", "replaced", "removed", "renamed", "unchanged", "described", "held", "refused")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@collection_option
@click.option("--dry-run", "is_dry_run", is_flag=True, help="Tell what would be done and change nothing.")
@click.option("--yes", is_flag=True, help="Go on where more than half of the documents would be removed.")
@meta_option
@json_option
@pass_context
def sync(
    context: Context,
    folder: Path,
    collection: str,
    metadata: Mapping[str, list[str]],
    *,
    is_dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Make a collection equal to FOLDER: add, replace, rename and remove documents as its files did."""
    from indexing.syncing import sync as make_equal

    with open_builder(context, collection) as builder:
        report = make_equal(builder, folder, is_dry_run=is_dry_run, may_remove_most=yes, metadata=metadata)
    if as_json:
        print_json(report)
    else:
        _show(context, report)


def _show(context: Context, report: SyncReport) -> None:
    for refusal in report.refused:
        context.console.print(f"refused: {refusal.path}: {refusal.reason}", markup=False, soft_wrap=True)
    for name in ("added", "replaced", "described", "held", "removed"):
        for document in getattr(report, name):
            click.echo(f"{name:<9} {document}")
    for pair in report.renamed:
        click.echo(f"renamed   {pair.old} → {pair.new}")
    click.echo(describe_counts(report, _COUNTED))
    if report.is_dry_run:
        click.echo("dry run: nothing was changed")
    else:
        click.echo(
            f"collection {report.collection!r}: {report.document_count} documents, "
            f"{report.chunk_count} chunks, snapshot {report.snapshot or 'none'}"
        )
