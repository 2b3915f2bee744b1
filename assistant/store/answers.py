"""Answers as they were given, what they were made from, and what they amount to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from assistant.core.errors import NotFoundError
from assistant.core.language import Language
from assistant.core.records import Answer, Arm, Citation, Record
from assistant.store.idempotency import Idempotency
from assistant.store.service_tables import AnswerRow, ConversationRow, FeedbackRow
from assistant.store.withholding import Source, removed_sources


class PassageRef(Record, frozen=True, kw_only=True):
    """A passage of an answer's context, without its text."""

    chunk_id: str
    document: str
    version: int
    score: float


class Lineage(Record, frozen=True, kw_only=True):
    """What an answer was made with, None where it had none.

    Attributes:
        engine: kind of the engine.
        base_model: the weights.
        adapter: name of the adapter.
        snapshot: of the index.
        release: that put them together.
        route: which way the question went.
        confidence: chance that the answer, or handing over, is right.
        reason: why it was handed over.
    """

    engine: str | None = None
    base_model: str | None = None
    adapter: str | None = None
    snapshot: str | None = None
    release: str | None = None
    route: str | None = None
    confidence: float | None = None
    reason: str = ""


class StoredAnswer(Record, frozen=True, kw_only=True):
    """An answer as it was given.

    Attributes:
        number: grows with every answer.
        id: ``ans-…``.
        created: when, ISO 8601 in UTC.
        key_id: who asked.
        collection: that was asked.
        conversation_id: that it is a turn of.
        question: as asked.
        text: the answer.
        arm: how it was made.
        language: of the answer.
        abstained: the documents do not cover the question.
        seconds: that it took.
        prompt_tokens: read by the engine.
        completion_tokens: written by it.
        citations: that hold.
        passages: the context.
        lineage: what it was made with.
        is_withheld: a document that it was made from was removed since: its text and quotes are not told.
    """

    number: int
    id: str
    created: str
    key_id: str
    collection: str
    conversation_id: str | None
    question: str
    text: str
    arm: Arm
    language: Language
    abstained: bool
    seconds: float
    prompt_tokens: int
    completion_tokens: int
    citations: tuple[Citation, ...]
    passages: tuple[PassageRef, ...]
    lineage: Lineage
    is_withheld: bool = False

    @property
    def sources(self) -> set[Source]:
        """The versions of documents that it was made from."""
        read = {(self.collection, row.document, row.version) for row in self.passages}
        return read | {(self.collection, row.document, row.version) for row in self.citations}


class Answers:
    """The answers within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def save(
        self,
        answer: Answer,
        *,
        key_id: str,
        collection: str,
        lineage: Lineage,
        conversation_id: str | None = None,
    ) -> StoredAnswer:
        """Store an answer.

        Raises:
            NotFoundError: the conversation that it is a turn of was deleted meanwhile.
        """
        if conversation_id is not None:
            self._hold_conversation(conversation_id)
        passages = [
            PassageRef(
                chunk_id=passage.chunk.id,
                document=passage.chunk.document,
                version=passage.chunk.version,
                score=passage.score,
            )
            for passage in answer.passages
        ]
        row = AnswerRow(
            id=answer.id,
            created=now(),
            key_id=key_id,
            collection=collection,
            conversation_id=conversation_id,
            question=answer.question,
            text=answer.text,
            arm=answer.arm,
            language=answer.language,
            abstained=answer.abstained,
            seconds=answer.timings.get("total", 0.0),
            prompt_tokens=answer.usage.prompt_tokens,
            completion_tokens=answer.usage.completion_tokens,
            citations=msgspec.to_builtins(answer.citations),
            passages=msgspec.to_builtins(passages),
            lineage=msgspec.to_builtins(lineage),
        )
        self._session.add(row)
        self._session.flush()
        return _stored(row)

    def find(self, answer_id: str) -> StoredAnswer | None:
        """Return an answer, None if there is none."""
        row = self._session.scalar(select(AnswerRow).where(AnswerRow.id == answer_id))
        return self._told([row])[0] if row else None

    def listed(
        self,
        *,
        before: int | None = None,
        limit: int = 100,
        key_id: str | None = None,
        collections: Sequence[str] | None = None,
        conversation_id: str | None = None,
    ) -> list[StoredAnswer]:
        """Return answers, newest first, from below the number ``before``."""
        query = select(AnswerRow).order_by(AnswerRow.number.desc()).limit(limit)
        if before is not None:
            query = query.where(AnswerRow.number < before)
        if key_id is not None:
            query = query.where(AnswerRow.key_id == key_id)
        if collections is not None:
            query = query.where(AnswerRow.collection.in_(collections))
        if conversation_id is not None:
            query = query.where(AnswerRow.conversation_id == conversation_id)
        return self._told(self._session.scalars(query))

    def withheld(self, answer_ids: Iterable[str]) -> set[str]:
        """Return those of the answers that are withheld."""
        rows = self._session.scalars(select(AnswerRow).where(AnswerRow.id.in_(list(answer_ids))))
        return {answer.id for answer in self._told(rows) if answer.is_withheld}

    def _told(self, rows: Iterable[AnswerRow]) -> list[StoredAnswer]:
        """Return rows as they may be told: nothing of documents that were removed since."""
        found = [_stored(row) for row in rows]
        removed = removed_sources(self._session, (source for row in found for source in row.sources))
        return [_withhold(row) if row.sources & removed else row for row in found]

    def _hold_conversation(self, conversation_id: str) -> None:
        """Let nobody delete a conversation before its new turn is stored: the turn would outlive it."""
        query = select(ConversationRow.number).where(ConversationRow.id == conversation_id)
        if self._session.scalar(query.with_for_update()) is None:
            raise NotFoundError(f"conversation {conversation_id!r} was deleted; the answer is not kept")

    def delete_conversation(self, conversation_id: str) -> None:
        """Delete the answers of a conversation with their feedback."""
        answers = select(AnswerRow.id).where(AnswerRow.conversation_id == conversation_id)
        self._session.execute(delete(FeedbackRow).where(FeedbackRow.answer_id.in_(answers)))
        self._session.execute(delete(AnswerRow).where(AnswerRow.conversation_id == conversation_id))
        Idempotency.forget_answers(self._session)


def _withhold(answer: StoredAnswer) -> StoredAnswer:
    return msgspec.structs.replace(answer, text="", citations=(), is_withheld=True)


def now() -> str:
    """Return the time as it is stored, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _stored(row: AnswerRow) -> StoredAnswer:
    names = StoredAnswer.__struct_fields__
    return msgspec.convert({name: getattr(row, name) for name in names if hasattr(row, name)}, StoredAnswer)
