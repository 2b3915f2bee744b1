"""Conversations: their turns as history, and the summary that a person gets with a hand-over."""

from typing import Any

from sqlalchemy.orm import Session

from assistant.core.access import Caller
from assistant.core.errors import NotFoundError
from assistant.core.records import Message
from assistant.service.refusals import Conflict
from assistant.service.schemas_answers import Turn
from assistant.store.answers import Answers, StoredAnswer
from assistant.store.feedback import Conversation, Conversations

SUMMARY_TURNS = 10
SUMMARISED_TURNS = 50
_QUOTED = 400


def read_history(turns: list[Turn]) -> tuple[Message, ...]:
    """Return turns as messages."""
    messages: list[Message] = []
    for turn in turns:
        messages.append(Message(role="user", content=turn.question))
        if turn.answer:
            messages.append(Message(role="assistant", content=turn.answer))
    return tuple(messages)


def find_conversation(session: Session, conversation_id: str, caller: Caller) -> Conversation:
    """Return a conversation of the caller's.

    Raises:
        NotFoundError: it has none of that id, or may not read its collection any more.
    """
    found = Conversations(session).get(conversation_id, caller.id)
    if not caller.reads(found.collection):
        raise NotFoundError(f"no conversation {conversation_id[:64]!r}")
    return found


def conversation_history(
    session: Session, conversation_id: str, caller: Caller, last: int, most: int
) -> tuple[Conversation, tuple[Message, ...]]:
    """Return a conversation and its last turns as messages.

    Args:
        session: the transaction.
        conversation_id: of the caller's conversation.
        caller: who asks.
        last: turns that are read.
        most: turns that a conversation may have.

    Raises:
        NotFoundError: the caller has no such conversation.
        Conflict: it is full.
    """
    found = find_conversation(session, conversation_id, caller)
    if Conversations(session).turn_count(found.id) >= most:
        raise Conflict(f"the conversation has {most} turns, which is the most; begin a new one")
    turns = Answers(session).listed(conversation_id=found.id, limit=last) if last else []
    # a turn that is withheld stays a question: what removed documents said must not reach the engine again
    asked = [Turn(question=turn.question, answer=turn.text) for turn in reversed(turns)]
    return found, read_history(asked)


def find_answer(session: Session, answer_id: str, caller: Caller) -> StoredAnswer:
    """Return an answer that the caller may read.

    One's own answers may be read; an owner reads all of its collections, unless it sees a part of the
    documents only.

    Raises:
        NotFoundError: there is none, or it is not this caller's to read.
    """
    found = Answers(session).find(answer_id)
    if found is None or not may_read(found, caller):
        raise NotFoundError(f"no answer {answer_id[:64]!r}")
    return found


def may_read(answer: StoredAnswer, caller: Caller) -> bool:
    """Tell whether an answer exists for a caller."""
    if not caller.reads(answer.collection):
        return False
    return answer.key_id == caller.id or (caller.may("manage") and not caller.filters)


def summarise(turns: list[StoredAnswer]) -> dict[str, Any]:
    """Return what a person needs to take over.

    Args:
        turns: the latest ones, oldest first; never empty.
    """
    last = turns[-1]
    nearest = {(passage.document, passage.version) for passage in last.passages}
    cited = [
        {
            "document": citation.document,
            "version": citation.version,
            "page": citation.page,
            "heading_path": list(citation.heading_path),
            "quote": citation.quote[:_QUOTED],
        }
        for citation in last.citations
    ]
    return {
        "language": last.language,
        "question": last.question,
        "asked_before": [turn.question for turn in turns[:-1]],
        "last_answer": last.text,
        "abstained": last.abstained,
        "cited": cited,
        "nearest_documents": [
            {"document": document, "version": version} for document, version in sorted(nearest)
        ],
    }
