"""Two line drawings for the manuals, drawn with vector shapes."""

from reportlab.graphics.shapes import Circle, Drawing, Line, PolyLine, Rect, String
from reportlab.lib.colors import HexColor, white

_INK = HexColor("#22384f")
_TINT = HexColor("#e4ebf2")
_MARK = HexColor("#b5391f")


def draw(name: str) -> Drawing:
    """Return the drawing called `name`: pump or oven."""
    drawing = Drawing(420, 190)
    {"pump": _pump, "oven": _oven}[name](drawing)
    return drawing


def _box(
    drawing: Drawing, x: float, y: float, width: float, height: float, *, is_tinted: bool = True
) -> None:
    fill = _TINT if is_tinted else white
    drawing.add(Rect(x, y, width, height, fillColor=fill, strokeColor=_INK, strokeWidth=1.2))


def _mark(drawing: Drawing, number: int, start: tuple[float, float], end: tuple[float, float]) -> None:
    drawing.add(Line(*start, *end, strokeColor=_MARK, strokeWidth=0.8))
    drawing.add(Circle(*end, 9, fillColor=white, strokeColor=_MARK, strokeWidth=1))
    label = String(end[0], end[1] - 3.5, str(number), fontName="Helvetica-Bold", fontSize=10, fillColor=_MARK)
    label.textAnchor = "middle"
    drawing.add(label)


def _pump(drawing: Drawing) -> None:
    _box(drawing, 150, 70, 120, 60)
    for x in range(160, 265, 10):
        drawing.add(Line(x, 70, x, 130, strokeColor=_INK, strokeWidth=0.5))
    _box(drawing, 140, 130, 140, 32)
    _box(drawing, 190, 162, 50, 10, is_tinted=False)
    _box(drawing, 270, 78, 22, 44, is_tinted=False)
    _box(drawing, 292, 62, 46, 76)
    drawing.add(Circle(315, 100, 18, fillColor=white, strokeColor=_INK, strokeWidth=1))
    drawing.add(Line(150, 100, 315, 100, strokeColor=_INK, strokeWidth=3))
    for y in (40, 138):
        _box(drawing, 303, y, 24, 22)
    for y in (30, 160):
        _box(drawing, 292, y, 46, 10)
    _mark(drawing, 1, (200, 167), (110, 178))
    _mark(drawing, 2, (150, 145), (90, 140))
    _mark(drawing, 3, (155, 85), (90, 80))
    _mark(drawing, 4, (281, 82), (245, 35))
    _mark(drawing, 5, (330, 100), (385, 100))
    _mark(drawing, 6, (335, 165), (385, 165))


def _oven(drawing: Drawing) -> None:
    _box(drawing, 130, 25, 170, 145)
    _box(drawing, 145, 50, 100, 105, is_tinted=False)
    for y in range(65, 150, 16):
        drawing.add(Line(150, y, 228, y, strokeColor=_INK, strokeWidth=1))
    drawing.add(Circle(238, 102, 24, fillColor=None, strokeColor=_INK, strokeWidth=1.2))
    drawing.add(PolyLine([222, 102, 254, 102, 238, 102, 238, 118, 238, 86], strokeColor=_INK, strokeWidth=1))
    _box(drawing, 268, 50, 28, 105, is_tinted=False)
    _box(drawing, 150, 29, 70, 17, is_tinted=False)
    _box(drawing, 118, 60, 12, 80, is_tinted=False)
    for x in (138, 280):
        _box(drawing, x, 12, 12, 13)
    _mark(drawing, 1, (124, 130), (80, 160))
    _mark(drawing, 2, (290, 140), (345, 160))
    _mark(drawing, 3, (160, 100), (80, 100))
    _mark(drawing, 4, (255, 95), (345, 100))
    _mark(drawing, 5, (160, 37), (80, 45))
    _mark(drawing, 6, (288, 18), (345, 35))
