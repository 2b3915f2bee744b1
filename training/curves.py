"""Loss, rate, speed and validation of a run as one SVG file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from assistant.core.jsonl import read_finished_jsonl

FILE = "curves.svg"
Row = dict[str, float]
Points = list[tuple[float, float]]
_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 640, 120, 64, 28, 36
_PANELS = {
    "loss": "loss (thin: each step, thick: mean of the last tenth)",
    "validation_score": "validation: score of held-out answers",
    "gradient_norm": "gradient norm before clipping",
    "tokens_per_second": "tokens a second",
    "rate": "learning rate",
}
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.thin{fill:none;stroke:#9bb7d4;stroke-width:1}"
    ".thick{fill:none;stroke:#1f5f99;stroke-width:2}.frame{fill:#fafafa;stroke:#ddd}"
)


def write_curves(folder: Path) -> Path:
    """Draw ``metrics.jsonl`` of a run's folder; return the file written."""
    rows = read_finished_jsonl(folder / "metrics.jsonl", Row)
    path = folder / FILE
    path.write_text(render_curves(rows), "utf-8")
    return path


def render_curves(rows: Sequence[Row]) -> str:
    """Return the SVG; the same rows give the same text. What was not measured is left out."""
    panels: list[str] = []
    for name, title in _PANELS.items():
        points = [(row["step"], row[name]) for row in rows if name in row]
        if points:
            panels.append(_panel(len(panels), title, points, is_noisy=name == "loss"))
    height = _TOP + len(panels) * (_HEIGHT + _GAP)
    size = f'viewBox="0 0 {_LEFT + _WIDTH + 24} {height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="Curves of a training run">'
        f"<style>{_STYLE}</style>{''.join(panels)}</svg>\n"
    )


def _panel(place: int, title: str, points: Points, *, is_noisy: bool) -> str:
    top = _TOP + place * (_HEIGHT + _GAP)
    low, high = min(y for _, y in points), max(y for _, y in points)
    first, last = points[0][0], points[-1][0]
    spots = [
        (_LEFT + _WIDTH * _share(x, first, last), top + _HEIGHT * (1 - _share(y, low, high)))
        for x, y in points
    ]
    lines = f'<path class="{"thin" if is_noisy else "thick"}" d="{_path(spots)}"/>'
    if is_noisy:
        lines += f'<path class="thick" d="{_path(_smooth(spots))}"/>'
    return (
        f'<text x="{_LEFT}" y="{top - 8}">{escape(title)}</text>'
        f'<rect class="frame" x="{_LEFT}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}"/>{lines}'
        f'<text x="{_LEFT - 6}" y="{top + 10}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{_LEFT - 6}" y="{top + _HEIGHT}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{_LEFT + _WIDTH}" y="{top + _HEIGHT + 14}" text-anchor="end">step {last:g}</text>'
    )


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def _path(spots: Points) -> str:
    start = f"M{spots[0][0]:.1f} {spots[0][1]:.1f}"
    return start + ("".join(f"L{x:.1f} {y:.1f}" for x, y in spots[1:]) or "h1")


def _smooth(spots: Points) -> Points:
    window = max(1, len(spots) // 10)
    smooth = []
    for index, (x, _) in enumerate(spots):
        recent = spots[max(0, index - window + 1) : index + 1]
        smooth.append((x, sum(y for _, y in recent) / len(recent)))
    return smooth
