"""Feedback, conversations and hand-overs: what people make of answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from assistant.core.errors import NotFoundError
from assistant.core.ids import random_id
from assistant.core.records import Record
from assistant.store.answers import Answers, now
from assistant.store.locking import locked
from assistant.store.service_tables import AnswerRow, ConversationRow, FeedbackRow, HandoverRow
from assistant.store.webhooks import Webhooks

R = TypeVar("R", bound=Record)
Rating = Literal["up", "down"]
HandoverState = Literal["open", "taken", "closed"]
_QUOTING = {"last_answer", "cited", "nearest_documents"}


class Feedback(Record, frozen=True, kw_only=True):
    """What a person said of an answer.

    Attributes:
        number: grows with every one.
        id: ``fb-…``.
        answer_id: the answer.
        key_id: who told it.
        collection: that was asked.
        created: when, ISO 8601 in UTC.
        rating: up or down, None where only words were given.
        is_resolved: whether the question is settled, None where nobody said.
        comment: in words.
        correction: what the answer should have been.
    """

    number: int
    id: str
    answer_id: str
    key_id: str
    collection: str
    created: str
    rating: Rating | None
    is_resolved: bool | None
    comment: str
    correction: str


class Conversation(Record, frozen=True, kw_only=True):
    """A conversation; its turns are answers.

    Attributes:
        number: grows with every one.
        id: ``conv-…``.
        key_id: whose it is.
        collection: that is asked.
        title: for a person.
        created: when, ISO 8601 in UTC.
    """

    number: int
    id: str
    key_id: str
    collection: str
    title: str
    created: str


class Handover(Record, frozen=True, kw_only=True):
    """A question that was passed to a person.

    Attributes:
        number: grows with every one.
        id: ``ho-…``.
        key_id: who passed it on.
        collection: that was asked.
        conversation_id: that led to it.
        answer_id: that did not help.
        state: open, taken or closed.
        note: of who passed it on.
        assignee: who took it.
        summary: what was asked, what was answered, the nearest sections.
        created: when, ISO 8601 in UTC.
        changed: when last.
    """

    number: int
    id: str
    key_id: str
    collection: str
    conversation_id: str | None
    answer_id: str | None
    state: HandoverState
    note: str
    assignee: str
    summary: dict[str, Any]
    created: str
    changed: str


class Feedbacks:
    """The feedback within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        answer_id: str,
        key_id: str,
        collection: str,
        *,
        rating: Rating | None = None,
        is_resolved: bool | None = None,
        comment: str = "",
        correction: str = "",
    ) -> Feedback:
        """Store feedback on an answer."""
        row = FeedbackRow(
            id=random_id("fb"),
            answer_id=answer_id,
            key_id=key_id,
            collection=collection,
            created=now(),
            rating=rating,
            is_resolved=is_resolved,
            comment=comment,
            correction=correction,
        )
        self._session.add(row)
        self._session.flush()
        return _record(row, Feedback)

    def listed(
        self, before: int | None = None, limit: int = 100, collections: Sequence[str] | None = None
    ) -> list[Feedback]:
        """Return feedback, newest first, from below the number ``before``."""
        query = _page(select(FeedbackRow), FeedbackRow, before, limit, collections)
        return [_record(row, Feedback) for row in self._session.scalars(query)]


class Conversations:
    """The conversations within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def begin(self, key_id: str, collection: str, title: str = "") -> Conversation:
        """Store a new conversation."""
        row = ConversationRow(
            id=random_id("conv"), key_id=key_id, collection=collection, title=title, created=now()
        )
        self._session.add(row)
        self._session.flush()
        return _record(row, Conversation)

    def get(self, conversation_id: str, key_id: str) -> Conversation:
        """Return a conversation of a key.

        Raises:
            NotFoundError: the key has none of that id.
        """
        query = select(ConversationRow).where(ConversationRow.id == conversation_id)
        row = self._session.scalar(locked(self._session, query))
        if row is None or row.key_id != key_id:
            raise NotFoundError(f"no conversation {conversation_id[:64]!r}")
        return _record(row, Conversation)

    def listed(
        self,
        key_id: str,
        before: int | None = None,
        limit: int = 100,
        collections: Sequence[str] | None = None,
    ) -> list[Conversation]:
        """Return a key's conversations, newest first; of these collections only, where they are named."""
        query = _page(select(ConversationRow), ConversationRow, before, limit, collections)
        rows = self._session.scalars(query.where(ConversationRow.key_id == key_id))
        return [_record(row, Conversation) for row in rows]

    def turn_count(self, conversation_id: str) -> int:
        """Return how many turns a conversation has."""
        turns = select(func.count(AnswerRow.number)).where(AnswerRow.conversation_id == conversation_id)
        return self._session.scalar(turns) or 0

    def delete(self, conversation_id: str, key_id: str) -> None:
        """Delete a key's conversation with its answers, their feedback and what hand-overs say of it.

        Raises:
            NotFoundError: the key has none of that id.
        """
        self.get(conversation_id, key_id)
        Answers(self._session).delete_conversation(conversation_id)
        Handovers(self._session).forget_conversation(conversation_id)
        self._session.execute(delete(ConversationRow).where(ConversationRow.id == conversation_id))


class Handovers:
    """The hand-overs within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def open(
        self,
        key_id: str,
        collection: str,
        *,
        note: str,
        summary: dict[str, Any],
        answer_id: str | None = None,
        conversation_id: str | None = None,
    ) -> Handover:
        """Store a new hand-over."""
        row = HandoverRow(
            id=random_id("ho"),
            key_id=key_id,
            collection=collection,
            conversation_id=conversation_id,
            answer_id=answer_id,
            state="open",
            note=note,
            assignee="",
            summary=summary,
            created=now(),
            changed=now(),
        )
        self._session.add(row)
        self._session.flush()
        Webhooks(self._session).emit("handover.opened", collection, _told(row))
        return _record(row, Handover)

    def find(self, handover_id: str) -> Handover | None:
        """Return a hand-over, None if there is none."""
        row = self._row(handover_id)
        return self._told([row])[0] if row else None

    def change(
        self, handover_id: str, *, state: HandoverState | None, assignee: str | None, note: str | None
    ) -> Handover:
        """Change what is given.

        Raises:
            NotFoundError: there is none.
        """
        row = self._row(handover_id)
        if row is None:
            raise NotFoundError(f"no hand-over {handover_id[:64]!r}")
        for name, value in (("state", state), ("assignee", assignee), ("note", note)):
            if value is not None:
                setattr(row, name, value)
        row.changed = now()
        self._session.flush()
        Webhooks(self._session).emit("handover.changed", row.collection, _told(row))
        return self._told([row])[0]

    def forget_conversation(self, conversation_id: str) -> None:
        """Empty the hand-overs of a conversation: that there were some stays, not what was said."""
        rows = update(HandoverRow).where(HandoverRow.conversation_id == conversation_id)
        self._session.execute(rows.values(summary={}, note="", changed=now()))

    def listed(
        self,
        before: int | None = None,
        limit: int = 100,
        *,
        collections: Sequence[str] | None = None,
        key_id: str | None = None,
        state: HandoverState | None = None,
    ) -> list[Handover]:
        """Return hand-overs, newest first."""
        query = _page(select(HandoverRow), HandoverRow, before, limit, collections)
        if key_id is not None:
            query = query.where(HandoverRow.key_id == key_id)
        if state is not None:
            query = query.where(HandoverRow.state == state)
        return self._told(self._session.scalars(query))

    def _told(self, rows: Iterable[HandoverRow]) -> list[Handover]:
        """Return rows as they may be told: nothing of documents that were removed since."""
        found = [_record(row, Handover) for row in rows]
        withheld = Answers(self._session).withheld(row.answer_id for row in found if row.answer_id)
        return [_without_quotes(row) if row.answer_id in withheld else row for row in found]

    def _row(self, handover_id: str) -> HandoverRow | None:
        query = select(HandoverRow).where(HandoverRow.id == handover_id)
        return self._session.scalar(locked(self._session, query))


def _told(row: HandoverRow) -> dict[str, object]:
    """Return what a webhook tells: neither the question nor what people wrote."""
    return {name: getattr(row, name) for name in ("id", "state", "answer_id", "conversation_id")}


def _without_quotes(handover: Handover) -> Handover:
    summary = {name: value for name, value in handover.summary.items() if name not in _QUOTING}
    return msgspec.structs.replace(handover, summary=summary | {"is_withheld": True})


def _page(
    query: Select[Any],
    table: type[FeedbackRow | ConversationRow | HandoverRow],
    before: int | None,
    limit: int,
    collections: Sequence[str] | None = None,
) -> Select[Any]:
    if before is not None:
        query = query.where(table.number < before)
    if collections is not None:
        query = query.where(table.collection.in_(collections))
    return query.order_by(table.number.desc()).limit(limit)


def _record(row: object, kind: type[R]) -> R:
    return msgspec.convert({name: getattr(row, name) for name in kind.__struct_fields__}, kind)
