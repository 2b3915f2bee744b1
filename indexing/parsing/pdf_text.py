"""The text of one PDF page as PDFium sees it: lines with their type, and the characters of tables."""

from __future__ import annotations

import ctypes
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

_BOLD_NAME = re.compile(r"bold|black|heavy|semibold|demi|(?:^|[-,])b(?:d|x)?$", re.I)
_MONO_NAME = re.compile(r"mono|courier|consol|menlo|typewriter|cmtt|lmtt|txtt", re.I)
_FIXED_PITCH, _FORCE_BOLD = 1, 1 << 18
_BOLD_WEIGHT = 600
# PDFium joins the lines of a word that it finds hyphenated, and says so by one of two characters.
_HYPHEN = re.compile("[\x02\ufffe]")
_LINE = re.compile("[^\r\n\x02\xad\ufffe]*[\x02\xad\ufffe]|[^\r\n\x02\xad\ufffe]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Ligatures and Kangxi radicals stand for ordinary characters that people search for.
_COMPATIBLE = re.compile(r"[ﬀ-ﬆ⺀-⿟]")
_FONT_NAME_BYTES = 128
# Stands at the end of a line whose last word goes on in the next.
SOFT_HYPHEN = "\u00ad"
LABEL_CHARACTERS = 20
# A label stands so many times the height of a letter to the left of its text.
_LABEL_GAP = 2.0
_HAN_LABEL_GAP = 0.9
_FIRST_HAN = "\u2e80"
# Letters before this one stay as they are, but for white space and control characters.
_FIRST_UNREADABLE = "\x7f"
# Control characters but the two that stand for a hyphen, and white space.
_UNSEEN = frozenset(
    letter
    for letter in map(chr, range(0x3001))
    if (unicodedata.category(letter) == "Cc" and letter != "\x02") or letter.isspace()
)
_SPACE = re.escape("".join(sorted(_UNSEEN)))
# Where a label may end: at white space, or between Chinese characters.
_GAP = re.compile(f"(?<=[^{_SPACE}])[{_SPACE}]+(?=[^{_SPACE}])|(?<=[{_FIRST_HAN}-\U0010ffff])(?=[^{_SPACE}])")

Box = tuple[float, float, float, float]


class Char(msgspec.Struct, frozen=True, gc=False):
    """One character: its left and right edge and middle height in points, its line's place."""

    text: str
    x0: float
    x1: float
    y: float
    line: int
    follows_space: bool


class Line(msgspec.Struct, kw_only=True):
    """One line of text.

    Attributes:
        text: its text.
        x0: left edge in points.
        x1: right edge.
        bottom: lower edge, from the page's lower border.
        top: upper edge.
        size: font size in points.
        is_bold: all of it is bold.
        is_mono: all of it is of one pitch, as code is set.
        page: page number from 1.
        confidence: of text recognition, from 0 to 1; None where it stands in the file as text.
    """

    text: str
    x0: float
    x1: float
    bottom: float
    top: float
    size: float
    is_bold: bool
    is_mono: bool
    page: int
    confidence: float | None = None


class _Type(NamedTuple):
    """A character's size in points, whether it is bold, whether its font has one pitch."""

    size: float
    is_bold: bool
    is_mono: bool


class TextReader:
    """Reads a page's lines, asking PDFium for as little as tells them: a question costs a microsecond.

    Args:
        text: PDFium's text of the page.
        number: of the page.
        spans: heights between which tables may stand; only their characters are read one by one.
    """

    def __init__(self, text: Any, number: int, spans: Sequence[tuple[float, float]]) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium = pdfium
        self._text = text.raw
        self._number = number
        self._spans = spans
        self._letters = _letters(text)
        self._types: dict[int | None, _Type] = {}
        self._fonts: dict[int | None, tuple[bool, bool]] = {}
        self._edges = tuple(ctypes.c_double() for _ in range(4))
        self._matrix = pdfium.FS_MATRIX()
        self.lines: list[Line] = []
        self.chars: list[Char] = []
        self.unmapped_count = self._letters.count("\0")

    def read(self) -> None:
        """Read all lines."""
        for match in _LINE.finditer(self._letters):
            start = match.start()
            while start < match.end():
                end = self._label_end(start, match.end())
                self._add_line(start, end)
                start = end

    def _add_line(self, start: int, end: int) -> None:
        letters = self._letters[start:end]
        places = [place for place, letter in enumerate(letters, start) if letter not in _UNSEEN]
        if not places:
            return
        x0, bottom, x1, top = self._bounds(places)
        types = self._sample_types(places)
        line = Line(
            text=" ".join(_readable(letters).split()),
            x0=x0,
            x1=x1,
            bottom=bottom,
            top=top,
            size=round(sorted(kind.size for kind in types)[len(types) // 2] * 2) / 2,
            is_bold=all(kind.is_bold for kind in types),
            is_mono=all(kind.is_mono for kind in types),
            page=self._number,
        )
        if any(bottom <= high and top >= low for low, high in self._spans):
            self._add_chars(start, places)
        self.lines.append(line)

    def _add_chars(self, start: int, places: Sequence[int]) -> None:
        letters, get_box, text = self._letters, self._pdfium.FPDFText_GetCharBox, self._text
        x0, bottom, x1, top = self._edges
        line = len(self.lines)
        for place in places:
            get_box(text, place, x0, x1, bottom, top)
            letter = letters[place]
            if letter >= _FIRST_UNREADABLE:
                letter = _readable(letter)
            follows_space = place == start or letters[place - 1].isspace()
            middle = (bottom.value + top.value) / 2
            self.chars.append(Char(letter, x0.value, x1.value, middle, line, follows_space))

    def _label_end(self, start: int, end: int) -> int:
        """Return where a short label ends that a wide gap parts from the text to its right, else the end."""
        for gap in _GAP.finditer(self._letters, start, end):
            label = self._letters[start : gap.start()].strip()
            if len(label) > LABEL_CHARACTERS:
                break
            if len(label) > 1 and label[-1].isalpha():
                before, box = self._box(gap.start() - 1), self._box(gap.end())
                height = max(before[3] - before[1], box[3] - box[1])
                if box[0] - before[2] > (_HAN_LABEL_GAP if label[-1] > _FIRST_HAN else _LABEL_GAP) * height:
                    return gap.end()
        return end

    def _bounds(self, places: Sequence[int]) -> Box:
        """Return the box around characters of one line."""
        pdfium, text = self._pdfium, self._text
        count = pdfium.FPDFText_CountRects(text, places[0], places[-1] - places[0] + 1)
        x0, bottom, x1, top = self._edges
        boxes: list[Box] = []
        for index in range(count):
            pdfium.FPDFText_GetRect(text, index, x0, top, x1, bottom)
            boxes.append((x0.value, bottom.value, x1.value, top.value))
        lefts, lows, rights, highs = zip(*(boxes or map(self._box, places)), strict=True)
        return min(lefts), min(lows), max(rights), max(highs)

    def _box(self, place: int) -> Box:
        x0, bottom, x1, top = self._edges
        self._pdfium.FPDFText_GetCharBox(self._text, place, x0, x1, bottom, top)
        return x0.value, bottom.value, x1.value, top.value

    def _sample_types(self, places: Sequence[int]) -> list[_Type]:
        """Return the types of some characters of a line; one where a single piece of text is the line."""
        first, last = self._piece(places[0]), self._piece(places[-1])
        if first[0] is not None and first[0] == last[0]:
            return [self._type(places[0], *first)]
        between = {places[len(places) // 3], places[len(places) * 2 // 3]} - {places[0], places[-1]}
        types = [self._type(place, *self._piece(place)) for place in between]
        return [self._type(places[0], *first), self._type(places[-1], *last), *types]

    def _piece(self, place: int) -> tuple[int | None, Any]:
        """Return the piece of text that the page's content draws at once, and what tells it from others."""
        piece = self._pdfium.FPDFText_GetTextObject(self._text, place)
        return ctypes.cast(piece, ctypes.c_void_p).value, piece

    def _type(self, place: int, key: int | None, piece: Any) -> _Type:
        """Return a character's type: that of its piece of text."""
        pdfium, text = self._pdfium, self._text
        if key is None or key not in self._types:
            scale = 1.0
            if pdfium.FPDFText_GetMatrix(text, place, self._matrix):
                scale = (self._matrix.c**2 + self._matrix.d**2) ** 0.5 or 1.0
            size = float(pdfium.FPDFText_GetFontSize(text, place)) * scale
            self._types[key] = _Type(size, *self._font(piece, place))
        return self._types[key]

    def _font(self, piece: Any, place: int) -> tuple[bool, bool]:
        """Return whether the font of a character is bold and whether it has one pitch."""
        font = None
        if piece:
            found = self._pdfium.FPDFTextObj_GetFont(piece)
            font = ctypes.cast(found, ctypes.c_void_p).value
        if font is None or font not in self._fonts:
            self._fonts[font] = _font_at(self._text, place)
        return self._fonts[font]


def _letters(text: Any) -> str:
    """Return a page's characters, so that the place in it is PDFium's place."""
    import pypdfium2.raw as pdfium

    count = text.count_chars()
    buffer = (ctypes.c_ushort * (count + 1))()
    written = pdfium.FPDFText_GetText(text, 0, count, buffer)
    letters = bytes(buffer)[: 2 * max(written - 1, 0)].decode("utf-16-le", "surrogatepass")
    if len(letters) != count or _SURROGATE.search(letters):
        letters = "".join(chr(pdfium.FPDFText_GetUnicode(text, place)) for place in range(count))
    return letters


def _readable(letters: str) -> str:
    """Return the letters as people search for them, without control characters."""
    if letters.isascii() and letters.isprintable():
        return letters
    letters = _HYPHEN.sub(SOFT_HYPHEN, letters)
    letters = _COMPATIBLE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), letters)
    return _CONTROL.sub("", letters)


def _font_at(text: Any, place: int) -> tuple[bool, bool]:
    import pypdfium2.raw as pdfium

    buffer, flags = ctypes.create_string_buffer(_FONT_NAME_BYTES), ctypes.c_int()
    pdfium.FPDFText_GetFontInfo(text, place, buffer, _FONT_NAME_BYTES, flags)
    name = buffer.value.decode("utf-8", "replace")
    is_bold = (
        pdfium.FPDFText_GetFontWeight(text, place) >= _BOLD_WEIGHT
        or bool(flags.value & _FORCE_BOLD)
        or bool(_BOLD_NAME.search(name))
    )
    return is_bold, bool(flags.value & _FIXED_PITCH) or bool(_MONO_NAME.search(name))
