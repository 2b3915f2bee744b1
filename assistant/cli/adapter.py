"""``deskmate adapter``: the trained adapters, and taking one out of use for good."""

from __future__ import annotations

import click

from assistant.cli.building import collection_option, json_option
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.releasing import ACTOR, note
from assistant.core.errors import EngineError
from assistant.store.adapters import Adapters
from assistant.store.releases import Releases


@click.group()
def adapter() -> None:
    """List the trained adapters, and revoke one."""


@adapter.command("list")
@collection_option
@json_option
@pass_context
def list_adapters(context: Context, collection: str, *, as_json: bool) -> None:
    """List a collection's adapters, newest first, with the releases that have them."""
    with context.resources.database.read() as session:
        found = Adapters(session).of(collection)
        used = {row.name: [release.id for release in Releases(session).using(row.name)] for row in found}
    if as_json:
        print_json([{"adapter": row, "releases": used[row.name]} for row in found])
        return
    for row in found:
        releases = ", ".join(used[row.name]) or "no release"
        click.echo(f"{row.name}  {'served' if row.is_active else '':<6}  {row.created}  {releases}")
    if not found:
        click.echo(f"no adapter; next: deskmate train --collection {collection}")


@adapter.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_context
def revoke(context: Context, name: str, *, yes: bool, as_json: bool) -> None:
    """Delete adapter NAME's files, take it out of the engine and retire the releases that have it.

    What is served is refused: promote another release first.
    """
    from assistant.answering.revoking import revoke_adapter

    if not yes:
        click.confirm(f"Delete adapter {name} for good?", abort=True, err=True)
    done = revoke_adapter(name, context.home, context.resources.database, ACTOR)
    with context.resources.database.write() as session:
        note(session, "adapter.revoke", name)
    is_unloaded = _unload(context, name)
    if as_json:
        print_json({"revoked": done, "is_unloaded": is_unloaded})
        return
    click.echo(f"{name} is revoked: its files are deleted, {len(done.releases)} releases retired")
    if not is_unloaded:
        click.echo("the engine could not be reached: it cannot load the adapter again, its files are gone")


def _unload(context: Context, name: str) -> bool:
    """Take an adapter out of an SGLang server; an engine inside a service is told by the database."""
    if context.settings.engine.kind != "sglang":
        return True
    try:
        context.resources.engine.unload_adapter(name)
    except EngineError:
        return False
    return True
