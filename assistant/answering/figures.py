"""Figures copied from the wrong line or the wrong column of a passage, and the line to read instead.

A small model names the right subject and takes the figure from the row beside it. Held against whole
passages such a sentence looks well supported, so it is held against single lines here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from assistant.answering.citations import without_marks
from assistant.core.records import Passage
from assistant.core.sentences import numbers, split_sentences, terms

# measured on the sample suite's answers: no right answer of the tuned model lies beyond both
_MIN_COVERAGE = 0.5
_MIN_LEAD = 0.25
CELL_BORDER = " · "


class _Line(NamedTuple):
    text: str
    figures: frozenset[str]
    coverage: float  # share of the words of question and sentence that stand in line and headings


def mend_figures(question: str, text: str, passages: tuple[Passage, ...]) -> str:
    """Return the answer with the line itself in place of each sentence that misreads its figure.

    A sentence misreads when a line that has no such figure speaks of its subject clearly more than any
    line that has it, or when the figure stands in a column that nobody asked for beside one that was.
    Several figures may come from several lines, so they are held against columns only.

    Args:
        question: as asked; its figures are nobody's claim.
        text: the engine's answer, without marks or with them.
        passages: the context.
    """
    return with_lines(text, lambda sentence: _line_instead(question, sentence, passages))


def with_lines(text: str, line_instead: Callable[[str], str | None]) -> str:
    """Return a text with lines in place of sentences, each line once.

    Args:
        text: with marks or without them.
        line_instead: returns the line to put in place of a sentence, None where it stays.
    """
    pieces: list[str] = []
    end = 0
    is_bare = not _words(without_marks(text))
    for span in split_sentences(text):
        # "1." at the head of a list item is no claim, "27 [1]" as the whole answer is
        if not is_bare and not _words(without_marks(span.text)):
            continue
        if line := line_instead(span.text):
            before = text[end : span.start].rstrip()
            pieces += [before, "\n"] if line in pieces else [before, "\n", line, "\n"]
            end = span.end
    rest = text[end:].lstrip() if pieces else text
    return "".join((*pieces, rest)).strip()


def _line_instead(question: str, sentence: str, passages: tuple[Passage, ...]) -> str | None:
    figures = _claimed_figures(question, sentence)
    # a number of a heading that was copied along is no claim
    if not figures or any(figures <= numbers(" ".join(row.chunk.heading_path)) for row in passages):
        return None
    words = _words(question) | _words(sentence)
    lines = sorted(_lines(passages, words), key=lambda line: line.coverage, reverse=True)
    held = next((line for line in lines if figures <= line.figures), None)
    lead = lines[0].coverage - (held.coverage if held else 0.0) if lines else 0.0
    if len(figures) == 1 and lead >= _MIN_LEAD and lines[0].coverage >= _MIN_COVERAGE:
        return lines[0].text
    return held.text if held and _is_other_column(held.text, figures, words) else None


def _claimed_figures(question: str, sentence: str) -> frozenset[str]:
    return numbers(without_marks(sentence)) - numbers(question)


def _lines(passages: tuple[Passage, ...], words: frozenset[str]) -> Iterator[_Line]:
    for passage in passages:
        above = terms(" ".join(passage.chunk.heading_path))
        for span in split_sentences(passage.chunk.text):
            if figures := numbers(span.text):
                known = terms(span.text) | above
                yield _Line(span.text, figures, len(words & known) / max(1, len(words)))


def _is_other_column(row: str, figures: frozenset[str], words: frozenset[str]) -> bool:
    """Return whether a table's row holds the figures only in columns that are not the one spoken of."""
    cells = [cell.partition(": ") for cell in row.split(CELL_BORDER)]
    with_figures = [(name, numbers(value)) for name, colon, value in cells if colon and numbers(value)]
    asked = {name for name, _ in with_figures if _words(name) and _words(name) <= words}
    holding = {name for name, held in with_figures if held & figures}
    return bool(asked and holding and not asked & holding)


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in terms(text) if not word[0].isdigit())
