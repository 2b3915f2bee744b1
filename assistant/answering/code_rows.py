"""Sentences about a fault code that are read from another code's row, and the row to read instead.

A small model asked for F03 takes the meaning of F31 two rows below, and cites that row. The passage holds
both codes, so that the sentence looks well supported; so it is held against single lines here. Measured on
518 kept answers of five runs over the samples: 13 changed, all of them wrong before, none right made wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from assistant.answering.citations import without_marks
from assistant.answering.figures import CELL_BORDER, with_lines
from assistant.core.records import Passage
from assistant.core.sentences import split_sentences, terms
from indexing.code_patterns import CODE

_MIN_COVERAGE = 0.5
_MIN_LEAD = 0.25
_FEWEST_WORDS = 2
_DIGIT = re.compile(r"\d")
# "Q7" names a model and "J9" a plug: what has two digits may be a fault code
_FEWEST_DIGITS = 2


class _Line(NamedTuple):
    text: str
    words: frozenset[str]
    codes: frozenset[str]  # of the line, or of the section where the line names none


def mend_codes(question: str, text: str, passages: tuple[Passage, ...]) -> str:
    """Return the answer with a code's own line in place of each sentence that is read from another code's.

    A sentence is of the code that it names, or of the question's where it names none. It is misread when a
    line of another code of the same form holds its words clearly better than any line of its own code does,
    and no line without such a code holds them as well.

    Args:
        question: as asked.
        text: the engine's answer, without marks or with them.
        passages: the context.
    """
    asked = _codes(question)
    lines = [line for passage in passages for line in _lines(passage)]
    if not any(line.codes for line in lines):
        return text
    return with_lines(text, lambda sentence: _line_instead(question, asked, sentence, lines))


def _line_instead(question: str, asked: frozenset[str], sentence: str, lines: list[_Line]) -> str | None:
    claim = without_marks(sentence)
    named = _codes(claim) or asked
    words = _words(claim)
    if len(named) != 1 or len(words) < _FEWEST_WORDS:
        return None
    (code,) = named
    alike = [line for line in lines if _form(code) in map(_form, line.codes)]
    own = [line for line in alike if code in line.codes]
    others = [line for line in alike if code not in line.codes]
    if not own or not others:
        return None

    def coverage(line: _Line) -> float:
        return len(words & line.words) / len(words)

    misread = max(map(coverage, others))
    plain = max((coverage(line) for line in lines if line not in alike), default=0.0)
    if misread < _MIN_COVERAGE or misread <= plain or misread - max(map(coverage, own)) < _MIN_LEAD:
        return None
    wanted = _words(question)
    return max(own, key=lambda line: (len(wanted & line.words), len(line.words))).text


def _lines(passage: Passage) -> Iterator[_Line]:
    of_section = _codes(passage.chunk.heading_path[-1]) if passage.chunk.heading_path else frozenset()
    for line in passage.chunk.text.splitlines():
        # a semicolon inside a row ends no sentence
        rows = [line] if CELL_BORDER in line else [span.text for span in split_sentences(line)]
        for row in rows:
            yield _Line(row, _words(row), _codes(row) or of_section)


def _codes(text: str) -> frozenset[str]:
    found = (match.group().upper() for match in CODE.finditer(unicodedata.normalize("NFKC", text)))
    return frozenset(code for code in found if len(_DIGIT.findall(code)) >= _FEWEST_DIGITS)


def _form(code: str) -> str:
    """Return how a code is written: F31 as F03, and not as HT-4051."""
    return _DIGIT.sub("0", code)


def _words(text: str) -> frozenset[str]:
    codes = {code.lower() for code in _codes(text)}
    return frozenset(word for word in terms(text) if not word[0].isdigit() and word not in codes)
