"""Joining wrapped lines: Chinese without a space, hyphenated words without the hyphen."""

from __future__ import annotations

import re

# Han, kana and full-width punctuation: what is written without spaces.
CJK = r"　-〿぀-ヿ㐀-䶿一-鿿豈-﫿＀-￯‘’“”…—"
_CJK_BREAK = re.compile(rf"(?<=[{CJK}])[ \t]*\n\s*(?=[{CJK}])")
_ENDS_CJK = re.compile(rf"[{CJK}]\Z")
_STARTS_CJK = re.compile(rf"[{CJK}]")
_HYPHENS = "-\u00ad\u2010"
_LAST_WORD = re.compile(r"[A-Za-zÀ-ɏ]{2,}\Z")
_FIRST_WORD = re.compile(r"[A-Za-zÀ-ɏ]+")
_RAISED = re.compile(r"\s*[+−-]?\d{1,3}\s*\Z")
_SUPERSCRIPTS = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_LATIN_HAN_GAP = re.compile(r"[A-Za-z0-9] [一-鿿]|[一-鿿] [A-Za-z0-9]")
_LATIN_HAN_TOUCH = re.compile(r"[A-Za-z0-9][一-鿿]|[一-鿿][A-Za-z0-9]")


def join_wrapped_cjk(text: str) -> str:
    """Remove line breaks between two Chinese characters; other white space stays as it is."""
    return _CJK_BREAK.sub("", text)


def spaces_scripts(text: str) -> bool:
    """Return whether a Chinese text sets a space between Chinese and Latin, as far as one can see."""
    return len(_LATIN_HAN_GAP.findall(text)) >= len(_LATIN_HAN_TOUCH.findall(text))


def join_lines(
    first: str, second: str, *, is_spaced: bool = True, words: frozenset[str] = frozenset()
) -> str:
    """Join two lines of one paragraph.

    Args:
        first: what stands before the break.
        second: what stands behind it.
        is_spaced: the text sets a space between Chinese and Latin.
        words: the document's words in lower case, to tell a hyphen of the word from one of the break.
    """
    if not first or not second:
        return first + second
    if first[-1] in _HYPHENS and (joined := _join_hyphenated(first, second, words)):
        return joined
    ends, starts = bool(_ENDS_CJK.search(first)), bool(_STARTS_CJK.match(second))
    if (ends and starts) or ((ends or starts) and not is_spaced):
        return first + second
    if first.endswith(("/", "-")) and not first.endswith((" -", " /")):
        return first + second
    return f"{first} {second}"


def _join_hyphenated(first: str, second: str, words: frozenset[str]) -> str | None:
    """Join a word that a hyphen breaks; None where the hyphen is none of a break."""
    is_soft = first[-1] == "\u00ad"
    word, follower = _LAST_WORD.search(first[:-1]), _FIRST_WORD.match(second)
    if word is None or follower is None:
        return first[:-1] + second if is_soft else None
    if not follower[0][0].islower():
        return f"{first[:-1]}-{second}"
    hyphenated, joined = f"{word[0]}-{follower[0]}".lower(), f"{word[0]}{follower[0]}".lower()
    return f"{first[:-1]}-{second}" if hyphenated in words and joined not in words else first[:-1] + second


def raise_figures(text: str) -> str:
    """Return a raised number in raised characters, other text as it is: the 6 of "10⁶", which is not 106."""
    return text.strip().translate(_SUPERSCRIPTS) if _RAISED.match(text) else text
