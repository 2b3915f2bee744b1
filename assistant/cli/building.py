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
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@contextmanager
def open_builder(context: Context, collection: str, embedder_name: str | None = None) -> Iterator[Builder]:
    """Give a builder of a collection, with its own embedder or, by name, another one."""
    from indexing.build import Builder
    from indexing.embedders import Embedders

    context.home.collection(collection)  # a bad name is told before a model is loaded
    with open_database(context) as database:
        embedders = Embedders(context.settings, context.home)
        embedder = embedders.get(embedder_name) if embedder_name else embedders.of(collection)
        yield Builder(collection, context.home, context.settings, database, embedder, context.progress())


@contextmanager
def open_database(context: Context) -> Iterator[Database]:
    """Give the database."""
    database = Database(context.home.database_url)
    try:
        yield database
    finally:
        database.close()


def generation_of(context: Context, collection: str) -> int:
    """Return a collection's generation, by which a job knows what was removed after it was queued."""
    with open_database(context) as database, database.read() as session:
        found = Documents(session).find_collection(collection)
    return found.generation if found else 0


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
