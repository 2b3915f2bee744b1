"""Cursors: where a list goes on. They name the last row seen, so that new rows shift nothing."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Protocol, TypeVar

from litestar.params import QueryParameter

from assistant.service.problems import RequestRefused

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_LIMIT)]
AnyLimit = Annotated[int | None, QueryParameter(ge=1, le=MAX_LIMIT)]  # None: all
Cursor = Annotated[str | None, QueryParameter(max_length=2000)]
_MARK = b"after:"


class Numbered(Protocol):
    """A row that knows its place."""

    @property
    def number(self) -> int:
        """Grows with every row."""


T = TypeVar("T")
N = TypeVar("N", bound=Numbered)


def encode_cursor(place: str) -> str:
    """Return the cursor of a place."""
    return base64.urlsafe_b64encode(_MARK + place.encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> str | None:
    """Return the place that a cursor names, None where the list begins.

    Raises:
        RequestRefused: the service gave no such cursor.
    """
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        if raw.startswith(_MARK):
            return raw.removeprefix(_MARK).decode()
    except (binascii.Error, UnicodeError, ValueError):
        pass
    raise RequestRefused("the cursor is none that this service gave", "cursor")


def decode_number(cursor: str | None) -> int | None:
    """Return the number that a cursor names; errors as in ``decode_cursor``."""
    place = decode_cursor(cursor)
    if place is None:
        return None
    if not place.isascii() or not place.isdigit() or len(place) > 18:  # noqa: PLR2004 - fits 64 bits
        raise RequestRefused("the cursor is none that this service gave", "cursor")
    return int(place)


def cut(rows: Sequence[T], limit: int) -> tuple[Sequence[T], bool]:
    """Return at most ``limit`` of the rows, one more of which was asked for, and whether there are more."""
    return rows[:limit], len(rows) > limit


def next_number(rows: Sequence[N], limit: int) -> tuple[Sequence[N], str | None]:
    """Return a page and the cursor of the next one; one row more than ``limit`` was asked for."""
    page, has_more = cut(rows, limit)
    return page, encode_cursor(str(page[-1].number)) if has_more else None


def page_after(
    rows: Sequence[T], place: Callable[[T], str], cursor: str | None, limit: int
) -> tuple[Sequence[T], str | None]:
    """Return a page of rows that are all at hand, and the cursor of the next one.

    Args:
        rows: in their order.
        place: names a row, as no other one.
        cursor: of the last row seen; None for the first page.
        limit: rows of a page.

    Raises:
        RequestRefused: the service gave no such cursor, or its row is gone.
    """
    after = decode_cursor(cursor)
    start = 0
    if after is not None:
        start = next((number for number, row in enumerate(rows, 1) if place(row) == after), 0)
        if not start:
            raise RequestRefused("what the cursor names is gone; begin again without it", "cursor")
    page, has_more = cut(rows[start : start + limit + 1], limit)
    return page, encode_cursor(place(page[-1])) if has_more else None
