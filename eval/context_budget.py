"""Whether the first tokens of what was found hold the gold text: context@1k.

A passage's length decides how easily it is "right" at a place: the longer the chunks, the better hit@5. What
an engine can read is a number of tokens, so here results are laid end to end, best first, and cut after 1,000
tokens, an English word or a Chinese character each; counted is what of the gold's text stands there.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence

from eval.normalisation import gram_length, grams, squeezed

CONTEXT_TOKENS = 1000
HELD_SHARE = 0.6
# twice the length that tells passages apart: a thousand words of one subject share many short grams
_GRAM_FACTOR = 2
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+(?:['’.-][^\W_{_HAN}]+)*")


def first_tokens(texts: Iterable[str], limit: int = CONTEXT_TOKENS) -> list[str]:
    """Return the texts up to the token number ``limit`` of all of them, the last one cut behind it.

    Args:
        texts: best first.
        limit: English words and Chinese characters.
    """
    kept: list[str] = []
    left = limit
    for text in texts:
        if not left:
            break
        count = _token_count(text)
        kept.append(text if count <= left else _cut(text, left))
        left -= min(count, left)
    return kept


@functools.lru_cache(maxsize=8192)
def _token_count(text: str) -> int:
    """Return how many tokens a text has, remembered: the same chunk is found for many questions."""
    return sum(1 for _ in _TOKEN.finditer(text))


def _cut(text: str, count: int) -> str:
    ends = [match.end() for match, _ in zip(_TOKEN.finditer(text), range(count), strict=False)]
    return text[: ends[-1]]


def held_share(gold: str, texts: Sequence[str]) -> float:
    """Return from 0 to 1 how much of a gold's text stands in the texts.

    Compared are letters and digits only, in character n-grams of 10, or of 6 where the gold is Chinese; a
    gram that the gold has twice counts twice. A gold shorter than a gram is held or not.
    """
    wanted = squeezed(gold)
    if not wanted:
        return 0.0
    parts = grams(wanted, _GRAM_FACTOR * gram_length(wanted))
    found = "\n".join(map(squeezed, texts))
    return sum(count for gram, count in parts.items() if gram in found) / parts.total()


def context_hit(golds: Sequence[str], texts: Iterable[str], limit: int = CONTEXT_TOKENS) -> float | None:
    """Return 1 if the first tokens of the texts hold 60 % of any gold's text, else 0; None without a text.

    Args:
        golds: texts of a case's golds.
        texts: of the passages found, as shown, best first.
        limit: English words and Chinese characters.
    """
    wanted = [gold for gold in golds if squeezed(gold)]
    if not wanted:
        return None
    kept = first_tokens(texts, limit)
    return float(any(held_share(gold, kept) >= HELD_SHARE for gold in wanted))
