"""``/v1/documents``: what a collection holds."""

from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Controller, Response, delete, get, post
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, MultipartBody, QueryParameter
from sqlalchemy.orm import Session

from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.service.access import check_collection, readable
from assistant.service.controllers.jobs import show_job
from assistant.service.downloads import BYTES, Download, FileAnswer, send_file
from assistant.service.etags import check_match, tagged
from assistant.service.intake import MOST_FILES, Content, queue_documents, read_documents, read_metadata
from assistant.service.kept import Kept
from assistant.service.paging import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    Cursor,
    Limit,
    decode_cursor,
    encode_cursor,
    page_after,
)
from assistant.service.problems import AnyRequest, RequestRefused, problem_responses
from assistant.service.queued import QUEUED, accept_job
from assistant.service.refusals import Conflict
from assistant.service.schemas_documents import (
    DocumentList,
    DocumentShown,
    DocumentsRequest,
    JobShown,
    VersionList,
)
from assistant.service.uploads import Uploads, check_name
from assistant.service.wiring import Service
from assistant.store.chunks import Chunks
from assistant.store.documents import Documents, Version
from assistant.store.history import History
from assistant.store.originals import Originals
from assistant.store.reading import FoundDocument, Reading
from indexing.removal import remove_document

_ID = "doc-"
_MOST_DIGITS = 18
_MOST_VERSIONS = 2**31 - 1
VersionNumber = Annotated[int | None, QueryParameter(ge=1, le=_MOST_VERSIONS)]
_QUEUED = f"{QUEUED} What came with the same name becomes a new version."


@dataclass
class DocumentsForm:
    """Files to add; ``metadata`` is a JSON object."""

    files: list[UploadFile]
    collection: str | None = None
    metadata: str | None = None


class DocumentsController(Controller):
    """Documents."""

    path = "/v1/documents"
    tags = ("Documents",)
    opt = {"needs": "read"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="listDocuments",
        summary="List documents",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def list_documents(
        self,
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> DocumentList:
        """List a collection's documents by name."""
        name = check_collection(caller, collection or service.default_collection)
        await service.check_collection(name)
        after = decode_cursor(cursor) or ""
        page = await kept.read(lambda session: _page(session, caller, name, after, limit))
        following = encode_cursor(page[limit - 1].version.document) if len(page) > limit else None
        return DocumentList(
            data=tuple(DocumentShown.from_found(found) for found in page[:limit]), next_cursor=following
        )

    @post(
        operation_id="addDocuments",
        summary="Add documents in a JSON body",
        description=_QUEUED,
        status_code=202,
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def add(
        self,
        data: JSONBody[DocumentsRequest],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[JobShown]:
        """Add texts and files in Base64."""
        name = check_collection(caller, data.collection or service.default_collection)
        files = await kept.run(lambda: read_documents(data.documents))
        job = await kept.run(lambda: queue_documents(kept, caller, name, files, data.metadata))
        shown = await kept.run(lambda: show_job(kept, job))
        return Response(shown, status_code=202, headers={"Location": f"/v1/jobs/{job.id}"})

    @post(
        "/files",
        operation_id="uploadDocuments",
        summary="Add files",
        description=_QUEUED,
        status_code=202,
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def upload(
        self,
        data: MultipartBody[DocumentsForm],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[JobShown]:
        """Add files of a form."""
        name = check_collection(caller, data.collection or service.default_collection)
        if not 1 <= len(data.files) <= MOST_FILES:
            raise RequestRefused(f"send 1 to {MOST_FILES} files", "files")
        files: list[tuple[str, Content]] = [(check_name(file.filename), file) for file in data.files]
        metadata = read_metadata(data.metadata)
        job = await kept.run(lambda: queue_documents(kept, caller, name, files, metadata))
        shown = await kept.run(lambda: show_job(kept, job))
        return Response(shown, status_code=202, headers={"Location": f"/v1/jobs/{job.id}"})

    @get(
        "/{document_id:str}",
        operation_id="getDocument",
        summary="Show a document",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
        opt={"etag": True},
    )
    async def show(
        self,
        document_id: FromPath[str],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[DocumentShown]:
        """Show one with its ETag."""
        found = await kept.read(lambda session: _find(session, caller, document_id))
        return tagged(DocumentShown.from_found(found), request)

    @get(
        "/{document_id:str}/versions",
        operation_id="listVersions",
        summary="List a document's versions",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def versions(
        self,
        document_id: FromPath[str],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> VersionList:
        """List them, oldest first."""

        def read(session: Session) -> list[DocumentShown]:
            found = _find(session, caller, document_id)
            return [
                DocumentShown.from_version(version, found.collection)
                for version in Documents(session).versions(
                    _collection_id(session, found), found.version.document
                )
                if readable(caller, version.metadata)
            ]

        page, following = page_after(await kept.read(read), lambda row: str(row.version), cursor, limit)
        return VersionList(data=tuple(page), next_cursor=following)

    @post(
        "/{document_id:str}/versions/{number:int}/restore",
        operation_id="restoreVersion",
        summary="Let an older version answer again",
        description=f"{QUEUED} It answers until the document's file changes again. With `If-Match` only as "
        "the document was seen.",
        status_code=202,
        responses=problem_responses(400, 401, 403, 404, 409, 412, 413, 422, 429, 500),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def restore(
        self,
        document_id: FromPath[str],
        number: FromPath[int],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[JobShown]:
        """Queue it."""

        def read(session: Session) -> FoundDocument:
            found = _find(session, caller, document_id)
            check_match(request, DocumentShown.from_found(found))
            _version(session, caller, found, number)
            return found

        found = await kept.read(read)
        arguments = {"document": found.version.document, "version": number}
        return await accept_job(kept, caller, "index.restore", found.collection, arguments)

    @get(
        "/{document_id:str}/text",
        operation_id="getDocumentText",
        summary="Download a document's text",
        description="As it was read, of any version whose text is kept.",
        media_type="text/plain",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def text(
        self,
        document_id: FromPath[str],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        version: VersionNumber = None,
    ) -> Response[str]:
        """Return its chunks one after the other."""

        def read(session: Session) -> str:
            found = _find(session, caller, document_id)
            chosen = found.version if version is None else _version(session, caller, found, version)
            return "\n\n".join(chunk.text for chunk in Chunks(session).of(chosen.id))

        headers = {"Content-Disposition": f'attachment; filename="{document_id[:40]}.txt"'}
        return Response(await kept.read(read), media_type="text/plain; charset=utf-8", headers=headers)

    @get(
        "/{document_id:str}/download",
        operation_id="downloadDocument",
        summary="Download a document's file",
        description="As it came, of any version whose file is kept: `[index] originals` says which are. "
        "404 names the text where there is none.",
        media_type=BYTES,
        responses=problem_responses(400, 401, 403, 404, 416, 429, 500),
        operation_class=FileAnswer,
        opt={"etag": True},
    )
    async def download(
        self,
        document_id: FromPath[str],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        version: VersionNumber = None,
    ) -> Response[Any]:
        """Send its bytes."""

        def read(session: Session) -> Response[Any]:
            found = _find(session, caller, document_id)
            chosen = found.version if version is None else _version(session, caller, found, version)
            originals = Originals(kept.home.collection(found.collection))
            file = Download(
                path=originals.path(chosen.sha256),
                name=chosen.document,
                sha256=chosen.sha256,
                missing=f"the file of document doc-{found.number}, version {chosen.number}, is not kept; "
                f"GET /v1/documents/doc-{found.number}/text gives its text",
            )
            return send_file(request, file)

        return await kept.read(read)

    @delete(
        "/{document_id:str}",
        operation_id="deleteDocument",
        summary="Delete a document with all its versions",
        description="It stops answering at once, in every kept snapshot. With `If-Match` only as seen.",
        responses=problem_responses(400, 401, 403, 404, 409, 412, 429, 500, 503),
        opt={"needs": "manage", "audited": True},
    )
    async def remove(
        self,
        document_id: FromPath[str],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> None:
        """Delete one."""

        def work() -> None:
            with kept.database.read() as session:
                found = _find(session, caller, document_id)

            def check(session: Session) -> None:
                now = _find(session, caller, document_id)
                check_match(request, DocumentShown.from_found(now))
                if now.version.document != found.version.document:
                    raise Conflict(f"document doc-{found.number} has just been renamed")

            remove_document(found.collection, kept.home, kept.database, found.version.document, check)
            Uploads(kept.home).sweep(kept.queue)

        await kept.run(work)


def _page(session: Session, caller: Caller, collection: str, after: str, limit: int) -> list[FoundDocument]:
    """Return up to one document more than the page has that the caller may read."""
    page: list[FoundDocument] = []
    at_once = MAX_LIMIT + 1 if caller.filters else limit + 1  # who may read few asks for many of them
    while len(page) <= limit:
        found = Reading(session).documents(collection, after, at_once)
        page += [row for row in found if readable(caller, row.version.metadata)]
        if len(found) < at_once:
            break
        after = found[-1].version.document
    return page[: limit + 1]


def _find(session: Session, caller: Caller, document_id: str) -> FoundDocument:
    digits = document_id.removeprefix(_ID)
    is_id = (
        document_id.startswith(_ID) and digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS
    )
    found = Reading(session).document(int(digits)) if is_id else None
    if found is None or not caller.reads(found.collection) or not readable(caller, found.version.metadata):
        raise NotFoundError(f"no document {document_id[:64]!r}")
    return found


def _version(session: Session, caller: Caller, found: FoundDocument, number: int) -> Version:
    """Return a kept version of a document.

    Raises:
        NotFoundError: there is none for the caller.
    """
    missing = NotFoundError(f"document doc-{found.number} has no kept version {number}")
    collection = Documents(session).find_collection(found.collection)
    if collection is None or not 1 <= number <= _MOST_VERSIONS:
        raise missing
    chosen = History(session, collection).version(found.version.document, number)
    if not readable(caller, chosen.metadata):
        raise missing
    return chosen


def _collection_id(session: Session, found: FoundDocument) -> int:
    collection = Documents(session).find_collection(found.collection)
    return collection.id if collection else 0
