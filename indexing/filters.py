"""From filters on metadata to the chunks that a query may find.

Filters are key → accepted values: a document must have one of them for every key. Case and width of letters
do not matter. A date is also matched by its beginning (``2026``, ``2026-03``) and by a range whose ends count
as a whole (``2025..2026-03``, ``2025..``, ``..2026``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from typing import get_args

from assistant.core.errors import InputError
from assistant.core.language import Language
from assistant.core.records import Filters, Metadata
from indexing.metadata import STANDARD_KEYS, fold_key, fold_value, values_of
from indexing.opening import OpenSnapshot

_RANGE = ".."
_TOLD_APART = set(get_args(Language))
_MOST_KEPT = 32
_Key = tuple[tuple[str, tuple[str, ...]], ...]


class GrantedFilters(dict[str, str | Sequence[str]]):
    """Filters that hold an access list.

    Attributes:
        granted: folded keys of the access list: where no document has such a key, nothing is found, which is
            no mistake of who asks.
    """

    granted: frozenset[str] = frozenset()


class DocumentFilter:
    """Finds the chunks that pass, and keeps what it found in a snapshot. Safe to use from several threads."""

    def __init__(self) -> None:
        self._kept: tuple[OpenSnapshot | None, dict[_Key, frozenset[int]]] = (None, {})

    def allowed(self, snapshot: OpenSnapshot, filters: Filters | None) -> frozenset[int] | None:
        """Return the numbers of the chunks whose document passes, None where nothing is filtered.

        Raises:
            InputError: a key is unknown or a value is empty.
        """
        if not filters:
            return None
        of, found = self._kept
        if of is not snapshot or len(found) >= _MOST_KEPT:
            found = {}
            self._kept = (snapshot, found)
        wanted = _read(filters)
        key = tuple(sorted((name, tuple(values)) for name, values in wanted.items()))
        if key not in found:
            granted = filters.granted if isinstance(filters, GrantedFilters) else frozenset()
            found[key] = allowed_numbers(snapshot, wanted, granted)
        return found[key]


def passes(metadata: Metadata, filters: Filters) -> bool:
    """Tell whether metadata pass filters.

    Raises:
        InputError: a value is empty.
    """
    return _passes(metadata, _read(filters))


def allowed_numbers(
    snapshot: OpenSnapshot, wanted: Mapping[str, Sequence[str]], granted: Set[str] = frozenset()
) -> frozenset[int]:
    """Return the numbers of the chunks whose document has one of the folded values of every key.

    Args:
        snapshot: what is searched.
        wanted: folded values by folded key.
        granted: keys that need not be known.

    Raises:
        InputError: a key is unknown.
    """
    known = {*STANDARD_KEYS, *(key for entry in snapshot.contents.values() for key in entry.metadata)}
    for key in wanted:
        if (
            key not in known and key not in granted
        ):  # the others' names are not told: who asks may see a part of the documents only
            raise InputError(
                f"unknown filter {key!r}: no document here has it",
                next_command=f"deskmate index status --collection {snapshot.manifest.collection}",
            )
    accepted = {key: values if key == "date" else frozenset(values) for key, values in wanted.items()}
    passing = [name for name, entry in snapshot.contents.items() if _passes(entry.metadata, accepted)]
    return frozenset(number for name in passing for number in _numbers(snapshot, name, wanted))


def _numbers(snapshot: OpenSnapshot, document: str, wanted: Mapping[str, Sequence[str]]) -> Sequence[int]:
    """Return a passing document's chunks; of one in several languages those in the wanted ones."""
    numbers = snapshot.corpus.numbers_of.get(document, [])
    languages = set(wanted.get("language", ()))
    is_mixed = len(values_of(snapshot.contents[document].metadata, "language")) > 1
    if not is_mixed or not languages or not languages <= _TOLD_APART:
        return numbers
    chunks = snapshot.corpus.by_number(numbers)
    return [number for number in numbers if chunks[number].language in languages]


def _read(filters: Filters) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for name, given in filters.items():
        key = fold_key(name)
        values = [given] if isinstance(given, str) else given
        folded = [_fold(key, value) for value in values]
        if not folded or not all(folded):
            raise InputError(
                f"filter {name!r} = {given!r} has no value" + (": dates are YYYY-MM-DD" * (key == "date"))
            )
        wanted.setdefault(key, []).extend(folded)
    return wanted


def _fold(key: str, value: str) -> str:
    if key != "date" or _RANGE not in value:
        return fold_value(key, value).casefold()
    ends = value.split(_RANGE, 1)
    folded = [fold_value(key, end) for end in ends]
    is_read = any(folded) and all(
        bool(end) == bool(given.strip()) for end, given in zip(folded, ends, strict=True)
    )
    return _RANGE.join(folded) if is_read else ""


def _passes(metadata: Metadata, wanted: Mapping[str, Collection[str]]) -> bool:
    return all(
        any(_matches(key, value.casefold(), accepted) for value in values_of(metadata, key))
        for key, accepted in wanted.items()
    )


def _matches(key: str, value: str, accepted: Collection[str]) -> bool:
    return any(_is_within(value, asked) for asked in accepted) if key == "date" else value in accepted


def _is_within(value: str, asked: str) -> bool:
    """Tell whether a date lies in the one that is asked for, or in the range."""
    if _RANGE not in asked:
        return f"{value}-".startswith(f"{asked}-")
    first, last = asked.split(_RANGE)
    return (not first or value[: len(first)] >= first) and (not last or value[: len(last)] <= last)
