"""What tesseract writes (hOCR) as lines: text, place, height of type, confidence.

hOCR and not its TSV, because TSV gives a line's box only: on a page that is not quite straight that box
grows with the line's length, and headings could not be told by their height.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from assistant.core.confidence import mean_confidence
from assistant.core.language import han_count

_LINE_CLASSES = {"ocr_line", "ocr_header", "ocr_caption", "ocr_textfloat"}
_PROPERTY = re.compile(r"(\w+)((?: -?\d+(?:\.\d+)?)+)")
# What is written without spaces: Han, kana and their full-width punctuation.
_HAN = r"\u3000-〿぀-ヿ㐀-䶿一-鿿豈-﫿＀-￯"
_NO_SPACE = re.compile(rf"(?<=[{_HAN}]) | (?=[{_HAN}])")
_HALF_WIDTH = re.compile(rf"(?<=[{_HAN}])([,;:!?])(?!\d)")
_HALF_BRACKETS = re.compile(rf" ?\(([^()]*[{_HAN}][^()]*)\) ?")
_FULL_WIDTH = str.maketrans(",;:!?", "，；：！？")
# The degree sign is not among the letters that the Chinese model knows.
_DEGREES = re.compile(r"""(?<=\d)( ?)[*“”"](?=[CF]\b)""")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")


class Word(msgspec.Struct, frozen=True):
    """One word, or a few Chinese characters, with its confidence from 0 to 1."""

    text: str
    confidence: float


class OcrLine(msgspec.Struct, frozen=True, kw_only=True):
    """One recognised line, in pixels from the upper left corner.

    Attributes:
        words: its words.
        x0: left edge.
        x1: right edge.
        baseline: height of its baseline at the left edge.
        slope: of its baseline.
        size: height of its type; comparable between lines, not quite the size of the font.
    """

    words: tuple[Word, ...]
    x0: float
    x1: float
    baseline: float
    slope: float
    size: float

    @property
    def text(self) -> str:
        """Its text: Chinese without spaces and with punctuation of its own width."""
        return join_words(word.text for word in self.words)

    @property
    def confidence(self) -> float:
        """Mean confidence over its characters."""
        return _confidence(self.words)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What was recognised on a page.

    Attributes:
        lines: in reading order.
        languages: tesseract's names of what it was read with, such as ``chi_sim+eng``.
        turned: degrees that the page was turned by, counter-clockwise, before it was read.
    """

    lines: tuple[OcrLine, ...]
    languages: str
    turned: int = 0

    @property
    def words(self) -> list[Word]:
        """All words."""
        return [word for line in self.lines for word in line.words]

    @property
    def confidence(self) -> float:
        """Mean confidence over its characters; 0 where there are none."""
        return _confidence(self.words)

    @property
    def character_count(self) -> int:
        """Characters without white space."""
        return sum(len(word.text) for word in self.words)

    def weak_share(self, threshold: float) -> float:
        """Return the share of characters in words of less confidence; 1 where there are none."""
        total = self.character_count
        weak = sum(len(word.text) for word in self.words if word.confidence < threshold)
        return weak / total if total else 1.0

    @property
    def latin_share(self) -> float:
        """Latin words among Latin words and Chinese characters."""
        text = " ".join(word.text for word in self.words)
        latin = len(_LATIN_WORD.findall(text))
        return latin / max(latin + han_count(text), 1)


def join_words(words: Iterable[str]) -> str:
    """Join the words of a line: no space beside Chinese, and the punctuation that Chinese is set with."""
    text = _NO_SPACE.sub("", " ".join(words))
    text = _HALF_WIDTH.sub(lambda found: found[1].translate(_FULL_WIDTH), text)
    text = _HALF_BRACKETS.sub(r"（\1）", text)
    return _DEGREES.sub(r"\1°", text)


def parse_hocr(raw: bytes, languages: str) -> Reading:
    """Return the lines of tesseract's hOCR output; empty where it holds none."""
    from lxml import etree

    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True)
    root = etree.fromstring(raw, parser=parser) if raw.strip() else None
    lines = () if root is None else tuple(_lines(root))
    return Reading(lines=lines, languages=languages)


def _lines(root: Any) -> Iterator[OcrLine]:
    for element in root.iter("{*}span"):
        if element.get("class") not in _LINE_CLASSES:
            continue
        words = tuple(_words(element))
        if not words:
            continue
        values = _properties(element)
        x0, y0, x1, y1 = values["bbox"]
        slope, offset = values.get("baseline", (0.0, 0.0))
        size = values.get("x_size", (y1 - y0,))[0]
        yield OcrLine(words=words, x0=x0, x1=x1, baseline=y1 + offset, slope=slope, size=max(size, 1.0))


def _words(line: Any) -> Iterator[Word]:
    for element in line.iter("{*}span"):
        text = "".join(element.itertext()).strip()
        if element.get("class") == "ocrx_word" and text:
            yield Word(text, _properties(element).get("x_wconf", (0.0,))[0] / 100)


def _properties(element: Any) -> dict[str, tuple[float, ...]]:
    """Return the numbers that hOCR keeps in an element's title, by name."""
    found = _PROPERTY.findall(element.get("title") or "")
    return {name: tuple(map(float, numbers.split())) for name, numbers in found}


def _confidence(words: Iterable[Word]) -> float:
    return mean_confidence((word.confidence, len(word.text)) for word in words) or 0.0
