"""``deskmate index download``: a document's file, as it came."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import click

from assistant.cli.building import collection_option, existing_collection, json_option, open_database
from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.remote_options import named_collection, remote_options
from assistant.core.errors import InputError, NotFoundError
from assistant.store.history import History
from assistant.store.originals import Originals


@click.command()
@click.argument("document")
@click.option(
    "--to",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file to write; one of that name is replaced.",
)
@click.option(
    "--version", "number", type=click.IntRange(1), help="Its number; default: the one that answers."
)
@collection_option
@remote_options
@json_option
@pass_context
def download(
    context: Context,
    document: str,
    file: Path,
    number: int | None,
    collection: str,
    *,
    url: str | None,
    key: str | None,
    as_json: bool,
) -> None:
    """Write DOCUMENT's file as it came; [index] originals says which files are kept."""
    if url is None:
        size = _copy(context, document, number, collection, file)
    else:
        size = _fetch(url, key, document, number, named_collection(collection), file)
    if as_json:
        print_json({"document": document, "file": str(file), "size_bytes": size})
    else:
        click.echo(f"{size} bytes of {document} are in {file}")


def _copy(context: Context, document: str, number: int | None, collection: str, file: Path) -> int:
    with open_database(context) as database, database.read() as session:
        version = History(session, existing_collection(session, collection)).version(document, number)
    source = Originals(context.home.collection(collection)).path(version.sha256)
    if not source.exists():
        raise NotFoundError(
            f"the file of {document!r}, version {version.number}, is not kept ([index] originals)",
            next_command=f"deskmate index show {shlex.quote(document)} --collection {collection}",
        )
    try:
        shutil.copyfile(source, file)
    except OSError as error:
        raise InputError(f"{file}: cannot be written: {error.strerror}") from error
    return file.stat().st_size


def _fetch(
    url: str, key: str | None, document: str, number: int | None, collection: str | None, file: Path
) -> int:
    from assistant.client import DeskmateClient

    with DeskmateClient(url, key) as client:
        found = next((row.id for row in client.documents(collection) if row.name == document), None)
        if found is None:
            raise NotFoundError(f"no document {document!r}")
        return client.download(found, file, number)
