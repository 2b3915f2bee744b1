"""``/mcp``: the tools of a model context protocol server, under the caller's key and rights.

Needs the extra ``mcp``; nothing of it is imported before a service with the route is made.
"""

import contextvars
import importlib.util
import logging
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import msgspec
from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from assistant.answering.composing import GenerationOptions
from assistant.answering.events import Question
from assistant.core.access import Caller
from assistant.core.errors import DeskmateError, InputError, NotFoundError
from assistant.service.access import check_collection, narrow
from assistant.service.asking import Ask, Desk
from assistant.service.bodies import give_again, read_body
from assistant.service.controllers.feedback import store_feedback
from assistant.service.door import give_caller
from assistant.service.kept import Kept
from assistant.service.problems import to_problem
from assistant.service.schemas import MAX_TOP_K, FoundPassage, Schema, SearchRequest
from assistant.service.schemas_answers import AnswerReply, AnswerRequest, FeedbackRequest
from assistant.service.wiring import Service

T = TypeVar("T")
S = TypeVar("S", bound=Schema)
_caller: contextvars.ContextVar[Caller] = contextvars.ContextVar("mcp_caller")
_log = logging.getLogger(__name__)


class McpTools:
    """What the tools do; each is one of the API's routes under another name.

    Args:
        service: opens pipelines.
        desk: answers.
        kept: stores feedback.
    """

    def __init__(self, service: Service, desk: Desk, kept: Kept) -> None:
        self._service = service
        self._desk = desk
        self._kept = kept

    async def search_manuals(
        self,
        query: str,
        collection: str | None = None,
        top_k: int = 5,
        filters: dict[str, list[str]] | None = None,
    ) -> dict[str, Any]:
        """Find the passages of manuals, policies and tickets that fit a query best, in English or Chinese."""
        return await _told(self._search(query, collection, min(max(top_k, 1), MAX_TOP_K), filters or {}))

    async def answer(self, question: str, collection: str | None = None) -> dict[str, Any]:
        """Answer a question from the documents with citations; says so where they do not cover it."""
        return await _told(self._answer(question, collection))

    async def list_sources(self) -> dict[str, Any]:
        """List the collections that can be searched and asked."""
        return await _told(self._sources())

    async def send_feedback(
        self, answer_id: str, rating: str, comment: str = "", correction: str = ""
    ) -> dict[str, Any]:
        """Say whether an answer helped (rating: up or down), and what it should have been."""
        return await _told(self._feedback(answer_id, rating, comment, correction))

    async def _search(
        self, query: str, collection: str | None, top_k: int, filters: dict[str, list[str]]
    ) -> dict[str, Any]:
        caller = _caller.get()
        values = {"query": query, "collection": collection, "top_k": top_k, "filters": filters}
        asked = _read(values, SearchRequest)
        name = check_collection(caller, asked.collection or self._service.default_collection)
        narrowed = narrow(caller, asked.filters)
        searcher = (await self._service.pipeline(name)).searcher
        if searcher is None:
            raise NotFoundError("there is no index to search")
        found = await self._service.run(lambda: searcher.search(asked.query, asked.top_k, narrowed))
        return {"passages": [msgspec.to_builtins(FoundPassage.from_passage(row)) for row in found]}

    async def _answer(self, question: str, collection: str | None) -> dict[str, Any]:
        data = _read({"question": question, "collection": collection}, AnswerRequest)
        name = data.collection or self._service.default_collection
        limit = self._service.settings.engine.max_new_tokens
        asked = Ask(
            collection=name,
            arm=None,
            question=Question(text=data.question),
            options=GenerationOptions(max_new_tokens=limit),
        )
        answer = await self._desk.answer(_caller.get(), asked)
        reply = AnswerReply.from_answer(answer, name, None)
        shown = ("id", "text", "abstained", "language", "citations")
        return {field: msgspec.to_builtins(getattr(reply, field)) for field in shown}

    async def _sources(self) -> dict[str, Any]:
        found = await self._service.models()
        return {"collections": [name for name, _ in found if _caller.get().reads(name)]}

    async def _feedback(self, answer_id: str, rating: str, comment: str, correction: str) -> dict[str, Any]:
        caller = _caller.get()
        values = {"answer_id": answer_id, "rating": rating, "comment": comment, "correction": correction}
        data = _read(values, FeedbackRequest)
        made = await self._kept.write(lambda session: store_feedback(session, data, caller))
        return {"id": made.id}


def has_mcp() -> bool:
    """Tell whether the extra ``mcp`` is installed."""
    return importlib.util.find_spec("mcp") is not None


def make_mcp(
    tools: McpTools, version: str, max_body: int
) -> tuple[ASGIRouteHandler, AbstractAsyncContextManager[None]]:
    """Return the route, and what is to run as long as the service does.

    Requests stand alone: no session is kept between them, so that any process can answer the next one.

    Args:
        tools: what is offered.
        version: of the server.
        max_body: of a request, bytes; the protocol's own limit answers in plain text.
    """
    from mcp.server.mcpserver import MCPServer
    from mcp.server.transport_security import TransportSecuritySettings

    server = MCPServer("deskmate", title="Deskmate", version=version, log_level="WARNING")
    for tool in (tools.search_manuals, tools.answer, tools.list_sources, tools.send_feedback):
        server.add_tool(tool)
    server.streamable_http_app(
        streamable_http_path="/",
        json_response=True,
        stateless_http=True,
        max_request_body_size=max_body,
        # the service's own layers check the Host header and requests of other web pages
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    manager = server.session_manager

    @asgi("/mcp", opt={"needs": "ask"}, copy_scope=True)
    async def mcp(scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(scope, receive, max_body)
        token = _caller.set(give_caller(scope))
        try:
            await manager.handle_request(scope, give_again(body, receive), send)  # type: ignore[arg-type]
        finally:
            _caller.reset(token)

    return mcp, manager.run()


def _read(values: dict[str, Any], kind: type[S]) -> S:
    """Return a tool's arguments within the limits that the route of the same work has.

    Raises:
        InputError: they are not.
    """
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"the arguments cannot be used: {error}") from error


async def _told(work: Awaitable[T]) -> T:
    """Turn errors into what the model is told; nothing of an unforeseen one."""
    from mcp.server.mcpserver.exceptions import ToolError

    try:
        return await work
    except Exception as error:
        if not isinstance(error, DeskmateError):
            _log.exception("a tool failed")
        raise ToolError(to_problem(error).detail) from error
