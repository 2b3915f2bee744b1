"""Curated answers: what a person approved for certain questions, kept by collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from assistant.core.errors import InputError, NotFoundError
from assistant.core.ids import random_id
from assistant.core.language import Language, detect_language
from assistant.core.moments import read_moment, to_moment
from assistant.core.records import Citation, Metadata, Record
from assistant.core.wordings import fold_wording
from assistant.store.curated_tables import CuratedAnswerRow, CuratedChangeRow, CuratedQuestionRow
from assistant.store.tables import CollectionRow

MOST_WORDINGS = 50
Done = Literal["added", "replaced", "unchanged"]
_SAID = ("questions", "text", "language", "citations", "valid_from", "valid_until")


class CuratedAnswer(Record, frozen=True, kw_only=True):
    """An answer that a person approved.

    Attributes:
        number: grows with every one.
        id: ``cur-…``.
        collection: that it answers in.
        language: of questions and answer.
        questions: wordings of the question.
        text: the answer, with ``[n]`` where it cites.
        citations: that it stands on; it is not given any more once one of their documents was removed.
        metadata: as a document's: who may not read such documents does not get it.
        valid_from: ISO 8601 in UTC; None for always.
        valid_until: not given from then on; None for ever.
        author: key that wrote or changed it last.
        created: when.
        changed: when last.
    """

    number: int
    id: str
    collection: str
    language: Language
    questions: tuple[str, ...]
    text: str
    citations: tuple[Citation, ...]
    metadata: Metadata
    valid_from: str | None
    valid_until: str | None
    author: str
    created: str
    changed: str

    def is_valid(self, moment: str) -> bool:
        """Tell whether it is given at a time, ISO 8601 in UTC."""
        return (self.valid_from or "") <= moment and (self.valid_until is None or moment < self.valid_until)


class NewCurated(Record, frozen=True, kw_only=True):
    """What is to be kept; attributes as in `CuratedAnswer`, the language that of the questions if None."""

    questions: tuple[str, ...]
    text: str
    language: Language | None = None
    citations: tuple[Citation, ...] = ()
    metadata: Metadata = msgspec.field(default_factory=dict)
    valid_from: str | None = None
    valid_until: str | None = None


class Wording(Record, frozen=True, kw_only=True):
    """A stored wording and its embedding: float32 bytes, empty where ``fingerprint`` made none yet."""

    number: int
    answer: str
    text: str
    fingerprint: str
    vector: bytes


def no_curated(answer_id: str) -> NotFoundError:
    """Return the error that says that there is no such answer, or none for who asks."""
    return NotFoundError(f"no curated answer {answer_id[:64]!r}", next_command="deskmate curated list")


class Curated:
    """The curated answers within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, collection: str, new: NewCurated, author: str) -> CuratedAnswer:
        """Store an answer.

        Raises:
            InputError: a wording or the text is empty, or its time of validity is none.
        """
        row = CuratedAnswerRow(id=random_id("cur"), collection=collection, created=to_moment())
        self._fill(row, new, author)
        self._session.add(row)
        self._session.flush()
        self._set_questions(row, new.questions)
        return self.get(row.id)

    def get(self, answer_id: str) -> CuratedAnswer:
        """Return an answer.

        Raises:
            NotFoundError: there is none.
        """
        row = self._session.scalar(select(CuratedAnswerRow).where(CuratedAnswerRow.id == answer_id))
        if row is None:
            raise no_curated(answer_id)
        return self._shown([row])[0]

    def change(self, answer_id: str, new: NewCurated, author: str) -> CuratedAnswer:
        """Put other content in an answer's place; errors as in ``add`` and ``get``."""
        number = self.get(answer_id).number
        row = self._session.get_one(CuratedAnswerRow, number, with_for_update=True)
        self._fill(row, new, author)
        self._set_questions(row, new.questions)
        return self.get(answer_id)

    def put_all(self, collection: str, news: Sequence[NewCurated], author: str) -> dict[Done, int]:
        """Store answers, each in place of one of the same wordings and metadata; errors as in ``add``.

        Returns:
            What was done → how many.
        """
        known = {_key(old.questions, old.metadata): old for old in reversed(self.listed([collection]))}
        counts: dict[Done, int] = {"added": 0, "replaced": 0, "unchanged": 0}
        for new in news:
            key = _key(new.questions, new.metadata)
            old = known.get(key)
            made = self.change(old.id, new, author) if old else self.add(collection, new, author)
            known[key] = made
            done: Done = "added"
            if old is not None:
                done = "unchanged" if all(getattr(made, n) == getattr(old, n) for n in _SAID) else "replaced"
            counts[done] += 1
        return counts

    def remove(self, answer_id: str) -> None:
        """Remove an answer.

        Raises:
            NotFoundError: there is none.
        """
        found = self.get(answer_id)
        self._session.delete(self._session.get_one(CuratedAnswerRow, found.number))
        self._note_change(found.collection)

    def listed(
        self, collections: Sequence[str] | None = None, before: int | None = None, limit: int | None = None
    ) -> list[CuratedAnswer]:
        """Return answers, newest first, from below the number ``before``."""
        query = select(CuratedAnswerRow).order_by(CuratedAnswerRow.number.desc()).limit(limit)
        if collections is not None:
            query = query.where(CuratedAnswerRow.collection.in_(collections))
        if before is not None:
            query = query.where(CuratedAnswerRow.number < before)
        return self._shown(list(self._session.scalars(query)))

    def wordings(self, collection: str) -> list[Wording]:
        """Return all wordings of a collection's answers."""
        rows = self._session.execute(
            select(CuratedQuestionRow, CuratedAnswerRow.id)
            .join(CuratedAnswerRow, CuratedAnswerRow.number == CuratedQuestionRow.answer_number)
            .where(CuratedAnswerRow.collection == collection)
            .order_by(CuratedQuestionRow.number)
        )
        return [
            Wording(
                number=row.number, answer=name, text=row.text, fingerprint=row.fingerprint, vector=row.vector
            )
            for row, name in rows
        ]

    def keep_vectors(self, vectors: Mapping[int, bytes], fingerprint: str) -> None:
        """Store embeddings by number of the wording."""
        for number, vector in vectors.items():
            row = update(CuratedQuestionRow).where(CuratedQuestionRow.number == number)
            self._session.execute(row.values(fingerprint=fingerprint, vector=vector))

    def stamp(self, collection: str) -> tuple[int, int]:
        """Return what changes when the collection's curated answers or its documents do."""
        change = select(CuratedChangeRow.generation).where(CuratedChangeRow.collection == collection)
        documents = select(CollectionRow.generation).where(CollectionRow.name == collection)
        both = select(change.scalar_subquery(), documents.scalar_subquery())
        changed, generation = self._session.execute(both).one()
        return changed or 0, generation or 0

    def _fill(self, row: CuratedAnswerRow, new: NewCurated, author: str) -> None:
        if not 1 <= len(new.questions) <= MOST_WORDINGS:
            raise InputError(f"an answer has 1 to {MOST_WORDINGS} wordings of its question")
        if not all(fold_wording(text) for text in new.questions) or not new.text.strip():
            raise InputError("a wording or the answer is empty")
        row.language = new.language or detect_language(" ".join(new.questions))
        row.text, row.author, row.changed = new.text.strip(), author, to_moment()
        row.citations, row.described = msgspec.to_builtins(new.citations), msgspec.to_builtins(new.metadata)
        row.valid_from = read_moment(new.valid_from, "valid_from") if new.valid_from else None
        row.valid_until = (
            read_moment(new.valid_until, "valid_until", is_end=True) if new.valid_until else None
        )
        if row.valid_from and row.valid_until and row.valid_until <= row.valid_from:
            raise InputError("valid_until comes before valid_from")

    def _set_questions(self, row: CuratedAnswerRow, texts: Sequence[str]) -> None:
        """Store the wordings; one that was there keeps its embedding."""
        query = select(CuratedQuestionRow).where(CuratedQuestionRow.answer_number == row.number)
        known = {old.text: old for old in self._session.scalars(query)}
        wanted = list(dict.fromkeys(text.strip() for text in texts))
        for text in wanted:
            old = known.get(text)
            made = CuratedQuestionRow(
                answer_number=row.number,
                text=text,
                fingerprint=old.fingerprint if old else "",
                vector=old.vector if old else b"",
            )
            self._session.add(made)
            self._session.flush()  # one by one: their numbers keep the order
        for old in known.values():
            self._session.delete(old)
        self._note_change(row.collection)

    def _note_change(self, collection: str) -> None:
        row = self._session.get(CuratedChangeRow, collection, with_for_update=True)
        if row is None:
            self._session.add(CuratedChangeRow(collection=collection, generation=1))
        else:
            row.generation += 1
        self._session.flush()

    def _shown(self, rows: Sequence[CuratedAnswerRow]) -> list[CuratedAnswer]:
        numbers = [row.number for row in rows]
        questions: dict[int, list[str]] = {number: [] for number in numbers}
        found = self._session.execute(
            select(CuratedQuestionRow.answer_number, CuratedQuestionRow.text)
            .where(CuratedQuestionRow.answer_number.in_(numbers))
            .order_by(CuratedQuestionRow.number)
        )
        for number, text in found:
            questions[number].append(text)
        names = [name for name in CuratedAnswer.__struct_fields__ if name not in {"questions", "metadata"}]
        return [
            msgspec.convert(
                {name: getattr(row, name) for name in names}
                | {"questions": questions[row.number], "metadata": row.described},
                CuratedAnswer,
            )
            for row in rows
        ]


def _key(questions: Sequence[str], metadata: Metadata) -> tuple[frozenset[str], str]:
    described = msgspec.json.encode(metadata, order="sorted").decode()
    return frozenset(fold_wording(text) for text in questions), described
