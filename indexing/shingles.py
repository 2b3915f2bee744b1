"""Likeness of texts by their runs of words (English) or characters (Chinese), and of search results by it."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from assistant.core.language import Language
from assistant.core.records import Chunk

Hashes = npt.NDArray[np.uint32]

# a change of one word costs as many runs in either language: 3 words, or 4 characters of which two are a word
_RUN_UNITS: dict[Language, int] = {"en": 3, "zh": 4}
_UNIT = re.compile(r"[㐀-䶿一-鿿豈-﫿]|[^\W_㐀-䶿一-鿿豈-﫿]+")
_NUMBER = re.compile(r"[a-z]*\d[a-z\d]*|[零一二两三四五六七八九十百千万]")
_FACTORS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F], np.uint32)
_SAME_PASSAGE = 0.9
_SAMPLE_CHARACTERS = 8


def shingles(text: str, language: Language) -> Hashes:
    """Return the hashes of a text's runs of units, sorted, each once; the same on every machine.

    A unit is a word or a Chinese character, case and punctuation aside. A text of fewer units than a run
    has one hash, one without any unit has none.
    """
    units = [zlib.crc32(unit.encode()) for unit in _units(text)]
    length = min(_RUN_UNITS[language], len(units))
    if not length:
        return np.zeros(0, np.uint32)
    hashed = np.array(units, np.uint32)
    runs = np.zeros(len(units) - length + 1, np.uint32)
    for place in range(length):
        runs ^= hashed[place : place + len(runs)] * _FACTORS[place]
    return np.unique(runs)


def mix(values: Hashes) -> Hashes:
    """Return the values with their bits spread, one to one (the finaliser of MurmurHash3)."""
    values = values ^ (values >> np.uint32(16))
    values = values * np.uint32(0x85EBCA6B)
    values = values ^ (values >> np.uint32(13))
    values = values * np.uint32(0xC2B2AE35)
    return values ^ (values >> np.uint32(16))


def jaccard(left: Hashes, right: Hashes) -> float:
    """Return what two texts share of all that they hold, from 0 to 1."""
    shared = shared_count(left, right)
    total = len(left) + len(right) - shared
    return shared / total if total else 0.0


def shared_count(left: Hashes, right: Hashes) -> int:
    """Return how many hashes stand in both."""
    return len(np.intersect1d(left, right, assume_unique=True))


def distinct_passages(order: Iterable[int], chunks: Mapping[int, Chunk], top_k: int) -> list[int]:
    """Return the first ``top_k`` chunks of an order, without those that say what an earlier one says.

    Two chunks say the same where they share nine tenths of their runs and hold the same numbers and codes,
    titles included: the entries of two fault codes or the torques of two models stay apart, however alike
    their wording is.

    Args:
        order: numbers of chunks, best first.
        chunks: number → chunk.
        top_k: most to return.
    """
    kept: list[int] = []
    for number in order:
        if not any(_says_the_same(chunks[number], chunks[other]) for other in kept):
            kept.append(number)
            if len(kept) == top_k:
                break
    return kept


def _says_the_same(left: Chunk, right: Chunk) -> bool:
    if left.text == right.text:
        return True
    shorter, longer = sorted((len(left.text), len(right.text)))
    if shorter < _SAME_PASSAGE * longer or not _share_a_sample(left.text, right.text):
        return False
    if _numbers(left) != _numbers(right):
        return False
    runs = (shingles(chunk.text, left.language) for chunk in (left, right))
    return jaccard(*runs) >= _SAME_PASSAGE


def _share_a_sample(left: str, right: str) -> bool:
    """Tell at once most texts apart: of three places of one, none stands in the other."""
    last = max(0, len(left) - _SAMPLE_CHARACTERS)
    return any(left[at : at + _SAMPLE_CHARACTERS] in right for at in (0, last // 2, last))


def _units(text: str) -> list[str]:
    return _UNIT.findall(unicodedata.normalize("NFKC", text).lower())


def _numbers(chunk: Chunk) -> Counter[str]:
    text = "\n".join((*chunk.heading_path, chunk.text))
    return Counter(_NUMBER.findall(unicodedata.normalize("NFKC", text).lower()))
