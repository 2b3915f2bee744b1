"""How sure text recognition was of a text, from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterable


def mean_confidence(parts: Iterable[tuple[float | None, int]]) -> float | None:
    """Return the mean confidence over the characters that were recognised, None where none were.

    Args:
        parts: confidence, None for text that stood in the file, and number of characters.
    """
    known = [(confidence, count) for confidence, count in parts if confidence is not None and count]
    total = sum(count for _, count in known)
    return sum(confidence * count for confidence, count in known) / total if total else None
