"""Where on a page something stands."""

from __future__ import annotations

from collections.abc import Iterable

# left, top, right, bottom in points, from the upper left corner of the page as it is shown
Box = tuple[float, float, float, float]


def unite(boxes: Iterable[Box | None]) -> Box | None:
    """Return the smallest box around all, None where none is known."""
    known = [box for box in boxes if box is not None]
    if not known:
        return None
    lefts, tops, rights, bottoms = zip(*known, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
