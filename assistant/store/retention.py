"""What people asked, deleted once it is too old: an answer and all that hangs on it in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    String,
    and_,
    cast,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from assistant.core.moments import to_moment
from assistant.core.records import Record
from assistant.store.audit import AuditEvent, AuditLog
from assistant.store.database import Database
from assistant.store.meta import Meta
from assistant.store.service_tables import (
    AnswerRow,
    ConversationRow,
    FeedbackRow,
    HandoverRow,
    IdempotencyRow,
)

_PER_TRANSACTION = 500
_TURNS = "retention_turns"

Ids = Sequence[str] | Select[str]


class Expired(Record, frozen=True, kw_only=True):
    """What was deleted of each, and the hand-overs that were emptied."""

    answers: int = 0
    feedback: int = 0
    conversations: int = 0
    handovers: int = 0

    def __add__(self, other: Expired) -> Expired:
        """Return the sums."""
        mine, others = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        return Expired(**{name: count + others[name] for name, count in mine.items()})

    def __bool__(self) -> bool:
        """Tell whether there was anything."""
        return any(msgspec.structs.asdict(self).values())

    def __str__(self) -> str:
        """Return it in words."""
        return ", ".join(f"{count} {name}" for name, count in msgspec.structs.asdict(self).items())


def expire(database: Database, before: float, per_transaction: int = _PER_TRANSACTION) -> Expired:
    """Delete all that was asked before a moment, few answers at a time; killed, the next call goes on.

    A conversation goes with its last answer. Of hand-overs the row stays, not what was said. Each
    transaction stands in the audit log, with counts alone.

    Args:
        database: the rows.
        before: seconds since 1970.
        per_transaction: answers that are deleted together.
    """
    found = Expired()
    while True:
        with database.write() as session:
            step = _expire_some(session, before, per_transaction)
        if not step:
            break
        found += step
    if found:
        database.empty_log()
    return found


def count_expired(session: Session, before: float) -> Expired:
    """Return what ``expire`` would delete, which it does not do."""
    moment = to_moment(before)
    answers = select(AnswerRow.id).where(AnswerRow.created < moment)
    conversations = select(ConversationRow.id).where(_ended(moment, moment))

    def count(condition: ColumnElement[bool]) -> ScalarSelect[int]:
        return select(func.count()).where(condition).scalar_subquery()

    row = session.execute(
        select(
            count(AnswerRow.created < moment),
            count(_ended(moment, moment)),
            count(_judging(moment, answers)),
            count(_telling(moment, answers, conversations)),
        )
    ).one()
    return Expired(answers=row[0], conversations=row[1], feedback=row[2], handovers=row[3])


def _expire_some(session: Session, before: float, limit: int) -> Expired:
    Meta(session).reserve(_TURNS, 1)  # holds the counter's row: one at a time, whatever the database
    moment = to_moment(before)
    oldest = select(AnswerRow.id).where(AnswerRow.created < moment).order_by(AnswerRow.number)
    answers = session.scalars(oldest.limit(limit)).all()
    session.execute(delete(AnswerRow).where(AnswerRow.id.in_(answers)))
    ended = select(ConversationRow.id).where(_ended(moment, "")).order_by(ConversationRow.number)
    conversations = session.scalars(ended.limit(limit)).all()
    session.execute(delete(ConversationRow).where(ConversationRow.id.in_(conversations)))
    feedback = delete(FeedbackRow).where(_judging(moment, answers)).returning(FeedbackRow.number)
    handovers = (
        update(HandoverRow)
        .where(_telling(moment, answers, conversations))
        .values(summary={}, note="", changed=to_moment())
        .returning(HandoverRow.number)
    )
    session.execute(delete(IdempotencyRow).where(IdempotencyRow.begun < before))
    found = Expired(
        answers=len(answers),
        conversations=len(conversations),
        feedback=len(session.scalars(feedback).all()),
        handovers=len(session.scalars(handovers).all()),
    )
    if found:
        _note(session, found, moment)
    return found


def _ended(moment: str, since: str) -> ColumnElement[bool]:
    """Return what holds of old conversations without any turn since a moment."""
    turns = and_(AnswerRow.conversation_id == ConversationRow.id, AnswerRow.created >= since)
    return and_(ConversationRow.created < moment, ~exists().where(turns))


def _judging(moment: str, answers: Ids) -> ColumnElement[bool]:
    """Return what holds of feedback on the answers, and of old feedback whose answer is no more."""
    is_left = and_(FeedbackRow.created < moment, ~exists().where(AnswerRow.id == FeedbackRow.answer_id))
    return or_(FeedbackRow.answer_id.in_(answers), is_left)


def _telling(moment: str, answers: Ids, conversations: Ids) -> ColumnElement[bool]:
    """Return what holds of hand-overs that still tell of the answers and conversations, or of older ones."""
    has_answer = exists().where(AnswerRow.id == HandoverRow.answer_id)
    is_about = or_(
        HandoverRow.answer_id.in_(answers),
        HandoverRow.conversation_id.in_(conversations),
        and_(HandoverRow.created < moment, ~has_answer),
    )
    has_summary = cast(HandoverRow.summary, String) != "{}"
    has_old_note = and_(HandoverRow.note != "", HandoverRow.changed < moment)  # younger ones were added since
    return and_(is_about, or_(has_summary, has_old_note))


def _note(session: Session, found: Expired, moment: str) -> None:
    event = AuditEvent(
        actor="local",
        role="",
        action="expireAnswers",
        target=f"asked before {moment}: {found}",
        status=200,
        request_id="",
    )
    AuditLog(session).append(event)
