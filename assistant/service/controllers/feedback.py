"""``/v1/feedback`` and ``/v1/handovers``: what people make of answers."""

from typing import Annotated, Any

from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.orm import Session

from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.service.etags import check_match, etag, tagged
from assistant.service.kept import Kept
from assistant.service.paging import DEFAULT_LIMIT, Cursor, Limit, decode_number, next_number
from assistant.service.problems import AnyRequest, RequestRefused, problem_responses
from assistant.service.schemas_answers import (
    FeedbackList,
    FeedbackRequest,
    HandoverChange,
    HandoverList,
    HandoverRequest,
)
from assistant.service.turns import SUMMARY_TURNS, find_answer, find_conversation, summarise
from assistant.store.answers import Answers
from assistant.store.feedback import (
    Feedback,
    Feedbacks,
    Handover,
    Handovers,
    HandoverState,
)


class FeedbackController(Controller):
    """Feedback on answers."""

    path = "/v1/feedback"
    tags = ("Feedback",)
    opt = {"needs": "ask"}  # noqa: RUF012 - as Litestar declares it

    @post(
        operation_id="createFeedback",
        summary="Say what was good or bad of an answer",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500),
        opt={"needs": "ask", "idempotent": True},
    )
    async def add(
        self,
        data: JSONBody[FeedbackRequest],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[Feedback]:
        """Store it."""
        made = await kept.write(lambda session: store_feedback(session, data, caller))
        return Response(made, status_code=201)

    @get(
        operation_id="listFeedback",
        summary="List feedback",
        description="Of all callers on the collections that the key may read; none where it sees a part of "
        "the documents only.",
        responses=problem_responses(400, 401, 403, 429, 500),
        opt={"needs": "manage"},
    )
    async def list_feedback(
        self,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> FeedbackList:
        """List it, newest first."""
        before = decode_number(cursor)
        seen = () if caller.filters else caller.collections
        rows = await kept.read(lambda session: Feedbacks(session).listed(before, limit + 1, seen))
        page, following = next_number(rows, limit)
        return FeedbackList(data=tuple(page), next_cursor=following)


class HandoversController(Controller):
    """Questions passed to a person."""

    path = "/v1/handovers"
    tags = ("Hand-overs",)
    opt = {"needs": "handle"}  # noqa: RUF012 - as Litestar declares it

    @post(
        operation_id="createHandover",
        summary="Pass a question to a person",
        description="With a summary of the conversation: what was asked, what was answered, what was cited.",
        responses=problem_responses(400, 401, 403, 404, 409, 413, 422, 429, 500),
        opt={"needs": "ask", "idempotent": True, "audited": True},
    )
    async def open(
        self,
        data: JSONBody[HandoverRequest],
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[Handover]:
        """Open one."""
        made = await kept.write(lambda session: _open(session, data, caller))
        headers = {"Location": f"/v1/handovers/{made.id}", "ETag": etag(made)}
        return Response(made, status_code=201, headers=headers)

    @get(
        operation_id="listHandovers",
        summary="List hand-overs",
        description="Of the collections that the key may read; only its own where it sees a part of the "
        "documents only.",
        responses=problem_responses(400, 401, 403, 429, 500),
    )
    async def list_handovers(
        self,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
        in_state: Annotated[HandoverState | None, QueryParameter(name="state")] = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> HandoverList:
        """List them, newest first."""
        before = decode_number(cursor)
        rows = await kept.read(
            lambda session: Handovers(session).listed(
                before,
                limit + 1,
                collections=caller.collections,
                key_id=caller.id if caller.filters else None,
                state=in_state,
            )
        )
        page, following = next_number(rows, limit)
        return HandoverList(data=tuple(page), next_cursor=following)

    @get(
        "/{handover_id:str}",
        operation_id="getHandover",
        summary="Show a hand-over",
        responses=problem_responses(400, 401, 403, 404, 429, 500),
        opt={"etag": True},
    )
    async def show(
        self,
        handover_id: FromPath[str],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[Handover]:
        """Show one with its ETag."""
        return tagged(await kept.read(lambda session: _find(session, handover_id, caller)), request)

    @patch(
        "/{handover_id:str}",
        operation_id="changeHandover",
        summary="Take, note or close a hand-over",
        description="With `If-Match` only as it was seen.",
        responses=problem_responses(400, 401, 403, 404, 412, 413, 429, 500),
        opt={"audited": True},
    )
    async def change(
        self,
        handover_id: FromPath[str],
        data: JSONBody[HandoverChange],
        request: AnyRequest,
        kept: NamedDependency[Kept],
        caller: NamedDependency[Caller],
    ) -> Response[Handover]:
        """Change one."""

        def change(session: Session) -> Handover:
            check_match(request, _find(session, handover_id, caller))
            return Handovers(session).change(
                handover_id, state=data.state, assignee=data.assignee, note=data.note
            )

        changed = await kept.write(change)
        return Response(changed, headers={"ETag": etag(changed)})


def store_feedback(session: Session, data: FeedbackRequest, caller: Caller) -> Feedback:
    """Store feedback on an answer that the caller may read.

    Raises:
        RequestRefused: nothing is said in it.
        NotFoundError: there is no such answer for the caller.
    """
    if data.rating is None and data.is_resolved is None and not data.comment and not data.correction:
        raise RequestRefused("give a rating, is_resolved, a comment or a correction", "rating")
    answer = find_answer(session, data.answer_id, caller)
    return Feedbacks(session).add(
        answer.id,
        caller.id,
        answer.collection,
        rating=data.rating,
        is_resolved=data.is_resolved,
        comment=data.comment,
        correction=data.correction,
    )


def _open(session: Session, data: HandoverRequest, caller: Caller) -> Handover:
    if (data.answer_id is None) == (data.conversation_id is None):
        raise RequestRefused("give an answer_id or a conversation_id", "answer_id")
    answers = Answers(session)
    if data.answer_id is not None:
        last = find_answer(session, data.answer_id, caller)
        turns = [last]
        if last.conversation_id is not None and last.key_id == caller.id:
            earlier = answers.listed(
                before=last.number, limit=SUMMARY_TURNS, conversation_id=last.conversation_id
            )
            turns = [*reversed(earlier), last]
    else:
        found = find_conversation(session, data.conversation_id or "", caller)
        turns = list(reversed(answers.listed(limit=SUMMARY_TURNS, conversation_id=found.id)))
        if not turns:
            raise RequestRefused("the conversation has no turns yet", "conversation_id")
    summary: dict[str, Any] = summarise(turns)
    return Handovers(session).open(
        caller.id,
        turns[-1].collection,
        note=data.note,
        summary=summary,
        answer_id=turns[-1].id,
        conversation_id=turns[-1].conversation_id,
    )


def _find(session: Session, handover_id: str, caller: Caller) -> Handover:
    found = Handovers(session).find(handover_id)
    if found is None or not caller.reads(found.collection):
        raise NotFoundError(f"no hand-over {handover_id[:64]!r}")
    if caller.filters and found.key_id != caller.id:
        raise NotFoundError(f"no hand-over {handover_id[:64]!r}")
    return found
