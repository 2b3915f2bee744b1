"""The table of sessions: people who came in through the company's own login."""

from __future__ import annotations

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from assistant.store.tables import Table


class SessionRow(Table):
    """A session by the hash of its cookie, with the rights that its groups gave when it began."""

    __tablename__ = "sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    person: Mapped[str] = mapped_column(String(40), index=True)
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    collections: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    created: Mapped[float]
    expires: Mapped[float] = mapped_column(index=True)
