"""``deskmate audit``: the log of who changed what."""

from __future__ import annotations

import click

from assistant.cli.building import json_option, open_database
from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import DeskmateError
from assistant.store.audit import AuditLog, to_ocsf


@click.group()
def audit() -> None:
    """Verify and export the audit log."""


@audit.command()
@click.option("--head", help="Digest noted earlier: it must still stand in the log.")
@json_option
@pass_context
def verify(context: Context, head: str | None, *, as_json: bool) -> None:
    """Compute the chain of hashes anew; ends with 1 where an entry was changed, added or taken out."""
    with open_database(context) as database, database.read() as session:
        log = AuditLog(session)
        report = log.verify()
        is_there = head is None or any(entry.digest == head for entry in log.all())
    if as_json:
        print_json(report)
    if report.broken_at is not None:
        raise DeskmateError(f"the audit log is broken at entry {report.broken_at}: {report.reason}")
    if not is_there:
        raise DeskmateError(f"the audit log does not hold {head}: it was written anew")
    if not as_json:
        click.echo(f"{report.count} entries, whole; head {report.head}")


@audit.command()
@pass_context
def export(context: Context) -> None:
    """Print every entry, oldest first, one OCSF event (API Activity) a line."""
    with open_database(context) as database, database.read() as session:
        for entry in AuditLog(session).all():
            print_json(to_ocsf(entry))
