"""``deskmate keys``: who may ask the service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import click

from assistant.cli.assignments import filter_option
from assistant.cli.building import json_option, open_database
from assistant.cli.context import Context, pass_context, print_json
from assistant.core.access import SCOPES, KeyRole, Scope
from assistant.core.records import Filters
from assistant.store.keys import ApiKey, Keys, NewKey


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke the API keys of the service; with the first one it asks for a key."""


@keys.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(get_args(KeyRole)),
    default="agent",
    show_default=True,
    help="agent asks and takes hand-overs; integrator also embeds and reads usage; owner also changes "
    "documents; admin also makes keys and reads the audit log.",
)
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(SCOPES), help="Only these of the role's scopes."
)
@click.option("--collection", "collections", multiple=True, help="Only these collections.")
@filter_option
@click.option("--days", type=click.IntRange(1, 36500), help="Refused after so many days; default: never.")
@click.option("--per-minute", type=click.IntRange(1), help="Requests a minute, in place of the settings'.")
@json_option
@pass_context
def create(  # noqa: PLR0913 - one parameter an option
    context: Context,
    name: str,
    role: KeyRole,
    scopes: tuple[Scope, ...],
    collections: tuple[str, ...],
    filters: Filters,
    days: int | None,
    per_minute: int | None,
    *,
    as_json: bool,
) -> None:
    """Make a key called NAME and print its secret, which is shown this once.

    With --filter only documents with such metadata exist for the key.
    """
    from assistant.service.access import check_key_filters

    given = {key: (value,) if isinstance(value, str) else tuple(value) for key, value in filters.items()}
    check_key_filters(given)
    for collection in collections:
        context.home.collection(collection)
    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    new = NewKey(
        name=name,
        role=role,
        scopes=scopes or None,
        collections=collections or None,
        filters=given,
        requests_per_minute=per_minute,
        expires=expires.isoformat(timespec="seconds") if expires else None,
    )
    with open_database(context) as database, database.write() as session:
        key, secret = Keys(session).create(new)
    _show_secret(key, secret, as_json=as_json)


@keys.command("list")
@json_option
@pass_context
def list_keys(context: Context, *, as_json: bool) -> None:
    """Show all keys, newest first, without their secrets."""
    with open_database(context) as database, database.read() as session:
        found = Keys(session).all()
    if as_json:
        print_json({"keys": found})
        return
    if not found:
        click.echo("no keys; the service asks for none and listens on this machine only")
    for key in found:
        click.echo(_line(key))


@keys.command()
@click.argument("key_id", metavar="ID")
@json_option
@pass_context
def revoke(context: Context, key_id: str, *, as_json: bool) -> None:
    """Take a key back for good; a running service refuses it a second later."""
    with open_database(context) as database, database.write() as session:
        key = Keys(session).revoke(key_id)
    if as_json:
        print_json(key)
    else:
        click.echo(_line(key))


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--grace-hours",
    type=click.FloatRange(0, 720),
    default=0,
    show_default=True,
    help="How long the old secret is accepted.",
)
@json_option
@pass_context
def rotate(context: Context, key_id: str, grace_hours: float, *, as_json: bool) -> None:
    """Give a key a new secret and print it; id and rights stay."""
    with open_database(context) as database, database.write() as session:
        key, secret = Keys(session).rotate(key_id, grace_hours * 3600)
    _show_secret(key, secret, as_json=as_json)


def _show_secret(key: ApiKey, secret: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"key": key, "secret": secret})
        return
    click.echo(_line(key))
    click.echo(f"secret (shown once): {secret}")


def _line(key: ApiKey) -> str:
    parts = [key.id, key.role, key.name]
    if key.revoked:
        parts.append(f"revoked {key.revoked}")
    elif key.expires:
        parts.append(f"expires {key.expires}")
    if key.scopes is not None:
        parts.append(f"scopes {', '.join(key.scopes)}")
    if key.collections is not None:
        parts.append(f"collections {', '.join(key.collections)}")
    parts += [f"{name}={'|'.join(values)}" for name, values in key.filters.items()]
    return "  ".join(parts)
