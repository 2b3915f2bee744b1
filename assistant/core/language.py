"""Which of the two working languages a text is in."""

from __future__ import annotations

import re
from typing import Literal

Language = Literal["en", "zh"]

_HAN = re.compile(r"[㐀-䶿一-鿿豈-﫿]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")

_ENGLISH = re.compile(
    r"\b(?:a|an|the|is|are|was|be|do|does|did|how|what|why|when|where|which|who|can|could|should|will|to|of|in|on"
    r"|for|with|from|by|at|and|or|not|my|your|i|it|this|that|if|there|have|has|please)\b",
    re.IGNORECASE,
)

_CHINESE = re.compile(r"[的了吗怎么什是不吧呢如何可能有没在请为多哪]")
_LEAST_HAN = 2


def han_count(text: str) -> int:
    """Return the number of Chinese characters in the text."""
    return len(_HAN.findall(text))


def detect_language(text: str) -> Language:
    """Return ``zh`` where Chinese characters carry the sentence, else ``en``.

    A Latin word weighs as much as a character, so that "ESP32 支持 Wi-Fi 吗" is Chinese and
    "the 海沃恩 T6 oven does not start" is English.
    """
    han = han_count(text)
    return "zh" if han and han >= len(_LATIN_WORD.findall(text)) else "en"


def question_language(text: str) -> Language:
    """Return the language that a question is asked in, by the words that a sentence is made with.

    A Chinese one may be all but made of names ("ESP32-C3 支持 Bluetooth Mesh"), an English one hold a long
    Chinese name ("Restart the 海沃恩 T6").
    """
    is_english, is_chinese = bool(_ENGLISH.search(text)), bool(_CHINESE.search(text))
    if is_english == is_chinese or not han_count(text):
        return detect_language(text) if is_english or han_count(text) < _LEAST_HAN else "zh"
    return "zh" if is_chinese else "en"
