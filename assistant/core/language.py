"""Which of the two working languages a text is in."""

from __future__ import annotations

import re
from typing import Literal

Language = Literal["en", "zh"]

_HAN = re.compile(r"[㐀-䶿一-鿿豈-﫿]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")


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
