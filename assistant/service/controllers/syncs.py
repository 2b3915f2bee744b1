"""``/v1/syncs``: collections made equal to folders of the service's machine."""

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.jobs.listing import page_of_jobs
from assistant.jobs.records import JobKind
from assistant.service.access import check_collection, check_whole
from assistant.service.controllers.jobs import find_job, show_job
from assistant.service.intake import own_metadata
from assistant.service.kept import Kept
from assistant.service.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number, encode_cursor
from assistant.service.problems import problem_responses
from assistant.service.queued import QUEUED, accept_job, generation_of
from assistant.service.schemas_documents import JobShown
from assistant.service.schemas_knowledge import SyncFolderShown, SyncList, SyncRequest
from assistant.service.wiring import Service

_KIND: JobKind = "index.sync"


class SyncsController(Controller):
    """Syncs."""

    path = "/v1/syncs"
    tags = ("Syncs",)
    opt = {"needs": "manage"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="listSyncs",
        summary="List syncs, and the folders there are",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def list_syncs(
        self,
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> SyncList:
        """List them, newest first."""
        check_whole(caller)
        before = decode_number(cursor)
        named = [check_collection(caller, collection)] if collection else caller.collections

        def read() -> SyncList:
            with kept.database.read() as session:
                rows = page_of_jobs(session, before=before, limit=limit + 1, collections=named, kind=_KIND)
            following = encode_cursor(str(rows[limit - 1][0])) if len(rows) > limit else None
            shown = tuple(show_job(kept, job) for _, job in rows[:limit])
            return SyncList(data=shown, folders=_folders(service, caller), next_cursor=following)

        return await kept.run(read)

    @post(
        operation_id="createSync",
        summary="Make a collection equal to a folder",
        description=f"{QUEUED} New files are added, changed ones replaced, moved ones renamed, and documents "
        "whose files are gone removed.",
        status_code=202,
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def create(
        self,
        data: JSONBody[SyncRequest],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[JobShown]:
        """Queue one."""
        check_whole(caller)
        name = check_collection(caller, data.collection or service.default_collection)
        folder = service.settings.syncs.folders.get(data.folder)
        if folder is None or name not in folder.collections:
            raise NotFoundError(f"no folder {data.folder!r} for collection {name!r} in [syncs] folders")
        arguments = {
            "folder": folder.path,
            "metadata": own_metadata(caller, data.metadata),
            "may_remove_most": data.may_remove_most,
            "is_dry_run": data.is_dry_run,
            "since": await kept.run(lambda: generation_of(kept, name)),
        }
        return await accept_job(kept, caller, _KIND, name, arguments)

    @get(
        "/{sync_id:str}",
        operation_id="getSync",
        summary="Show a sync and what it did",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def show(
        self, sync_id: FromPath[str], kept: NamedDependency[Kept], caller: NamedDependency[Caller]
    ) -> JobShown:
        """Show one."""
        check_whole(caller)

        def read() -> JobShown:
            found = find_job(kept, caller, sync_id)
            if found.kind != _KIND:
                raise NotFoundError(f"no sync {sync_id[:64]!r}")
            return show_job(kept, found)

        return await kept.run(read)


def _folders(service: Service, caller: Caller) -> tuple[SyncFolderShown, ...]:
    """Return the folders with the collections that exist for the caller."""
    found = (
        (name, tuple(row for row in folder.collections if caller.reads(row)))
        for name, folder in sorted(service.settings.syncs.folders.items())
    )
    return tuple(SyncFolderShown(name=name, collections=rows) for name, rows in found if rows)
