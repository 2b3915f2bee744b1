"""Made-up texts and questions for measuring how fast and how large an index is."""

from __future__ import annotations

import random

from assistant.core.language import Language

TOPICS = 2000
_WORDS = 30_000
_HAN = "水泵密封圈更换温度压力故障代码网络连接设备安装步骤检查电源开关清洁过滤器传感器报警面板设置用户手册"


class Texts:
    """Made-up texts: words as frequent as in a language, every fourth text Chinese, every tenth a code."""

    def __init__(self, seed: int = 3) -> None:
        self._random = random.Random(seed)
        self._weights = [1 / (rank + 10) for rank in range(_WORDS)]
        total = 0.0
        self._cumulated = [total := total + weight for weight in self._weights]

    def text(self, number: int) -> tuple[str, Language]:
        """Return a text and its language."""
        topic = f"topic{self._random.randrange(TOPICS)}"
        code = f" Error E-{number:06d}." if number % 10 == 0 else ""
        if number % 4 == 0:
            return f"{topic} {''.join(self._random.choices(_HAN, k=160))}。{code}", "zh"
        words = self._random.choices(range(_WORDS), cum_weights=self._cumulated, k=90)
        return f"{topic} {' '.join(map(_word, words))}.{code}", "en"

    def query(self) -> str:
        """Return a query of eight words."""
        topic = f"topic{self._random.randrange(TOPICS)}"
        if self._random.random() < 0.25:  # noqa: PLR2004 - every fourth, as the texts
            return f"{topic} {''.join(self._random.choices(_HAN, k=12))}"
        words = self._random.choices(range(_WORDS), cum_weights=self._cumulated, k=8)
        return f"{topic} {' '.join(map(_word, words))}"


def _word(number: int) -> str:
    letters = ""
    while number or not letters:
        number, place = divmod(number, 20)
        letters += "bcdfghklmnprstvwzjqx"[place] + "aeiou"[place % 5]
    return letters
