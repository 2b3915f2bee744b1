"""Questions that were not answered: turned away, passed to a person, or called bad."""

from __future__ import annotations

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.orm import Session

from assistant.core.language import Language
from assistant.core.records import Record
from assistant.store.service_tables import AnswerRow, FeedbackRow, HandoverRow

_DAY_LENGTH = 10
_ORDERS = "orders_only"  # what tries to give the assistant orders asks for nothing that documents could say


class Unanswered(Record, frozen=True, kw_only=True):
    """A question that was not answered.

    Attributes:
        question: as asked.
        language: of the answer.
        day: when, ISO date.
        abstained: the documents did not cover it.
        handed_over: it was passed to a person.
        disliked: the answer was called bad, or the question not settled.
    """

    question: str
    language: Language
    day: str
    abstained: bool
    handed_over: bool
    disliked: bool


def read_unanswered(
    session: Session, collection: str, *, first_day: str = "", last_day: str = "9999-12-31", limit: int = 500
) -> list[Unanswered]:
    """Return the newest questions of a collection that were not answered.

    Args:
        session: the transaction.
        collection: that was asked.
        first_day: ISO date.
        last_day: ISO date, included.
        limit: most questions.
    """
    handed_over = exists().where(HandoverRow.answer_id == AnswerRow.id)
    disliked = exists().where(
        and_(
            FeedbackRow.answer_id == AnswerRow.id,
            or_(FeedbackRow.rating == "down", FeedbackRow.is_resolved.is_(False)),
        )
    )
    gave_orders = func.coalesce(AnswerRow.lineage["reason"].as_string(), "") == _ORDERS
    query = (
        select(
            AnswerRow.question,
            AnswerRow.language,
            AnswerRow.created,
            AnswerRow.abstained,
            handed_over.label("handed_over"),
            disliked.label("disliked"),
        )
        .where(
            AnswerRow.collection == collection,
            AnswerRow.created >= first_day,
            AnswerRow.created < last_day + "~",  # sorts behind every time of that day
            or_(and_(AnswerRow.abstained.is_(True), ~gave_orders), handed_over, disliked),
        )
        .order_by(AnswerRow.number.desc())
        .limit(limit)
    )
    return [
        Unanswered(
            question=row.question,
            language=row.language,
            day=row.created[:_DAY_LENGTH],
            abstained=bool(row.abstained),
            handed_over=bool(row.handed_over),
            disliked=bool(row.disliked),
        )
        for row in session.execute(query)
    ]
