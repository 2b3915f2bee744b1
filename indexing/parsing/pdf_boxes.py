"""Where on the shown page lines stand."""

from __future__ import annotations

from collections.abc import Iterable

from assistant.core.boxes import Box, unite
from indexing.parsing.pdf_page import Frame, Page
from indexing.parsing.pdf_text import Line


def box_of_lines(page: Page, lines: Iterable[Line]) -> Box | None:
    """Return the box around those of the lines that stand on a page, None where its frame is not known."""
    places = ((line.x0, line.bottom, line.x1, line.top) for line in lines if line.page == page.number)
    return unite(shown_box(page, place) for place in places)


def shown_box(page: Page, place: tuple[float, float, float, float]) -> Box | None:
    """Return where a place on the page's plane is shown.

    Args:
        page: the page.
        place: x0, bottom, x1, top in points.
    """
    if page.frame is None:
        return None
    x0, bottom, x1, top = place
    corners = [_shown_point(page.frame, x, y) for x in (x0, x1) for y in (bottom, top)]
    across, down = ([round(value, 1) for value in values] for values in zip(*corners, strict=True))
    return min(across), min(down), max(across), max(down)


def _shown_point(frame: Frame, x: float, y: float) -> tuple[float, float]:
    if frame.degrees == 90:  # noqa: PLR2004 - degrees
        return y - frame.bottom, x - frame.left
    if frame.degrees == 180:  # noqa: PLR2004
        return frame.right - x, y - frame.bottom
    if frame.degrees == 270:  # noqa: PLR2004
        return frame.top - y, frame.right - x
    return x - frame.left, frame.top - y
