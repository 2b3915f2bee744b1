"""Times as they are stored: ISO 8601 in UTC, to the second, so that texts compare as times do."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from assistant.core.errors import InputError

_DATE_LENGTH = len("2027-01-31")


def to_moment(seconds: float | None = None) -> str:
    """Return a time in seconds since 1970, now if None, as it is stored."""
    return datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC).isoformat(
        timespec="seconds"
    )


def read_moment(text: str, name: str, *, is_end: bool = False) -> str:
    """Return a time that a person wrote as it is stored; without an offset it is UTC.

    Args:
        text: ``2027-01-31`` or ``2027-01-31T12:00``.
        name: of the field, for the message.
        is_end: a date alone counts to its end.

    Raises:
        InputError: it is no time.
    """
    try:
        parsed = datetime.fromisoformat(text.strip())
        if is_end and len(text.strip()) == _DATE_LENGTH:
            parsed += timedelta(days=1)
        return (
            (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
            .astimezone(UTC)
            .isoformat(timespec="seconds")
        )
    except (ValueError, OverflowError) as error:
        raise InputError(f"{name} {text[:40]!r} is no time; write 2027-01-31 or 2027-01-31T12:00Z") from error
