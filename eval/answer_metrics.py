"""Published measures of an answer against reference answers: exact match and F1 of SQuAD, and ROUGE-L.

Chinese is compared by character, as MLQA does (Lewis et al. 2020). They know nothing of units and spellings
of numbers; ``eval.answers`` does. ``test_eval_references.py`` holds them against the published scripts.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

from assistant.core.language import Language

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_MIXED = re.compile(r"[\u4e00-\u9fa5]|[^\s\u4e00-\u9fa5]+")
_ROUGE = re.compile(r"[a-z0-9]+|[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")


def squad_tokens(text: str, language: Language) -> list[str]:
    """Return what SQuAD compares: lower case, without punctuation; words without articles, or characters."""
    bare = "".join(character for character in text.lower() if not _is_punctuation(character))
    return _MIXED.findall(bare) if language == "zh" else _ARTICLE.sub(" ", bare).split()


def squad_exact_match(references: Sequence[str], text: str, language: Language) -> float:
    """Return 1 if the text is a reference, compared as above, else 0."""
    found = squad_tokens(text, language)
    return float(any(squad_tokens(reference, language) == found for reference in references))


def squad_f1(references: Sequence[str], text: str, language: Language) -> float:
    """Return the best F1 over common tokens against the references (Rajpurkar et al. 2016)."""
    found = Counter(squad_tokens(text, language))
    return max((_f1(Counter(squad_tokens(row, language)), found) for row in references), default=0.0)


def rouge_l(references: Sequence[str], text: str) -> float:
    """Return the best F of the longest common subsequence against the references (Lin 2004).

    Tokens are runs of Latin letters and digits, and single Chinese characters; no stemming.
    """
    found = rouge_tokens(text)
    return max((_lcs_f(rouge_tokens(reference), found) for reference in references), default=0.0)


def rouge_tokens(text: str) -> list[str]:
    """Return the tokens that ROUGE-L compares."""
    return _ROUGE.findall(text.lower())


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character)[0] == "P"


def _f1(wanted: Counter[str], found: Counter[str]) -> float:
    common = (wanted & found).total()
    return 2 * common / (wanted.total() + found.total()) if common else 0.0


def _lcs_f(wanted: list[str], found: list[str]) -> float:
    length = _lcs_length(wanted, found)
    return 2 * length / (len(wanted) + len(found)) if length else 0.0


def _lcs_length(wanted: list[str], found: list[str]) -> int:
    """Return the length of the longest common subsequence, a bit of an integer for each wanted token.

    Hyyrö, Bit-parallel LCS-length computation revisited (2004).
    """
    places: dict[str, int] = {}
    for place, token in enumerate(wanted):
        places[token] = places.get(token, 0) | 1 << place
    full = (1 << len(wanted)) - 1
    row = full
    for token in found:
        match = row & places.get(token, 0)
        row = ((row + match) | (row - match)) & full
    return len(wanted) - row.bit_count()
