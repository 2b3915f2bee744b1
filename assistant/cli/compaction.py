"""``deskmate index compact``: what was removed leaves the disk."""

from __future__ import annotations

from pathlib import Path

import click

from assistant.cli.building import collection_option, json_option, open_builder
from assistant.cli.context import Context, pass_context, print_json

_MEBIBYTE = 1 << 20


@click.command()
@collection_option
@json_option
@pass_context
def compact(context: Context, collection: str, *, as_json: bool) -> None:
    """Write the index anew in one piece and drop older snapshots: removed text leaves the disk."""
    folder = context.home.collection(collection) / "snapshots"
    before = _size(folder)
    with open_builder(context, collection) as builder:
        report = builder.compact()
        builder.database.empty_log()
    freed = before - _size(folder)
    if as_json:
        print_json({"collection": collection, "snapshot": report.snapshot, "freed_bytes": freed})
        return
    click.echo(
        f"collection {collection!r}: {report.document_count} documents, {report.chunk_count} chunks, "
        f"snapshot {report.snapshot}; {freed / _MEBIBYTE:.1f} MiB freed"
    )


def _size(folder: Path) -> int:
    """Return the bytes on disk below a folder; a file that several snapshots share counts once."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    return sum({(status.st_dev, status.st_ino): status.st_size for status in found}.values())
