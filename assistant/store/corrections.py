"""What people said that an answer should have been."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from assistant.core.records import Record
from assistant.store.answers import Answers
from assistant.store.service_tables import FeedbackRow


class Correction(Record, frozen=True, kw_only=True):
    """A correction with the question that it answers.

    Attributes:
        question: as asked.
        answer: what the answer should have been, in a person's words.
        kind: ``correction``, as ``deskmate synth --pairs`` reads it.
        document: the first that the corrected answer cited; empty where it cited none.
        feedback: id of the feedback.
        created: when, ISO 8601 in UTC.
    """

    question: str
    answer: str
    kind: str = "correction"
    document: str = ""
    feedback: str
    created: str


def read_corrections(session: Session, collection: str) -> list[Correction]:
    """Return the corrections of a collection's answers, oldest first: the later of two counts.

    Those of answers that are withheld, since what they stood on was removed, are left out.
    """
    wanted = (FeedbackRow.collection == collection, FeedbackRow.correction != "")
    answers = Answers(session)
    found = []
    for row in session.scalars(select(FeedbackRow).where(*wanted).order_by(FeedbackRow.number)):
        answer = answers.find(row.answer_id)
        if answer is None or answer.is_withheld or not row.correction.strip():
            continue
        found.append(
            Correction(
                question=answer.question,
                answer=row.correction.strip(),
                document=next((citation.document for citation in answer.citations), ""),
                feedback=row.id,
                created=row.created,
            )
        )
    return found
