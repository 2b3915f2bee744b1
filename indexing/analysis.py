"""From text to terms: the one analysis that indexing, querying and the evidence measure share."""

from __future__ import annotations

import functools
import re
import threading
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

_LATIN = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")
_CJK_RUN = re.compile(r"[㐀-䶿一-鿿豈-﫿]+")
_PIECE = re.compile(_LATIN.pattern + "|" + _CJK_RUN.pattern)
_SEPARATORS = re.compile(r"[-_.]")
_NUMBER_AND_UNIT = re.compile(r"(\d+)([a-z]+)")
_LONGEST_TERM = 64
# of those that ask at once one reads the dictionary, which takes a second; all would hold up everything
_READING = threading.Lock()


def fold(text: str) -> str:
    """Return the text with full-width and other compatibility forms folded, in lower case."""
    return unicodedata.normalize("NFKC", text).lower()


def analyze(text: str, own_words: re.Pattern[str] | None = None) -> list[str]:
    """Return the terms of a text, in order, repeats included.

    English words are stemmed; Chinese is cut by jieba's search mode; what is joined by ``-``, ``_`` or ``.``
    (codes, part numbers, identifiers) is kept whole without its separators and also split:
    ``HQ-1204`` gives ``hq1204``, ``hq`` and ``1204``, so that ``HQ1204`` finds it.

    Args:
        text: any.
        own_words: of a collection (``own_words``), which are terms beside what jieba makes of them.
    """
    terms: list[str] = []
    for match in _PIECE.finditer(fold(text)):
        piece = match.group()
        terms.extend(_chinese_terms(piece, own_words) if _CJK_RUN.match(piece) else _latin_terms(piece))
    return terms


def new_words(texts: Iterable[str]) -> list[str]:
    """Return those of some texts that are a Chinese word each and no term so far: folded, sorted."""
    folded = {fold(text) for text in texts}
    return sorted(word for word in folded if _CJK_RUN.fullmatch(word) and word not in _chinese_terms(word))


def own_words(words: Iterable[str]) -> re.Pattern[str] | None:
    """Return what finds words in a text, of two that begin together the longer one; None without words."""
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def cut_words(run: str) -> list[str]:
    """Return the words of a run of Chinese characters, none inside another."""
    words: list[str] = _tokenizer().lcut(run)
    return words


def _latin_terms(piece: str) -> list[str]:
    parts = _SEPARATORS.split(piece)
    terms = [_stem(part) for part in parts if len(part) <= _LONGEST_TERM]
    if len(parts) > 1:
        whole = "".join(parts)
        terms += [_stem(whole)] if len(whole) <= _LONGEST_TERM else []
    elif measure := _NUMBER_AND_UNIT.fullmatch(piece):
        terms += measure.groups()
    return terms


def _stem(word: str) -> str:
    return _stemmer()(word) if word.isalpha() else word


def _chinese_terms(run: str, own: re.Pattern[str] | None = None) -> list[str]:
    terms = [word for word in _cutter()(run) if word.strip()]
    return terms + own.findall(run) if own else terms


@functools.cache
def _stemmer() -> Callable[[str], str]:
    import Stemmer

    stem: Callable[[str], str] = Stemmer.Stemmer("english").stemWord
    return stem


def _cutter() -> Callable[[str], list[str]]:
    cut: Callable[[str], list[str]] = _tokenizer().lcut_for_search
    return cut


def _tokenizer() -> Any:
    with _READING:
        return _read_dictionary()


@functools.cache
def _read_dictionary() -> Any:
    import jieba

    # the dictionary is read here, because jieba by itself leaves and trusts a cache file in the shared
    # temporary folder
    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer
