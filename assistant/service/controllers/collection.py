"""``/v1/collections``: what there is to ask."""

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.orm import Session

from assistant.core.access import Caller
from assistant.core.records import Arm
from assistant.service.access import check_collection, readable
from assistant.service.etags import tagged
from assistant.service.kept import Kept
from assistant.service.paging import DEFAULT_LIMIT, Cursor, Limit, page_after
from assistant.service.problems import AnyRequest, problem_responses
from assistant.service.refusals import Conflict
from assistant.service.schemas_documents import CollectionList, CollectionRequest, CollectionShown
from assistant.service.wiring import UNTUNED, Service
from assistant.store.documents import Documents


class CollectionsController(Controller):
    """Collections."""

    path = "/v1/collections"
    tags = ("Collections",)
    opt = {"needs": "read"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="listCollections",
        summary="List collections",
        responses=problem_responses(400, 401, 403, 429, 500),
    )
    async def list_collections(
        self,
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> CollectionList:
        """List those that exist for the caller."""
        arms = {name: arms for name, arms in await service.models() if caller.reads(name)}
        page, following = page_after(sorted(arms), str, cursor, limit)
        shown = [await _show(name, arms[name], kept, caller) for name in page]
        return CollectionList(data=tuple(shown), next_cursor=following)

    @post(
        operation_id="createCollection",
        summary="Make an empty collection",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def create(
        self,
        data: JSONBody[CollectionRequest],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[CollectionShown]:
        """Make one."""
        name = check_collection(caller, data.name)
        kept.home.collection(name)

        def make(session: Session) -> None:
            if Documents(session).find_collection(name) is not None:
                raise Conflict(f"there is a collection {name!r} already")
            Documents(session).make_collection(name)

        await kept.write(make)
        shown = await _show(name, UNTUNED, kept, caller)
        return Response(shown, status_code=201, headers={"Location": f"/v1/collections/{name}"})

    @get(
        "/{name:str}",
        operation_id="getCollection",
        summary="Show a collection",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
        opt={"etag": True},
    )
    async def show(
        self,
        name: FromPath[str],
        request: AnyRequest,
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[CollectionShown]:
        """Show one with its ETag, which changes with what answers."""
        await service.check_collection(check_collection(caller, name))
        arms = dict(await service.models()).get(name, UNTUNED)
        return tagged(await _show(name, arms, kept, caller), request)


async def _show(name: str, arms: tuple[Arm, ...], kept: Kept, caller: Caller) -> CollectionShown:
    def read(session: Session) -> tuple[int, int]:
        documents = Documents(session)
        found = documents.find_collection(name)
        if found is None:
            return 0, 0
        if not caller.filters:
            return documents.live_count(found.id), found.generation
        live = documents.live_versions(found.id)
        return sum(readable(caller, version.metadata) for version in live), found.generation

    count, generation = await kept.read(read)
    if caller.filters:
        arms = tuple(arm for arm in arms if arm in {"base", "rag"})
    return CollectionShown(name=name, document_count=count, generation=generation, arms=arms)
