"""``/v1/chat/completions``: questions in OpenAI's shape."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from litestar import Controller, Response, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, Schema
from litestar.params import HeaderParameter, JSONBody
from litestar.response import Stream
from litestar.types import ExceptionHandlersMap
from sqlalchemy.orm import Session

from assistant.answering.events import AnswerEvent
from assistant.core.access import Caller
from assistant.core.errors import EngineError, NotFoundError
from assistant.service.asking import Ask, Desk, finish
from assistant.service.chat import Reply
from assistant.service.chat_requests import ModelNamed, read_model, to_options, to_question
from assistant.service.kept import Kept
from assistant.service.problems import OPENAI_HANDLERS, AnyRequest, openai_responses
from assistant.service.schemas_chat import ChatChunk, ChatCompletion, ChatRequest
from assistant.service.sse import answer_stream
from assistant.service.wiring import Service
from assistant.store.releases import Releases

T = TypeVar("T")
_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


_ERRORS = (400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503)
_ANSWERS = ResponseSpec(
    data_container=ChatCompletion | ChatChunk,  # type: ignore[arg-type]
    description="The answer; with `stream: true` as events",
    generate_examples=False,
)


@dataclass
class TwoMediaTypes(Operation):
    """Documents a whole answer as JSON and a streamed one as events; the generator knows one type only."""

    def __post_init__(self) -> None:
        """Split what was generated."""
        answer = (self.responses or {}).get("200")
        if not isinstance(answer, OpenAPIResponse) or not answer.content:
            return
        union = answer.content["application/json"].schema
        if isinstance(union, Schema) and union.one_of:
            whole, event = union.one_of
            answer.content = {
                "application/json": OpenAPIMediaType(schema=whole),
                "text/event-stream": OpenAPIMediaType(schema=event),
            }


class ChatController(Controller):
    """Chat completions."""

    path = "/v1/chat"
    tags = ("OpenAI's shape",)
    exception_handlers: ExceptionHandlersMap = OPENAI_HANDLERS
    opt = {"needs": "ask"}  # noqa: RUF012 - as Litestar declares it

    @post(
        "/completions",
        operation_id="createChatCompletion",
        summary="Ask a question",
        description="Answers from the collection's documents, with inline `[n]`, OpenAI's `annotations` and "
        "`context.citations`. With `stream: true` the answer comes as server-sent events, the citations of "
        "the whole context in the first chunk and those that hold in the last one with choices, there in "
        "`deskmate.context`.",
        status_code=200,
        responses={200: _ANSWERS, **openai_responses(*_ERRORS)},
        operation_class=TwoMediaTypes,
        opt={"idempotent": True},
    )
    async def complete(
        self,
        data: JSONBody[ChatRequest],
        request: AnyRequest,
        service: NamedDependency[Service],
        desk: NamedDependency[Desk],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        is_strict: Annotated[bool, HeaderParameter(name="X-Deskmate-Strict")] = False,  # noqa: FBT002
    ) -> Response[ChatCompletion] | Stream:
        """Answer the last message."""
        asked = await _read(data, service, kept, caller)
        reply = _reply(data, asked, str(request.base_url), is_strict=is_strict or data.strict)
        events = await desk.ask(caller, asked)
        if not data.stream:
            answer = await unless_disconnected(finish(events), request)
            return Response(reply.whole(answer), headers={"Content-Location": f"/v1/answers/{answer.id}"})
        first = await unless_disconnected(first_event(events), request)
        include_usage = bool(data.stream_options and data.stream_options.include_usage)
        body = answer_stream(first, events, reply, include_usage=include_usage)
        return event_stream(body, events)


async def _read(data: ChatRequest, service: Service, kept: Kept, caller: Caller) -> Ask:
    named = read_model(data.model, service.default_collection)
    collection, release = named.collection or "", None
    if named.release is not None:  # else there are no rows to read, behind those that write answers
        collection, release = await kept.read(lambda session: _served(session, named, caller))
    return Ask(
        collection=collection,
        release=release,
        arm=named.arm,
        question=to_question(data, service.settings.answer.history_turns),
        options=to_options(data, service.settings.engine.max_new_tokens),
    )


def _served(session: Session, named: ModelNamed, caller: Caller) -> tuple[str, str | None]:
    """Return the collection and the release that a release's name asks for; None is the served one.

    Raises:
        NotFoundError: there is no such release for the caller; one that nothing proved is for owners only.
    """
    wanted = named.release or ""
    missing = NotFoundError(f"no release {wanted[:64]!r}")
    found = Releases(session).get(wanted)
    if found is None or named.collection not in {None, found.content.collection}:
        raise missing
    is_proven = found.state in {"active", "superseded"}
    if not caller.reads(found.content.collection) or not (is_proven or caller.may("manage")):
        raise missing
    if found.state == "retired":
        raise NotFoundError(f"release {found.id} was retired")
    return found.content.collection, None if found.state == "active" else found.id


def _reply(data: ChatRequest, asked: Ask, page_url: str, *, is_strict: bool) -> Reply:
    include_usage = bool(data.stream_options and data.stream_options.include_usage)
    return Reply(
        data.model or asked.collection,
        asked.options,
        page_url,
        include_usage=include_usage,
        is_strict=is_strict,
    )


def event_stream(body: AsyncGenerator[bytes, None], events: AsyncGenerator[AnswerEvent, None]) -> Stream:
    """Return a body of server-sent events as a response that frees the engine when the client leaves."""
    return Stream(
        body,
        media_type="text/event-stream",
        status_code=200,
        headers=_STREAM_HEADERS,
        # a client that leaves may leave the generator suspended: free the engine now, not at the
        # next garbage collection
        background=BackgroundTask(_close, body, events),
    )


async def first_event(events: AsyncGenerator[AnswerEvent, None]) -> AnswerEvent:
    """Return the first event; cancelled while it waits, it gives its place in the queue back.

    Raises:
        EngineError: there is none.
    """
    try:
        return await anext(events)
    except StopAsyncIteration as error:
        raise EngineError("the answer ended before it began") from error
    except BaseException:
        await events.aclose()
        raise


async def _close(*generators: AsyncGenerator[Any, None]) -> None:
    for generator in generators:
        await generator.aclose()


async def unless_disconnected(work: Coroutine[Any, Any, T], request: AnyRequest) -> T:
    """Return the work's result; cancel it when the client leaves."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise EngineError("the client has gone")
        return await working
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _disconnected(request: AnyRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
