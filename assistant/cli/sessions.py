"""``deskmate sessions``: who is logged in."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from assistant.cli.building import json_option, open_database
from assistant.cli.context import Context, pass_context, print_json
from assistant.core.errors import NotFoundError
from assistant.store.sessions import Sessions


@click.group()
def sessions() -> None:
    """List and end the sessions of people who logged in."""


@sessions.command("list")
@json_option
@pass_context
def list_sessions(context: Context, *, as_json: bool) -> None:
    """Show all sessions that hold, newest first; a person has the same id as in the audit log."""
    with open_database(context) as database, database.read() as session:
        found = Sessions(session).all()
    if as_json:
        print_json({"sessions": found})
        return
    if not found:
        click.echo("nobody is logged in")
    for one in found:
        until = datetime.fromtimestamp(one.expires, UTC).isoformat(timespec="seconds")
        collections = ", ".join(one.caller.collections) if one.caller.collections else "all collections"
        click.echo(f"{one.caller.id}  {one.caller.role}  {one.caller.name}  until {until}  {collections}")


@sessions.command()
@click.argument("person", required=False)
@click.option("--all", "everybody", is_flag=True, help="Those of everybody.")
@json_option
@pass_context
def end(context: Context, person: str | None, *, everybody: bool, as_json: bool) -> None:
    """End the sessions of PERSON, such as someone who left; a running service refuses them a second later.

    Whoever is still in a group of the provider may log in again.
    """
    if (person is None) != everybody:
        raise click.UsageError("give either PERSON or --all")
    with open_database(context) as database, database.write() as session:
        count = Sessions(session).end_all(person)
    if not count and person is not None:
        raise NotFoundError(f"nobody {person[:64]!r} is logged in", next_command="deskmate sessions list")
    if as_json:
        print_json({"ended": count})
    else:
        click.echo(f"{count} sessions ended")
