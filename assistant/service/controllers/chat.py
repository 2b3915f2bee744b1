"""``/v1/chat/completions``: questions in OpenAI's shape."""

import asyncio
import functools
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from litestar import Controller, Response, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, Schema
from litestar.params import JSONBody
from litestar.response import Stream
from litestar.types import ExceptionHandlersMap

from assistant.answering.events import AnswerDone, AnswerEvent
from assistant.core.errors import EngineError
from assistant.core.records import Answer
from assistant.service.chat import Reply, read_model, to_options, to_question
from assistant.service.crossing import iterate_off_loop
from assistant.service.problems import OPENAI_HANDLERS, AnyRequest, openai_responses
from assistant.service.schemas import ChatChunk, ChatCompletion, ChatRequest
from assistant.service.sse import answer_stream
from assistant.service.wiring import Service

T = TypeVar("T")
_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


_ANSWERS = ResponseSpec(
    data_container=ChatCompletion | ChatChunk,
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

    @post(
        "/completions",
        operation_id="createChatCompletion",
        summary="Ask a question",
        description="Answers from the collection's documents, with inline `[n]`, OpenAI's `annotations` and "
        "`context.citations`. With `stream: true` the answer comes as server-sent events, the citations of "
        "the whole context in the first chunk and those that hold in the last one with choices.",
        status_code=200,
        responses={200: _ANSWERS, **openai_responses(400, 401, 403, 404, 413, 429, 500, 502, 503)},
        operation_class=TwoMediaTypes,
    )
    async def complete(
        self, data: JSONBody[ChatRequest], request: AnyRequest, service: NamedDependency[Service]
    ) -> Response[ChatCompletion] | Stream:
        """Answer the last message."""
        events, reply = await _ask(data, service, str(request.base_url))
        if not data.stream:
            answer = await _unless_disconnected(_finish(events), request)
            return Response(reply.whole(answer))
        first = await anext(events)
        include_usage = bool(data.stream_options and data.stream_options.include_usage)
        body = answer_stream(first, events, reply, include_usage=include_usage)
        return Stream(
            body,
            media_type="text/event-stream",
            headers=_STREAM_HEADERS,
            # a client that leaves may leave the generator suspended: free the engine now, not at the
            # next garbage collection
            background=BackgroundTask(_close, body, events),
        )


async def _ask(
    data: ChatRequest, service: Service, page_url: str
) -> tuple[AsyncGenerator[AnswerEvent, None], Reply]:
    collection, arm = read_model(data.model, service.default_collection)
    question = to_question(data, service.settings.answer.history_turns)
    options = to_options(data, service.settings.engine.max_new_tokens)
    pipeline = await service.pipeline(collection)
    service.check_queue()
    reply = Reply(
        data.model or collection,
        options,
        page_url,
        include_usage=bool(data.stream_options and data.stream_options.include_usage),
    )
    work = functools.partial(pipeline.stream, question, arm, options)
    return iterate_off_loop(work, service.answering), reply


async def _finish(events: AsyncGenerator[AnswerEvent, None]) -> Answer:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, AnswerDone):
                return event.answer
    raise EngineError("the answer ended before it was finished")


async def _close(*generators: AsyncGenerator[Any, None]) -> None:
    for generator in generators:
        await generator.aclose()


async def _unless_disconnected(work: Coroutine[Any, Any, T], request: AnyRequest) -> T:
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
