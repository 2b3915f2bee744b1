"""``/v1/answers``: questions and answers in our own shape, stored with what they were made from."""

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from assistant.answering.composing import GenerationOptions
from assistant.answering.events import Question
from assistant.core.access import Caller
from assistant.service.asking import Ask, Desk, finish
from assistant.service.controllers.chat import event_stream, first_event, unless_disconnected
from assistant.service.kept import Kept
from assistant.service.lineage import example_ids
from assistant.service.native_stream import native_stream
from assistant.service.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number, next_number
from assistant.service.problems import AnyRequest, RequestRefused, problem_responses
from assistant.service.schemas_answers import (
    AnswerList,
    AnswerReply,
    AnswerRequest,
    AnswerShown,
    AnswerStreamData,
)
from assistant.service.turns import SUMMARISED_TURNS, conversation_history, find_answer, read_history
from assistant.service.wiring import Service
from assistant.store.adapters import Adapters
from assistant.store.answers import Answers

_STREAM = ResponseSpec(
    data_container=AnswerStreamData,  # type: ignore[arg-type]
    description="With `stream: true`: events `passages`, `token`, `citations` and `done`, or `error`",
    media_type="text/event-stream",
    generate_examples=False,
)


class AnswersController(Controller):
    """Answers."""

    path = "/v1/answers"
    tags = ("Answers",)
    opt = {"needs": "ask"}  # noqa: RUF012 - as Litestar declares it

    @post(
        operation_id="createAnswer",
        summary="Ask a question",
        description="Passages come first, so that a client may stop before a word is written; citations come "
        "last and are those that hold. The answer is stored before `done` is sent.",
        responses={200: _STREAM, **problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503)},
        opt={"idempotent": True},
    )
    async def ask(
        self,
        data: JSONBody[AnswerRequest],
        request: AnyRequest,
        service: NamedDependency[Service],
        desk: NamedDependency[Desk],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[AnswerReply] | Stream:
        """Answer a question."""
        asked = await _read(data, service, kept, caller)
        events = await desk.ask(caller, asked)
        if not data.stream:
            answer = await unless_disconnected(finish(events), request)
            reply = AnswerReply.from_answer(answer, asked.collection, asked.conversation_id)
            return Response(reply, status_code=201, headers={"Location": f"/v1/answers/{answer.id}"})
        first = await unless_disconnected(first_event(events), request)
        body = native_stream(first, events, asked)
        return event_stream(body, events)

    @get(
        operation_id="listAnswers",
        summary="List one's answers",
        responses=problem_responses(400, 401, 403, 429, 500),
    )
    async def list_answers(
        self,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> AnswerList:
        """List what the caller asked, newest first."""
        before = decode_number(cursor)
        rows = await kept.read(
            lambda session: Answers(session).listed(
                before=before, limit=limit + 1, key_id=caller.id, collections=caller.collections
            )
        )
        page, following = next_number(rows, limit)
        return AnswerList(data=tuple(page), next_cursor=following)

    @get(
        "/{answer_id:str}",
        operation_id="getAnswer",
        summary="Show an answer and what it was made from",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def show(
        self, answer_id: FromPath[str], kept: NamedDependency[Kept], caller: NamedDependency[Caller]
    ) -> AnswerShown:
        """Show one with its lineage."""

        def read() -> AnswerShown:
            with kept.database.read() as session:
                found = find_answer(session, answer_id, caller)
                adapter = Adapters(session).find(found.lineage.adapter) if found.lineage.adapter else None
            documents: dict[str, list[int]] = {}
            for citation in found.citations:
                versions = documents.setdefault(citation.document, [])
                if citation.version not in versions:
                    versions.append(citation.version)
            return AnswerShown(
                answer=found,
                documents=documents,
                lineage=found.lineage,
                example_ids=example_ids(kept.home, found, adapter),
            )

        return await kept.run(read)


async def _read(data: AnswerRequest, service: Service, kept: Kept, caller: Caller) -> Ask:
    settings = service.settings
    history, collection = read_history(data.history), data.collection
    if data.conversation_id is not None:
        named = data.conversation_id
        # those before the turns that the engine reads word for word are summarised for it
        turns = SUMMARISED_TURNS if settings.answer.history_turns else 0
        if history:
            raise RequestRefused("give a conversation_id or a history, not both", "history")
        found, history = await kept.read(
            lambda session: conversation_history(
                session, named, caller, turns, settings.limits.conversation_turns
            )
        )
        if collection not in {None, found.collection}:
            raise RequestRefused(f"the conversation is about {found.collection!r}", "collection")
        collection = found.collection
    most = settings.engine.max_new_tokens
    return Ask(
        collection=collection or service.default_collection,
        arm=data.arm,
        question=Question(text=data.question, history=history, filters=data.filters),
        options=GenerationOptions(
            max_new_tokens=min(data.max_tokens or most, most), temperature=data.temperature, seed=data.seed
        ),
        conversation_id=data.conversation_id,
    )
