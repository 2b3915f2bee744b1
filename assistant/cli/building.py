"""What the commands of ``deskmate index`` share: options, the database, a builder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from assistant.cli.context import Context
from assistant.core.errors import NotFoundError
from assistant.store.database import Database
from assistant.store.documents import Collection, Documents

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from indexing.build import Builder

collection_option = click.option(
    "--collection", default="default", show_default=True, help="Name of the collection."
)
_RARE = {"described", "held", "renamed"}
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@contextmanager
def open_builder(context: Context, collection: str) -> Iterator[Builder]:
    """Give a builder of a collection, with the configured embedder."""
    from indexing.build import Builder
    from indexing.embedding import load_embedder

    context.home.collection(collection)  # a bad name is told before a model is loaded
    with open_database(context) as database:
        embedder = load_embedder(context.settings, context.home)
        yield Builder(collection, context.home, context.settings, database, embedder, context.progress())


@contextmanager
def open_database(context: Context) -> Iterator[Database]:
    """Give the database."""
    database = Database(context.home.database_url)
    try:
        yield database
    finally:
        database.close()


def existing_collection(session: Session, name: str) -> Collection:
    """Return a collection.

    Raises:
        NotFoundError: there is none of that name.
    """
    found = Documents(session).find_collection(name)
    if found is None:
        raise NotFoundError(
            f"no index for collection {name!r}", next_command=f"deskmate index add PATH --collection {name}"
        )
    return found


def describe_counts(report: object, names: tuple[str, ...]) -> str:
    """Return how many documents each list of a report names; of rare ones only where there are some."""
    counts = {name: len(getattr(report, name)) for name in names}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count or name not in _RARE)
