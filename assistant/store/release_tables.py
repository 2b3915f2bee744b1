"""The tables of releases: what was put together, which one is served, and how that came about."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from assistant.store.tables import Table


class ReleaseRow(Table):
    """A release; a collection has at most one that is ``active``."""

    __tablename__ = "releases"
    __table_args__ = (
        Index(
            "ix_releases_active",
            "collection",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    collection: Mapped[str] = mapped_column(String(64), index=True)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16))
    created: Mapped[str] = mapped_column(String(32))


class ReleaseEventRow(Table):
    """Something done to a release; ``before`` is the release that was active until then."""

    __tablename__ = "release_events"

    number: Mapped[int] = mapped_column(primary_key=True)
    collection: Mapped[str] = mapped_column(String(64), index=True)
    release: Mapped[str] = mapped_column(String(40))
    action: Mapped[str] = mapped_column(String(16))
    before: Mapped[str | None] = mapped_column(String(40))
    time: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str] = mapped_column(String(64))
    proof: Mapped[str] = mapped_column(Text)


class ReleaseSplitRow(Table):
    """An A/B of a collection: a share of its conversations is answered by another release."""

    __tablename__ = "release_splits"

    collection: Mapped[str] = mapped_column(String(64), primary_key=True)
    release: Mapped[str] = mapped_column(String(40))
    challenger: Mapped[str] = mapped_column(String(40))
    weight: Mapped[float]
    since: Mapped[str] = mapped_column(String(32))
