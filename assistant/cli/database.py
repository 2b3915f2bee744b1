"""``deskmate database``: the schema of the data folder's database."""

from __future__ import annotations

from contextlib import closing

import click

from assistant.cli.building import json_option
from assistant.cli.context import Context, pass_context, print_json
from assistant.core.records import Record
from assistant.store.database import Database, shown_url
from assistant.store.migrations import BASELINE
from assistant.store.tables import SCHEMA_VERSION


class SchemaReport(Record, frozen=True, kw_only=True):
    """Where the database lies, and the version of its tables."""

    url: str
    schema_version: int
    oldest_version: int


@click.group()
def database() -> None:
    """Show the database's schema, or take it back to an older one."""


@database.command()
@json_option
@pass_context
def show(context: Context, *, as_json: bool) -> None:
    """Show where the database lies and its schema; an older one is brought forward first."""
    with closing(Database(context.home.make().database_url)) as opened:
        _say(opened.url, SCHEMA_VERSION, as_json=as_json)


@database.command()
@click.argument("version", type=click.IntRange(min=BASELINE))
@json_option
@pass_context
def downgrade(context: Context, version: int, *, as_json: bool) -> None:
    """Take the schema back to VERSION, for the older Deskmate that is installed next.

    Stop the service and the workers before. Rows that only newer tables hold are lost; any command of this
    Deskmate brings the schema forward again.
    """
    with closing(Database(context.home.make().database_url)) as opened:
        opened.downgrade(version)
        _say(opened.url, version, as_json=as_json)


def _say(url: str, version: int, *, as_json: bool) -> None:
    report = SchemaReport(url=shown_url(url), schema_version=version, oldest_version=BASELINE)
    if as_json:
        print_json(report)
        return
    click.echo(f"{report.url}: schema version {version}; it can go back to {BASELINE}")
