"""Files of questions for ``--batch``: read, answered together, a bad row on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from assistant.core.errors import InputError
from assistant.core.jsonl import read_jsonl
from assistant.core.records import Filters, Message, Passage, Record


class BatchRow(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A row of a batch file; other fields are ignored."""

    id: str
    question: str
    history: tuple[Message, ...] = ()


class Searching(Protocol):
    """Finds passages."""

    def search(
        self, query: str, top_k: int | None = None, filters: Filters | None = None
    ) -> tuple[Passage, ...]:
        """Return the best passages; an unknown filter is an ``InputError``."""


def read_batches(file: Path, size: int) -> Iterator[list[BatchRow]]:
    """Yield a file's rows, at most ``size`` at a time.

    Raises:
        InputError: the file is missing or a line is no such row.
    """
    rows: list[BatchRow] = []
    for row in read_jsonl(file, BatchRow):
        rows.append(row)
        if len(rows) == size:
            yield rows
            rows = []
    if rows:
        yield rows


def answer_rows(
    rows: Sequence[BatchRow], answer: Callable[[Sequence[BatchRow]], Sequence[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Answer rows together; where one is bad, each alone, so that a bad row only fails itself."""
    try:
        found = answer(rows)
    except InputError as error:
        if len(rows) > 1:
            return [line for row in rows for line in answer_rows([row], answer)]
        return [{"id": rows[0].id, "error": error.message}]
    return [{"id": row.id, **line} for row, line in zip(rows, found, strict=True)]


def check_filters(searching: Searching, filters: Filters) -> None:
    """Refuse a filter before a batch, every row of which would fail of it.

    Raises:
        InputError: a key is unknown or a value is empty.
    """
    if filters:
        searching.search("filter", 1, filters)
