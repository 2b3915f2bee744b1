"""From an upload to a queued job: names checked, rights kept, files on the disk before an answer."""

import base64
import binascii
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from litestar.datastructures import UploadFile
from sqlalchemy.orm import Session

from assistant.core.access import Caller
from assistant.core.errors import DeskmateError, InputError, NotFoundError
from assistant.core.settings import IndexSettings
from assistant.jobs.listing import note_origin
from assistant.jobs.records import Job
from assistant.service.access import readable
from assistant.service.kept import Kept
from assistant.service.problems import RequestRefused
from assistant.service.refusals import Forbidden
from assistant.service.schemas_documents import NewDocument
from assistant.service.uploads import Uploads, check_name
from assistant.store.documents import Documents
from assistant.store.reading import Reading
from indexing.metadata import fold_key, normalise_metadata
from indexing.sniffing import sniff_kind

MOST_FILES = 1000
Content = bytes | UploadFile | Path


def read_documents(documents: Sequence[NewDocument]) -> list[tuple[str, Content]]:
    """Return names and bytes of documents in a JSON body.

    Raises:
        RequestRefused: a name is none, or a document has no content or two.
    """
    return [(check_name(document.name), _content(document)) for document in documents]


def read_metadata(text: str | None) -> dict[str, str | list[str]]:
    """Return the metadata of a form.

    Raises:
        RequestRefused: it is no JSON object of texts.
    """
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, str | list[str]])
    except (msgspec.DecodeError, RecursionError) as error:
        raise RequestRefused(f"metadata is no JSON object of texts: {error}", "metadata") from error


def queue_documents(
    kept: Kept,
    caller: Caller,
    collection: str,
    files: Sequence[tuple[str, Content]],
    metadata: Mapping[str, str | list[str]],
) -> Job:
    """Write files to the disk and queue the job that adds them; blocks.

    Raises:
        NotFoundError: there is no such collection.
        RequestRefused: a name comes twice, or the metadata cannot be used.
        Forbidden: a name is that of a document that the caller may not read, or the metadata would make
            documents that it may not.
    """
    names = [name for name, _ in files]
    if len(set(names)) < len(names) or _is_folder_too(names):
        raise RequestRefused("two documents have one name", "documents")
    checked = own_metadata(caller, metadata)
    with kept.database.read() as session:
        since = _check_names(session, caller, collection, names)
    uploads = Uploads(kept.home)
    uploads.sweep(kept.queue)
    with uploads.receive() as folder:
        for name, content in files:
            _write(folder / name, content)
            if caller.filters:
                _refuse_archive(folder / name, name)
        arguments: dict[str, object] = {"paths": [str(folder)], "metadata": checked, "since": since}
        job = kept.queue.enqueue("index.add", collection, arguments)
        uploads.keep_for(folder, job.id)
    with kept.database.write() as session:
        note_origin(session, job.id, caller.id)
    return job


def _refuse_archive(path: Path, name: str) -> None:
    """Refuse an archive: its members may have the names of documents that the caller may not read."""
    try:
        kind = sniff_kind(path, IndexSettings(), is_named=True)  # the job keeps to the limits that are set
    except DeskmateError:
        return  # the job says what is wrong with it
    if kind == "zip":
        raise Forbidden(
            f"{name[:80]!r} is an archive; a key that is held to some documents adds files singly"
        )


def _check_names(session: Session, caller: Caller, collection: str, names: Sequence[str]) -> int:
    """Return the collection's generation."""
    found = Documents(session).find_collection(collection)
    if found is None:
        raise NotFoundError(f"no collection {collection[:64]!r}; make it with POST /v1/collections")
    if caller.filters:
        reading = Reading(session)
        for name in names:
            there = reading.at_path(collection, name)
            if there is not None and not readable(caller, there.version.metadata):
                raise Forbidden(f"the name {name[:80]!r} is taken")
    return found.generation


def own_metadata(caller: Caller, given: Mapping[str, str | list[str]]) -> dict[str, list[str]]:
    """Return metadata under which the caller may read what it adds.

    What comes with the request is stronger than what a document says of itself, so a document cannot say
    itself out of its access list.
    """
    try:
        folded = normalise_metadata(given, "metadata")
    except InputError as error:
        raise RequestRefused(error.message, "metadata") from error
    values = {key: [value] if isinstance(value, str) else list(value) for key, value in folded.items()}
    for name, allowed in caller.filters.items():
        key = fold_key(name)
        values.setdefault(key, list(allowed[:1]))
        if not values[key] or any(
            not readable(msgspec.structs.replace(caller, filters={key: allowed}), {key: value})
            for value in values[key]
        ):
            raise Forbidden(f"key {caller.id} may not add documents with this {key!r}")
    return values


def _content(document: NewDocument) -> bytes:
    if (document.text is None) == (document.content_base64 is None):
        raise RequestRefused(f"{document.name[:80]!r} needs either text or content_base64", "documents")
    if document.text is not None:
        return document.text.encode("utf-8", "replace")
    try:
        return base64.b64decode(document.content_base64 or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestRefused(f"{document.name[:80]!r}: content_base64 is no Base64", "documents") from error


def _write(path: Path, content: Content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        if isinstance(content, bytes):
            file.write(content)
        elif isinstance(content, Path):
            with content.open("rb") as source:
                shutil.copyfileobj(source, file)
        else:
            content.file.seek(0)
            shutil.copyfileobj(content.file, file)


def _is_folder_too(names: Sequence[str]) -> bool:
    """Tell whether a name is a folder of another one: both cannot lie on a disk."""
    wanted = set(names)
    return any(
        "/".join(name.split("/")[:depth]) in wanted
        for name in names
        for depth in range(1, name.count("/") + 1)
    )
