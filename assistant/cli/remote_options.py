"""Options of commands that can ask a service elsewhere; its client is imported only when one is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.core import ParameterSource

F = TypeVar("F", bound=Callable[..., Any])


def remote_options(command: F) -> F:
    """Add ``--url`` and ``--key``: the command asks a service that runs elsewhere."""
    key = click.option(
        "--key", envvar="DESKMATE_KEY", help="API key for --url; the variable DESKMATE_KEY is safer."
    )
    url = click.option("--url", help="Ask the service that runs there, such as http://desk.example.com:8080.")
    return url(key(command))


def named_collection(collection: str) -> str | None:
    """Return the collection to ask a service for: its own default where none was named."""
    source = click.get_current_context().get_parameter_source("collection")
    return None if source is ParameterSource.DEFAULT else collection
