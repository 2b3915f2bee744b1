"""``/v1/conversations``: turns that belong together."""

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.orm import Session

from assistant.core.access import Caller
from assistant.service.access import check_collection
from assistant.service.etags import tagged
from assistant.service.kept import Kept
from assistant.service.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number, next_number
from assistant.service.problems import AnyRequest, problem_responses
from assistant.service.schemas_answers import AnswerList, ConversationList, ConversationRequest
from assistant.service.turns import find_conversation
from assistant.service.wiring import Service
from assistant.store.answers import Answers, StoredAnswer
from assistant.store.feedback import Conversation, Conversations


class ConversationsController(Controller):
    """The caller's own conversations."""

    path = "/v1/conversations"
    tags = ("Conversations",)
    opt = {"needs": "ask"}  # noqa: RUF012 - as Litestar declares it

    @post(
        operation_id="createConversation",
        summary="Begin a conversation",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500),
        opt={"idempotent": True},
    )
    async def begin(
        self,
        data: JSONBody[ConversationRequest],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        service: NamedDependency[Service],
    ) -> Response[Conversation]:
        """Begin one."""
        collection = check_collection(caller, data.collection or service.default_collection)
        await service.check_collection(collection)
        made = await kept.write(
            lambda session: Conversations(session).begin(caller.id, collection, data.title)
        )
        return Response(made, status_code=201, headers={"Location": f"/v1/conversations/{made.id}"})

    @get(
        operation_id="listConversations",
        summary="List one's conversations",
        responses=problem_responses(400, 401, 403, 429, 500),
    )
    async def list_conversations(
        self,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> ConversationList:
        """List them, newest first."""
        before = decode_number(cursor)
        rows = await kept.read(
            lambda session: Conversations(session).listed(caller.id, before, limit + 1, caller.collections)
        )
        page, following = next_number(rows, limit)
        return ConversationList(data=tuple(page), next_cursor=following)

    @get(
        "/{conversation_id:str}",
        operation_id="getConversation",
        summary="Show a conversation",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
        opt={"etag": True},
    )
    async def show(
        self,
        conversation_id: FromPath[str],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[Conversation]:
        """Show one with its ETag."""
        found = await kept.read(lambda session: find_conversation(session, conversation_id, caller))
        return tagged(found, request)

    @get(
        "/{conversation_id:str}/turns",
        operation_id="listTurns",
        summary="List a conversation's turns",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
    )
    async def turns(
        self,
        conversation_id: FromPath[str],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> AnswerList:
        """List its answers, newest first."""
        before = decode_number(cursor)

        def read(session: Session) -> list[StoredAnswer]:
            found = find_conversation(session, conversation_id, caller)
            return Answers(session).listed(before=before, limit=limit + 1, conversation_id=found.id)

        page, following = next_number(await kept.read(read), limit)
        return AnswerList(data=tuple(page), next_cursor=following)

    @delete(
        "/{conversation_id:str}",
        operation_id="deleteConversation",
        summary="Delete a conversation with its answers",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
        opt={"audited": True},
    )
    async def remove(
        self, conversation_id: FromPath[str], kept: NamedDependency[Kept], caller: NamedDependency[Caller]
    ) -> None:
        """Delete one."""
        await kept.write(lambda session: Conversations(session).delete(conversation_id, caller.id))
