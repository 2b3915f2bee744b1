"""What counts as the same wording, for metrics in English and Chinese."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter

from assistant.core.language import han_count

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_LETTER = rf"[^\W\d_{_HAN}]"
# NFKC turns a thin or no-break space into a plain one, so thousands are joined before it
_THOUSANDS = re.compile(r"(?<![\d.])(\d{1,3})((?:[,\u00a0\u2009\u202f]\d{3})+)(?!\d)")
_NOT_DIGIT = re.compile(r"\D")
_CITATION_MARK = re.compile(r"[\[【［]\s*\d{1,2}(?:\s*[,，、]\s*\d{1,2})*\s*[\]】］]")
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–−", "-") | {"×": "x", "°": " "})
_RANGE = re.compile(r"(?<=\d)\s*[-~]\s*(?=\d)")
_TIMES = re.compile(r"(?<=\d)\s*[x*]\s*(?=\d)")
_UNIT_DOT = re.compile(rf"(?<={_LETTER})[·⋅∙•・](?={_LETTER})")
_CODE_DASH = re.compile(rf"(?<={_LETTER})-(?=\d)")
# In this order: a code (E05, M8), a time, a number with sign, decimals or range (-5, 1.5, 3-5), a word,
# a Chinese character, a percent sign.
_TOKEN = re.compile(
    rf"{_LETTER}+\d+(?:\.\d+)*"
    r"|\d{1,2}:\d\d(?![\d:])"
    r"|(?:(?<![a-z0-9.)])-)?\d+(?:\.\d+)*(?:-\d+(?:\.\d+)*)*"
    rf"|{_LETTER}+|[{_HAN}]|%"
)
# 46.70 is 46.7 and 132.00 is 132, but version 3.4.0 is not version 3.4
_ZEROS = re.compile(r"(?<![\d.])(\d+)(?:\.0+|(\.\d*[1-9])0+)(?![\d.]\d|\d)")
_NO_TEXT = re.compile(r"https?://[!-~]+|</?[A-Za-z][^<>]{0,200}>")
_NO_LETTER = re.compile(r"[\W_]+")
_LONGEST_SINGULAR = 3
_ARTICLES = frozenset({"a", "an", "the"})


def tokens(text: str) -> list[str]:
    """Return the comparable tokens of a text.

    No difference make: full-width forms, case, thousands separators, zeros that end a decimal, a
    space between a number and its unit, the dot in ``N·m``, the dash in ``E-05``, punctuation of both
    languages, citation marks and an English plural's ``s``. A number is one token with its sign,
    decimals and range, so that 48 is found neither in 148 nor in 48.5, -48 or 48-50; a code is one
    token, so that E05 is not in E051; a Chinese character is a token.
    """
    # NFKC would make a time of the Chinese colon in "故障05：48"
    bare = _CITATION_MARK.sub(" ", text).replace("：", " ")
    joined = _THOUSANDS.sub(_join_thousands, bare)
    plain = joined.casefold() if joined.isascii() else _fold(joined)
    plain = _CODE_DASH.sub("", _UNIT_DOT.sub("", _TIMES.sub("x", _RANGE.sub("-", plain))))
    return [_singular(token) for token in _TOKEN.findall(_ZEROS.sub(r"\1\2", plain))]


def answer_tokens(text: str) -> list[str]:
    """Return the tokens without English articles, as scores over whole answers compare them."""
    return [token for token in tokens(text) if token not in _ARTICLES]


def squeeze(text: str) -> str:
    """Return only the letters and digits of a text in one case, without links and HTML tags.

    Markdown, tables and line breaks come out differently from every parser; this is what stays.
    """
    return _NO_LETTER.sub("", unicodedata.normalize("NFKC", _NO_TEXT.sub(" ", text)).casefold())


@functools.lru_cache(maxsize=8192)
def squeezed(text: str) -> str:
    """Return ``squeeze(text)``, remembered: the same chunk is found for many questions."""
    return squeeze(text)


def gram_length(squeezed_text: str) -> int:
    """Return the length of the character n-grams that suit a text: 3 for Chinese, 5 else."""
    return 3 if 2 * han_count(squeezed_text) >= len(squeezed_text) else 5


def grams(squeezed_text: str, length: int) -> Counter[str]:
    """Return the character n-grams of a squeezed text; a shorter text is one gram."""
    starts = range(max(1, len(squeezed_text) - length + 1)) if squeezed_text else ()
    return Counter(squeezed_text[start : start + length] for start in starts)


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().translate(_DASHES)


def _join_thousands(match: re.Match[str]) -> str:
    return match[1] + _NOT_DIGIT.sub("", match[2])


def _singular(token: str) -> str:
    if len(token) > _LONGEST_SINGULAR and token[-1] == "s" and token[-2] != "s" and token.isalpha():
        return token[:-1]
    return token
