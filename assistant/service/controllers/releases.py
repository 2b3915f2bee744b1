"""``/v1/releases``: what is served, put together, proven, switched to and taken back."""

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.orm import Session

from assistant.answering.releases import differences
from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.service.access import check_collection, check_whole
from assistant.service.etags import check_match, etag, tagged
from assistant.service.kept import Kept
from assistant.service.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number, next_number, page_after
from assistant.service.problems import AnyRequest, problem_responses
from assistant.service.queued import QUEUED, accept_job
from assistant.service.releasing import make_release, serve_before
from assistant.service.schemas_documents import JobShown
from assistant.service.schemas_training import (
    Difference,
    ReleaseDiff,
    ReleaseHistory,
    ReleaseList,
    ReleaseRequest,
    ReleaseShown,
)
from assistant.service.wiring import Service
from assistant.store.releases import Release, ReleaseEvent, Releases

_READ = problem_responses(400, 401, 403, 404, 429, 500)


class ReleasesController(Controller):
    """Releases."""

    path = "/v1/releases"
    tags = ("Releases",)
    opt = {"needs": "manage"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="listReleases",
        summary="List releases",
        description="Not for keys that are held to some documents: releases are made from all of them.",
        responses=_READ,
    )
    async def list_releases(
        self,
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> ReleaseList:
        """List a collection's releases, newest first."""
        check_whole(caller)
        name = check_collection(caller, collection or service.default_collection)
        await service.check_collection(name)
        rows = await kept.read(lambda session: Releases(session).of(name))
        page, following = page_after(rows, lambda row: row.id, cursor, limit)
        return ReleaseList(data=tuple(map(_shown, page)), next_cursor=following)

    @post(
        operation_id="createRelease",
        summary="Put a release together",
        description="Of the served snapshot, an adapter, the prompts, the service's settings and a report. "
        "The same content is the same release.",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500, 503),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def create(
        self,
        data: JSONBody[ReleaseRequest],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[ReleaseShown]:
        """Make one."""
        check_whole(caller)
        name = check_collection(caller, data.collection or service.default_collection)
        shown = _shown(await kept.run(lambda: make_release(kept, service.settings, caller, name, data)))
        headers = {"Location": f"/v1/releases/{shown.id}", "ETag": etag(shown)}
        return Response(shown, status_code=201, headers=headers)

    @get(
        "/{release_id:str}",
        operation_id="getRelease",
        summary="Show a release",
        responses=_READ,
        opt={"etag": True},
    )
    async def show(
        self,
        release_id: FromPath[str],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[ReleaseShown]:
        """Show one with its ETag, which changes with its state."""
        found = await kept.read(lambda session: _find(session, caller, release_id))
        return tagged(_shown(found), request)

    @get(
        "/{release_id:str}/history",
        operation_id="listReleaseEvents",
        summary="Show what was done with a release",
        responses=_READ,
    )
    async def history(
        self,
        release_id: FromPath[str],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> ReleaseHistory:
        """List it, newest first."""
        before = decode_number(cursor)

        def read(session: Session) -> list[ReleaseEvent]:
            found = _find(session, caller, release_id)
            return Releases(session).history(found, before, limit + 1)

        page, following = next_number(await kept.read(read), limit)
        return ReleaseHistory(data=tuple(page), next_cursor=following)

    @get(
        "/{release_id:str}/diff",
        operation_id="diffReleases",
        summary="Show what differs from another release",
        responses=_READ,
    )
    async def diff(
        self,
        release_id: FromPath[str],
        against: FromQuery[str],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> ReleaseDiff:
        """Show what is another way in this one than in ``against``."""

        def read(session: Session) -> ReleaseDiff:
            new, old = _find(session, caller, release_id), _find(session, caller, against)
            rows = differences(old.content, new.content)
            data = tuple(Difference(name=name, old=left, new=right) for name, left, right in rows)
            return ReleaseDiff(old=old.id, new=new.id, data=data)

        return await kept.read(read)

    @post(
        "/{release_id:str}/promote",
        operation_id="promoteRelease",
        summary="Prove a release and serve it",
        description=f"{QUEUED} The gate judges its report, canary and parity its adapter; running services "
        "switch within a second or two. With `If-Match` only as it was seen; where another one is promoted "
        "meanwhile, the job fails.",
        status_code=202,
        responses=problem_responses(400, 401, 403, 404, 409, 412, 413, 422, 429, 500),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def promote(
        self,
        release_id: FromPath[str],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[JobShown]:
        """Queue it."""

        def read(session: Session) -> tuple[Release, str | None]:
            found = _find(session, caller, release_id)
            check_match(request, _shown(found))
            active = Releases(session).active(found.content.collection)
            return found, active.id if active else None

        found, before = await kept.read(read)
        arguments = {"release": found.id, "before": before, "actor": caller.id}
        return await accept_job(kept, caller, "release.promote", found.content.collection, arguments)

    @post(
        "/{release_id:str}/rollback",
        operation_id="rollbackRelease",
        summary="Take the served release back",
        description="The one before is served again; it was proven when it was promoted. With `If-Match` "
        "only as it was seen.",
        status_code=200,
        responses=problem_responses(400, 401, 403, 404, 409, 412, 413, 422, 429, 500, 503),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def rollback(
        self,
        release_id: FromPath[str],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[ReleaseShown]:
        """Serve the one before and return it."""

        def work() -> Release:
            with kept.database.read() as session:
                found = _find(session, caller, release_id)
            check_match(request, _shown(found))
            return serve_before(kept, caller, found)

        shown = _shown(await kept.run(work))
        return Response(shown, headers={"ETag": etag(shown)})


def _find(session: Session, caller: Caller, release_id: str) -> Release:
    check_whole(caller)
    found = Releases(session).get(release_id)
    if found is None or not caller.reads(found.content.collection):
        raise NotFoundError(f"no release {release_id[:64]!r}")
    return found


def _shown(release: Release) -> ReleaseShown:
    return ReleaseShown(
        id=release.id,
        collection=release.content.collection,
        state=release.state,
        created=release.created,
        is_whole=release.is_whole,
        content=release.content,
    )
