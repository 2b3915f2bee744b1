"""``/v1/uploads``: large files in pieces, taken up again after whatever ended in between."""

from dataclasses import dataclass
from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody
from litestar.openapi.spec import Schema as OpenAPISchema
from litestar.params import FromPath, HeaderParameter, JSONBody

from assistant.core.access import Caller
from assistant.service.access import check_collection
from assistant.service.controllers.jobs import show_job
from assistant.service.kept import Kept
from assistant.service.paging import DEFAULT_LIMIT, Cursor, Limit, page_after
from assistant.service.problems import AnyRequest, problem_responses
from assistant.service.queued import QUEUED
from assistant.service.resumable import Parts, append_piece, begin_upload, complete_upload, delete_upload
from assistant.service.schemas_documents import JobShown
from assistant.service.schemas_uploads import UploadList, UploadRequest, UploadShown
from assistant.service.wiring import Service
from assistant.store.uploads import Upload, UploadRows

Offset = Annotated[int, HeaderParameter(name="Upload-Offset", ge=0, le=2**50)]


@dataclass
class RawBody(Operation):
    """Documents a body of bytes; the generator knows none that is read as it comes."""

    def __post_init__(self) -> None:
        """Add it."""
        schema = OpenAPISchema(type=OpenAPIType.STRING, content_media_type="application/octet-stream")
        content = {"application/octet-stream": OpenAPIMediaType(schema=schema)}
        self.request_body = RequestBody(content=content, required=True)


class UploadsController(Controller):
    """Uploads."""

    path = "/v1/uploads"
    tags = ("Documents",)
    opt = {"needs": "manage"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="listUploads",
        summary="List one's unfinished uploads",
        responses=problem_responses(400, 401, 403, 429, 500),
    )
    async def list_uploads(
        self,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> UploadList:
        """List them with how much of each is there."""
        rows = await kept.read(lambda session: UploadRows(session).of(caller.id))
        page, following = page_after(rows, lambda row: row.id, cursor, limit)
        return UploadList(data=tuple([await _show(kept, row) for row in page]), next_cursor=following)

    @post(
        operation_id="createUpload",
        summary="Begin an upload in pieces",
        description="Then PATCH its bytes, in pieces of any size and in order, and complete it. It survives "
        "a restart of the service and is given up after `[limits] upload_hours`.",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500, 507),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def begin(
        self,
        data: JSONBody[UploadRequest],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[UploadShown]:
        """Begin one."""
        name = check_collection(caller, data.collection or service.default_collection)
        limits = service.settings.limits
        made = await kept.run(lambda: begin_upload(kept, limits, caller, name, data))
        shown = await _show(kept, made)
        return Response(shown, status_code=201, headers={"Location": f"/v1/uploads/{made.id}"})

    @get(
        "/{upload_id:str}",
        operation_id="getUpload",
        summary="Show an upload",
        description="`offset` says where the next piece begins.",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def show(
        self, upload_id: FromPath[str], kept: NamedDependency[Kept], caller: NamedDependency[Caller]
    ) -> UploadShown:
        """Show one."""
        return await _show(kept, await _find(kept, caller, upload_id))

    @patch(
        "/{upload_id:str}",
        operation_id="appendToUpload",
        summary="Send the next bytes",
        description="`Upload-Offset` is the number of bytes sent before; where another one is expected, 409 "
        "says which. What came before a connection broke off is kept.",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 429, 500, 507),
        operation_class=RawBody,
    )
    async def append(
        self,
        upload_id: FromPath[str],
        offset: Offset,
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> UploadShown:
        """Append a piece."""
        found = await _find(kept, caller, upload_id)
        await append_piece(kept, found, offset, request.stream())
        return await _show(kept, found)

    @post(
        "/{upload_id:str}/complete",
        operation_id="completeUpload",
        summary="Add the uploaded file",
        description=f"{QUEUED} Size and, where it was given, SHA-256 are checked first.",
        status_code=202,
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def complete(
        self, upload_id: FromPath[str], kept: NamedDependency[Kept], caller: NamedDependency[Caller]
    ) -> Response[JobShown]:
        """Queue its job."""
        found = await _find(kept, caller, upload_id)
        job = await kept.run(lambda: complete_upload(kept, caller, found))
        shown = await kept.run(lambda: show_job(kept, job))
        return Response(shown, status_code=202, headers={"Location": f"/v1/jobs/{job.id}"})

    @delete(
        "/{upload_id:str}",
        operation_id="deleteUpload",
        summary="Give an upload up",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
        opt={"needs": "manage", "audited": True},
    )
    async def remove(
        self, upload_id: FromPath[str], kept: NamedDependency[Kept], caller: NamedDependency[Caller]
    ) -> None:
        """Delete one."""
        found = await _find(kept, caller, upload_id)
        await kept.run(lambda: delete_upload(kept, found))


async def _find(kept: Kept, caller: Caller, upload_id: str) -> Upload:
    return await kept.read(lambda session: UploadRows(session).get(upload_id, caller.id))


async def _show(kept: Kept, upload: Upload) -> UploadShown:
    return UploadShown.from_upload(upload, await kept.run(lambda: Parts(kept).offset(upload)))
