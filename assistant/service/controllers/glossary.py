"""``/v1/glossary``: customers' words for the documents' words."""

from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from assistant.core.access import Caller
from assistant.core.errors import InputError, NotFoundError
from assistant.service.access import check_collection, check_whole
from assistant.service.etags import check_match, etag, tagged
from assistant.service.kept import Kept
from assistant.service.paging import DEFAULT_LIMIT, Cursor, Limit, cut, decode_cursor, encode_cursor
from assistant.service.problems import AnyRequest, RequestRefused, problem_responses
from assistant.service.queued import QUEUED, accept_job, generation_of
from assistant.service.schemas_documents import JobShown
from assistant.service.schemas_knowledge import MineRequest, TermChange, TermList, TermRequest, TermShown
from assistant.service.wiring import Service
from indexing.glossary import Term, TermState, edit_glossary, own_term, read_glossary

_WHOLE = "Not for keys that are held to some documents: terms come from all of them."


class GlossaryController(Controller):
    """The glossary."""

    path = "/v1/glossary"
    tags = ("Glossary",)
    opt = {"needs": "read"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="listTerms",
        summary="List terms",
        description=_WHOLE,
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def list_terms(
        self,
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
        in_state: Annotated[TermState | None, QueryParameter(name="state")] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> TermList:
        """List them by id."""
        check_whole(caller)
        name = check_collection(caller, collection or service.default_collection)
        after = decode_cursor(cursor) or ""

        def read() -> list[Term]:
            generation_of(kept, name)
            found = read_glossary(kept.home.collection(name))
            return sorted(
                (term for term in found if term.id > after and in_state in {None, term.state}),
                key=lambda term: term.id,
            )

        page, has_more = cut(await kept.run(read), limit)
        following = encode_cursor(page[-1].id) if has_more else None
        return TermList(data=tuple(map(TermShown.from_term, page)), next_cursor=following)

    @post(
        operation_id="createTerm",
        summary="Add a term",
        description="It is approved and widens the search from then on.",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def add(
        self,
        data: JSONBody[TermRequest],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[TermShown]:
        """Add one of one's own."""
        check_whole(caller)
        name = check_collection(caller, data.collection or service.default_collection)
        try:
            term = own_term(data.said, data.meant)
        except InputError as error:
            raise RequestRefused(error.message, "said") from error

        def add() -> None:
            generation_of(kept, name)
            with edit_glossary(kept.home.collection(name)) as terms:
                terms[term.id] = term

        await kept.run(add)
        shown = TermShown.from_term(term)
        headers = {"Location": f"/v1/glossary/{term.id}?collection={name}", "ETag": etag(shown)}
        return Response(shown, status_code=201, headers=headers)

    @post(
        "/mine",
        operation_id="mineTerms",
        summary="Propose terms from tickets and dialogues",
        description=QUEUED,
        status_code=202,
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500),
        opt={"needs": "manage", "idempotent": True, "audited": True},
    )
    async def mine(
        self,
        data: JSONBody[MineRequest],
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[JobShown]:
        """Queue the job."""
        check_whole(caller)
        name = check_collection(caller, data.collection or service.default_collection)
        return await accept_job(kept, caller, "glossary.mine", name, {})

    @get(
        "/{term_id:str}",
        operation_id="getTerm",
        summary="Show a term",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
        opt={"etag": True},
    )
    async def show(
        self,
        term_id: FromPath[str],
        request: AnyRequest,
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
    ) -> Response[TermShown]:
        """Show one with its ETag."""
        check_whole(caller)
        name = check_collection(caller, collection or service.default_collection)

        def read() -> TermShown:
            terms = {term.id: term for term in read_glossary(kept.home.collection(name))}
            return TermShown.from_term(_pick(terms, term_id))

        return tagged(await kept.run(read), request)

    @patch(
        "/{term_id:str}",
        operation_id="changeTerm",
        summary="Approve or reject a term",
        description="What is rejected is not proposed again. With `If-Match` only as it was seen.",
        responses=problem_responses(400, 401, 403, 404, 412, 413, 429, 500),
        opt={"needs": "manage", "audited": True},
    )
    async def change(
        self,
        term_id: FromPath[str],
        data: JSONBody[TermChange],
        request: AnyRequest,
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
    ) -> Response[TermShown]:
        """Decide on one."""
        check_whole(caller)
        name = check_collection(caller, collection or service.default_collection)

        def change() -> TermShown:
            with edit_glossary(kept.home.collection(name)) as terms:
                term = _pick(terms, term_id)
                check_match(request, TermShown.from_term(term))
                terms[term_id] = _in_state(term, data.state)
            return TermShown.from_term(terms[term_id])

        shown = await kept.run(change)
        return Response(shown, headers={"ETag": etag(shown)})

    @delete(
        "/{term_id:str}",
        operation_id="deleteTerm",
        summary="Delete a term",
        description="Mining may propose it again. With `If-Match` only as it was seen.",
        responses=problem_responses(400, 401, 403, 404, 412, 429, 500),
        opt={"needs": "manage", "audited": True},
    )
    async def remove(
        self,
        term_id: FromPath[str],
        request: AnyRequest,
        service: NamedDependency[Service],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        collection: FromQuery[str | None] = None,
    ) -> None:
        """Delete one."""
        check_whole(caller)
        name = check_collection(caller, collection or service.default_collection)

        def remove() -> None:
            with edit_glossary(kept.home.collection(name)) as terms:
                check_match(request, TermShown.from_term(_pick(terms, term_id)))
                del terms[term_id]

        await kept.run(remove)


def _pick(terms: dict[str, Term], term_id: str) -> Term:
    if term_id not in terms:
        raise NotFoundError(f"no term {term_id[:64]!r}")
    return terms[term_id]


def _in_state(term: Term, state: TermState) -> Term:
    values = {name: getattr(term, name) for name in Term.__struct_fields__}
    return Term(**(values | {"state": state}))
