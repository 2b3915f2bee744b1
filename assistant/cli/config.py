"""``deskmate config``: what the settings are and whether they are good."""

from __future__ import annotations

import click
import msgspec

from assistant.cli.context import Context, pass_context, print_json
from assistant.core.settings import describe_type, setting_keys


@click.group()
def config() -> None:
    """Show and check the settings."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def show(context: Context, *, as_json: bool) -> None:
    """Print the merged settings, each value with its origin."""
    values = msgspec.to_builtins(context.settings)
    kinds = setting_keys()
    rows = {
        key: {"value": values[key.split(".")[0]][key.split(".")[1]], "origin": origin}
        for key, origin in context.loaded.origins.items()
    }
    if as_json:
        print_json({"home": str(context.home.root), "settings": rows})
        return
    click.echo(f"# data folder: {context.home.root}")
    section = ""
    for key, row in rows.items():
        if key.split(".")[0] != section:
            section = key.split(".")[0]
            click.echo(f"\n[{section}]")
        text = msgspec.json.encode(row["value"]).decode()
        click.echo(f"{key.split('.')[1]} = {text}  # {row['origin']}; {describe_type(kinds[key])}")


@config.command()
@pass_context
def check(context: Context) -> None:
    """Check all settings and list every error at once."""
    count = sum(origin != "default" for origin in context.loaded.origins.values())
    click.echo(f"settings are good: {count} differ from the defaults")
