"""``/v1/curated-answers``: answers that a person approved."""

from collections.abc import Sequence

from litestar import Controller, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.orm import Session

from assistant.answering.curated import CuratedDraft, read_draft
from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.core.records import Citation
from assistant.service.access import check_collection, readable
from assistant.service.etags import check_match, etag, tagged
from assistant.service.intake import own_metadata
from assistant.service.kept import Kept
from assistant.service.paging import DEFAULT_LIMIT, MAX_LIMIT, Cursor, Limit, decode_number, next_number
from assistant.service.problems import AnyRequest, problem_responses
from assistant.service.schemas_knowledge import CuratedList, CuratedRequest, CuratedShown
from assistant.service.wiring import Service
from assistant.store.curated import Curated, CuratedAnswer, NewCurated, no_curated
from assistant.store.reading import Reading


class CuratedController(Controller):
    """Curated answers."""

    path = "/v1/curated-answers"
    tags = ("Curated answers",)
    opt = {"needs": "read"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="listCuratedAnswers",
        summary="List curated answers",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def list_answers(
        self,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> CuratedList:
        """List those that exist for the caller, newest first."""
        before = decode_number(cursor)
        named = [check_collection(caller, collection)] if collection else caller.collections
        rows = await kept.read(lambda session: _page(session, caller, named, before, limit))
        page, following = next_number(rows, limit)
        return CuratedList(data=tuple(map(CuratedShown.from_curated, page)), next_cursor=following)

    @post(
        operation_id="createCuratedAnswer",
        summary="Approve an answer",
        description="It is given as it stands for its wordings and for what is asked in words as good as "
        "these. Each quote must stand verbatim in its document; once that is removed, the answer is given no "
        "more.",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def create(
        self,
        data: JSONBody[CuratedRequest],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[CuratedShown]:
        """Keep one."""
        collection = check_collection(caller, data.collection or service.default_collection)
        made = await kept.write(
            lambda session: Curated(session).add(
                collection, _read(session, caller, collection, data), caller.id
            )
        )
        shown = CuratedShown.from_curated(made)
        headers = {"Location": f"/v1/curated-answers/{made.id}", "ETag": etag(shown)}
        return Response(shown, status_code=201, headers=headers)

    @get(
        "/{answer_id:str}",
        operation_id="getCuratedAnswer",
        summary="Show a curated answer",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
        opt={"etag": True},
    )
    async def show(
        self,
        answer_id: FromPath[str],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[CuratedShown]:
        """Show one with its ETag."""
        found = await kept.read(lambda session: _find(session, caller, answer_id))
        return tagged(CuratedShown.from_curated(found), request)

    @put(
        "/{answer_id:str}",
        operation_id="changeCuratedAnswer",
        summary="Put another answer in its place",
        description="With `If-Match` only as it was seen.",
        responses=problem_responses(400, 401, 403, 404, 412, 413, 429, 500),
        opt={"needs": "manage", "audited": True},
    )
    async def change(
        self,
        answer_id: FromPath[str],
        data: JSONBody[CuratedDraft],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[CuratedShown]:
        """Change one."""

        def change(session: Session) -> CuratedShown:
            found = _find(session, caller, answer_id)
            check_match(request, CuratedShown.from_curated(found))
            new = _read(session, caller, found.collection, data)
            return CuratedShown.from_curated(Curated(session).change(answer_id, new, caller.id))

        shown = await kept.write(change)
        return Response(shown, headers={"ETag": etag(shown)})

    @delete(
        "/{answer_id:str}",
        operation_id="deleteCuratedAnswer",
        summary="Take a curated answer back",
        description="With `If-Match` only as it was seen.",
        responses=problem_responses(400, 401, 403, 404, 412, 429, 500),
        opt={"needs": "manage", "audited": True},
    )
    async def remove(
        self,
        answer_id: FromPath[str],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> None:
        """Remove one."""

        def work(session: Session) -> None:
            check_match(request, CuratedShown.from_curated(_find(session, caller, answer_id)))
            Curated(session).remove(answer_id)

        await kept.write(work)


def _page(
    session: Session, caller: Caller, named: Sequence[str] | None, before: int | None, limit: int
) -> list[CuratedAnswer]:
    """Return up to one answer more than the page has that exists for the caller."""
    page: list[CuratedAnswer] = []
    at_once = MAX_LIMIT + 1 if caller.filters else limit + 1  # who may read few asks for many of them
    while len(page) <= limit:
        found = Curated(session).listed(named, before, at_once)
        page += [row for row in found if readable(caller, row.metadata)]
        if len(found) < at_once:
            break
        before = found[-1].number
    return page[: limit + 1]


def _find(session: Session, caller: Caller, answer_id: str) -> CuratedAnswer:
    found = Curated(session).get(answer_id)
    if not caller.reads(found.collection) or not readable(caller, found.metadata):
        raise no_curated(answer_id)
    return found


def _read(session: Session, caller: Caller, collection: str, data: CuratedDraft) -> NewCurated:
    """Return what a request wants kept, within what the caller may read.

    Raises:
        NotFoundError: it cites a document that does not exist for the caller.
        Forbidden: its metadata would make it exist for others.
    """
    metadata: dict[str, str | list[str]] = {**own_metadata(caller, data.metadata)}
    draft = CuratedDraft(
        **{name: getattr(data, name) for name in CuratedDraft.__struct_fields__} | {"metadata": metadata}
    )
    new = read_draft(session, collection, draft)
    for citation in new.citations:
        _check_readable(session, caller, collection, citation)
    return new


def _check_readable(session: Session, caller: Caller, collection: str, citation: Citation) -> None:
    found = Reading(session).at_path(collection, citation.document)
    if found is None or not readable(caller, found.version.metadata):
        raise NotFoundError(f"no document {citation.document[:200]!r}")
