"""The plots of a report as inline SVG: no script, no font, nothing from outside; colours follow the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from eval.calibration import CurvePoint
from eval.compare import Interval

_LEFT, _WIDTH, _ROW = 90, 560, 34
_BAR = 20
_TICKS = (0, 0.25, 0.5, 0.75, 1)
_CURVE_LEFT, _CURVE_TOP, _CURVE_WIDTH, _CURVE_HEIGHT = 60, 12, 460, 260
# drawn points; more cannot be seen
_MOST_POINTS = 200


def bar_plot(title: str, rows: Mapping[str, Interval]) -> str:
    """Return horizontal bars from 0 to 1 with their intervals as whiskers.

    Args:
        title: what is shown, read out to those who cannot see it.
        rows: name → mean and interval; at least one.
    """
    bottom = len(rows) * _ROW + 8
    parts = [
        f'<line class="grid" x1="{_x(tick)}" x2="{_x(tick)}" y1="4" y2="{bottom}"/>'
        f'<text x="{_x(tick)}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
        for tick in _TICKS
    ]
    parts += [_bar(place, name, interval) for place, (name, interval) in enumerate(rows.items())]
    return (
        f'<svg viewBox="0 0 {_LEFT + _WIDTH + 60} {bottom + 24}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _bar(place: int, name: str, interval: Interval) -> str:
    top = place * _ROW + 8
    middle = top + _BAR // 2
    length = _x(interval.mean) - _LEFT
    return (
        f'<text x="{_LEFT - 8}" y="{middle + 5}" text-anchor="end">{escape(name)}</text>'
        f'<rect class="bar" x="{_LEFT}" y="{top}" width="{length:.1f}" height="{_BAR}"/>'
        f'<path class="whisker" d="M{_x(interval.low)} {middle}H{_x(interval.high)}'
        f'M{_x(interval.low)} {middle - 5}v10M{_x(interval.high)} {middle - 5}v10"/>'
        f'<text x="{_LEFT + _WIDTH + 12}" y="{middle + 5}">{interval.mean:.2f}</text>'
    )


def _x(value: float) -> float:
    return round(_LEFT + _WIDTH * _within(value), 1)


def curve_plot(curves: Mapping[str, Sequence[CurvePoint]]) -> str:
    """Return risk against coverage, one line a name, with a legend; empty where no line has a point."""
    shown = {name: sorted(points, key=lambda p: p.coverage) for name, points in curves.items() if points}
    if not shown:
        return ""
    bottom = _CURVE_TOP + _CURVE_HEIGHT
    right = _CURVE_LEFT + _CURVE_WIDTH
    parts = []
    for tick in _TICKS:
        across, up = _curve_x(tick), _curve_y(tick)
        parts.append(
            f'<line class="grid" x1="{across}" x2="{across}" y1="{_CURVE_TOP}" y2="{bottom}"/>'
            f'<line class="grid" x1="{_CURVE_LEFT}" x2="{right}" y1="{up}" y2="{up}"/>'
            f'<text x="{across}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>'
            f'<text x="{_CURVE_LEFT - 8}" y="{up + 5}" text-anchor="end">{tick:g}</text>'
        )
    parts.append(
        f'<text x="{_CURVE_LEFT + _CURVE_WIDTH / 2}" y="{bottom + 38}" text-anchor="middle">'
        "coverage: share of questions answered</text>"
        f'<text x="14" y="{_CURVE_TOP + _CURVE_HEIGHT / 2}" text-anchor="middle" '
        f'transform="rotate(-90 14 {_CURVE_TOP + _CURVE_HEIGHT / 2})">risk: mean loss of those</text>'
    )
    for place, (name, points) in enumerate(shown.items()):
        top = _CURVE_TOP + 20 * place + 10
        parts.append(
            f'<path class="curve c{place}" d="{_line(points)}"/>'
            f'<path class="curve c{place}" d="M{right + 20} {top}h26"/>'
            f'<text x="{right + 54}" y="{top + 5}">{escape(name)}</text>'
        )
    return (
        f'<svg viewBox="0 0 {right + 130} {bottom + 46}" role="img" '
        f'aria-label="Risk against coverage by arm">{"".join(parts)}</svg>'
    )


def _line(points: Sequence[CurvePoint]) -> str:
    step = max(1, len(points) // _MOST_POINTS)
    drawn = [*points[::step], points[-1]] if step > 1 else points
    places = [f"{_curve_x(point.coverage)} {_curve_y(point.risk)}" for point in drawn]
    # one point alone would draw nothing
    return f"M{'L'.join(places)}" + ("h1" if len(places) == 1 else "")


def _curve_x(coverage: float) -> float:
    return round(_CURVE_LEFT + _CURVE_WIDTH * _within(coverage), 1)


def _curve_y(risk: float) -> float:
    return round(_CURVE_TOP + _CURVE_HEIGHT * (1 - _within(risk)), 1)


def _within(value: float) -> float:
    return min(1.0, max(0.0, value))
