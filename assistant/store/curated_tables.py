"""The tables of curated answers: what a person approved, its wordings, and a counter of changes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from assistant.store.tables import Table


class CuratedAnswerRow(Table):
    """An approved answer; ``metadata`` says whom it exists for, as a document's does."""

    __tablename__ = "curated_answers"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    collection: Mapped[str] = mapped_column(String(64), index=True)
    language: Mapped[str] = mapped_column(String(8))
    text: Mapped[str] = mapped_column(Text)
    citations: Mapped[list[Any]] = mapped_column(JSON)
    described: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    valid_from: Mapped[str | None] = mapped_column(String(32))
    valid_until: Mapped[str | None] = mapped_column(String(32))
    author: Mapped[str] = mapped_column(String(64))
    created: Mapped[str] = mapped_column(String(32))
    changed: Mapped[str] = mapped_column(String(32))


class CuratedQuestionRow(Table):
    """A wording of the question; its embedding is made when it is first needed."""

    __tablename__ = "curated_questions"

    number: Mapped[int] = mapped_column(primary_key=True)
    answer_number: Mapped[int] = mapped_column(
        ForeignKey("curated_answers.number", ondelete="CASCADE"), index=True
    )
    text: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(String(64))
    vector: Mapped[bytes] = mapped_column(LargeBinary)


class CuratedChangeRow(Table):
    """How often a collection's curated answers were changed, so that what was read before is told apart."""

    __tablename__ = "curated_changes"

    collection: Mapped[str] = mapped_column(String(64), primary_key=True)
    generation: Mapped[int] = mapped_column(BigInteger)
