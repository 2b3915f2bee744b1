"""``deskmate audit``: the log of who changed what."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec

from assistant.cli.building import json_option, open_database
from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import DeskmateError, InputError
from assistant.store.audit import AuditEntry, AuditLog, to_ocsf


@click.group()
def audit() -> None:
    """Verify, export and prune the audit log."""


@audit.command()
@click.option("--head", help="Digest noted earlier: it must still stand in the log.")
@json_option
@pass_context
def verify(context: Context, head: str | None, *, as_json: bool) -> None:
    """Compute the chain of hashes anew; ends with 1 where an entry was changed, added or taken out."""
    with open_database(context) as database, database.read() as session:
        log = AuditLog(session)
        report = log.verify()
        is_last_pruned = report.pruned > 0 and log.anchor()[1] == head
        is_there = head is None or is_last_pruned or any(entry.digest == head for entry in log.all())
    if as_json:
        print_json(report)
    if report.broken_at is not None:
        raise DeskmateError(f"the audit log is broken at entry {report.broken_at}: {report.reason}")
    if not is_there:
        raise DeskmateError(f"the audit log does not hold {head}: it was written anew")
    if not as_json:
        before = f" after {report.pruned} pruned ones" if report.pruned else ""
        click.echo(f"{report.count} entries{before}, whole; head {report.head}")


@audit.command()
@pass_context
def export(context: Context) -> None:
    """Print every entry, oldest first, one OCSF event (API Activity) a line."""
    with open_database(context) as database, database.read() as session:
        for entry in AuditLog(session).all():
            print_json(to_ocsf(entry))


@audit.command()
@click.option("--days", type=click.IntRange(1, 36500), required=True, help="Older entries are taken out.")
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="A new file that they are written to before, as OCSF events, one a line.",
)
@json_option
@pass_context
def prune(context: Context, days: int, file: Path, *, as_json: bool) -> None:
    """Move entries older than --days out of the log and into a file.

    An entry of the log says up to where, and with which digest; the rest is verified from there on.
    """
    before = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")
    with open_database(context) as database, database.write() as session:
        log = AuditLog(session)
        entries = log.older(before)
        _write(file, entries)
        log.prune(entries)
    if as_json:
        print_json({"pruned": len(entries), "file": str(file)})
    else:
        click.echo(f"{len(entries)} entries older than {days} days are in {file} and no more in the log")


def _write(file: Path, entries: Sequence[AuditEntry]) -> None:
    """Write entries to a file that was not there, and to the disk.

    Raises:
        InputError: it is there, or cannot be written.
    """
    try:
        with file.open("xb") as opened:
            for entry in entries:
                opened.write(msgspec.json.encode(to_ocsf(entry)) + b"\n")
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}") from error
