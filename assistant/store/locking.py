"""Rows that are locked until they are changed, where that is what a session is for."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import Session

T = TypeVar("T")
READS = {"only_reads": True}


def locked(session: Session, query: Select[T], *, skip_locked: bool = False) -> Select[T]:
    """Return a query that locks its rows, unless the session only reads.

    A reader sees one state throughout: a row that somebody changed since cannot be locked in it, and a
    database server would break the reader off.
    """
    if session.info.get("only_reads"):
        return query
    return query.with_for_update(skip_locked=skip_locked)
