"""Which font draws which character, so that Latin and Chinese text mix on one line."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from reportlab.pdfbase.pdfmetrics import getFont, registerFont
from reportlab.pdfbase.ttfonts import TTFError, TTFont

DEFAULT_FONT_PATH = Path("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf")
_LATIN, _CJK, _SYMBOLS = "Helvetica", "SampleCJK", "SampleSymbols"


def register(cjk_font_path: Path) -> None:
    """Make the Chinese font and the symbol font that comes with reportlab known.

    Raises:
        FileNotFoundError: If there is no font that can be embedded at that path.
    """
    try:
        registerFont(TTFont(_CJK, str(cjk_font_path)))
    except TTFError as error:
        raise FileNotFoundError(
            f"no usable TrueType font at {cjk_font_path}; run: apt-get install fonts-droid-fallback, or pass --font"
        ) from error
    registerFont(TTFont(_SYMBOLS, "Vera.ttf"))


def _font_of(character: str) -> str:
    try:
        character.encode("cp1252")
    except UnicodeEncodeError:
        for name in (_CJK, _SYMBOLS):
            if ord(character) in getFont(name).face.charToGlyph:
                return name
        raise ValueError(f"no font has the character {character!r}") from None
    return _LATIN


def runs(text: str) -> Iterator[tuple[str, str]]:
    """Split a text into (font name, run) pairs."""
    for name, characters in groupby(text, _font_of):
        yield name, "".join(characters)


def mark_up(text: str, *, is_bold: bool = False) -> str:
    """Return a text as reportlab paragraph markup with a font tag for every run outside the Latin font."""
    parts = []
    for name, run in runs(text):
        if name == _LATIN:
            parts.append(f"<b>{escape(run)}</b>" if is_bold else escape(run))
        else:
            parts.append(f'<font name="{name}">{escape(run)}</font>')
    return "".join(parts)
