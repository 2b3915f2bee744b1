"""A line that only says where a passage stands is no answer; small models copy it from the context."""

from __future__ import annotations

from assistant.answering.citations import make_citation, without_marks
from assistant.core.prompts import where_it_stands
from assistant.core.records import Passage
from assistant.core.sentences import place_marks

_ENDS = " .:。：-–"
# one name alone may be the answer: a part, a mode, a city
_LEAST_PARTS = 2


def answer_headings(question: str, text: str, passages: tuple[Passage, ...]) -> str:
    """Return a text without lines that are nothing but a passage's path of headings.

    Where nothing else is left, the sentence of that passage that fits the question best takes its place:
    the engine pointed at it.

    Args:
        question: as asked.
        text: the engine's text.
        passages: the context, numbered from 1.
    """
    paths = _paths(passages)
    lines = text.splitlines()
    copied = [paths.get(_bare(line)) for line in lines]
    numbers = [number for number in copied if number is not None]
    if not numbers:
        return text
    rest = "\n".join(line for line, number in zip(lines, copied, strict=True) if number is None).strip()
    if rest:
        return rest
    quote = make_citation(numbers[0], passages[numbers[0] - 1], question).quote
    return place_marks(" ".join(quote.split()), numbers[:1])


def _bare(line: str) -> str:
    return " ".join(without_marks(line).strip(_ENDS).split())


def _paths(passages: tuple[Passage, ...]) -> dict[str, int]:
    """Return every stretch of two and more names of each passage's path, with the passage's number."""
    found: dict[str, int] = {}
    for number, passage in enumerate(passages, 1):
        names = where_it_stands(passage.chunk)
        for start in range(len(names)):
            for end in range(start + _LEAST_PARTS, len(names) + 1):
                found.setdefault(_bare(" › ".join(names[start:end])), number)
    return found
