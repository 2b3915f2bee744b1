"""``deskmate backup`` and ``deskmate restore``."""

from __future__ import annotations

from pathlib import Path

import click

from assistant.cli.building import json_option
from assistant.cli.context import Context, pass_context, print_json
from assistant.store.backup import BackupReport, restore_backup, write_backup

_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.command()
@_file
@json_option
@pass_context
def backup(context: Context, file: Path, *, as_json: bool) -> None:
    """Write database, indexes and adapters into FILE (.tar.gz); the service may run meanwhile.

    Models are left out: prepare them again, or copy their folder.
    """
    _say(write_backup(context.home, file.absolute(), context.progress()), "written", as_json=as_json)


@click.command()
@_file
@json_option
@pass_context
def restore(context: Context, file: Path, *, as_json: bool) -> None:
    """Bring FILE back into an empty data folder (DESKMATE_HOME); every file is checked by its hash."""
    _say(restore_backup(context.home, file.absolute(), context.progress()), "restored", as_json=as_json)


def _say(report: BackupReport, verb: str, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
    else:
        size = report.size_bytes / (1 << 20)
        click.echo(f"{report.file_count} files {verb}, {size:.1f} MiB: {report.file}")
