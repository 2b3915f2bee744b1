"""Questions that a context does not answer, so that a model learns to say so.

- the context's own first question, its passage taken out (near misses stay),
- a model or code that does not exist put in the place of one that does,
- a part that the context does not name put in the place of one that it does, where that is set,
- what manuals of this kind do not tell,
- what people asked about another passage of a document in the context,
- where set, what the context's own search found next: questions whose passages came close and were left out.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from assistant.core.language import Language
from assistant.core.records import Chunk, Passage
from assistant.core.sentences import support
from training.pairs import PEOPLE, Pair
from training.tables import read_rows
from training.wording import read_list

GENERIC_SHARE = 0.5
MAX_SUPPORT_OF_ABSENT = 0.6
_PART_COLUMNS = frozenset(
    {"part", "component", "fastener", "screw", "bolt", "accessory", "spare part", "name", "designation"}
    | {"零件", "部件", "配件", "紧固件", "紧固部位", "部位", "螺栓", "螺钉", "名称", "品名"}
)
_MODEL = re.compile(r"(?:models?|fits|机型|型号)\s*[:：]\s*([A-Z]{1,4}-?\d{1,4})", re.IGNORECASE)
_MODEL_OR_CODE = re.compile(r"(?<![A-Za-z0-9])[A-Z]{1,3}-?\d{1,3}(?![\dA-Za-z-])")


class Names(NamedTuple):
    """What a collection names: models and codes that are asked about, and parts."""

    codes: Sequence[str]
    parts: Sequence[str]

    @classmethod
    def of(cls, pairs: Sequence[Pair], passages: Iterable[Passage], *, has_parts: bool) -> Names:
        """Return what pairs and passages name; no parts where none are to be asked for."""
        chunks = [*(pair.chunk for pair in pairs), *(passage.chunk for passage in passages)]
        codes = sorted({match for pair in pairs for match in _MODEL_OR_CODE.findall(pair.question)})
        return cls(codes, part_names(chunks) if has_parts else ())


def is_real(pair: Pair) -> bool:
    """Return whether people asked the question: then its own chunk holds it word for word.

    Such a chunk is kept out of the context, or the model learns that a question is answered where it
    finds the question, and refuses all others.
    """
    return pair.chunk.kind in {"ticket", "dialogue"}


def absent_questions(
    anchor: Pair,
    pairs: Sequence[Pair],
    context: tuple[Passage, ...],
    names: Names,
    rng: random.Random,
) -> list[str]:
    """Return questions that the context does not answer, the hard ones first."""
    language = anchor.chunk.language
    text = "\n".join(passage.chunk.text for passage in context)
    shown = {passage.chunk.id for passage in context}
    is_hard = anchor.chunk.id not in shown and not is_real(anchor) and not _holds(text, anchor)
    hard = [anchor.question] if is_hard else []
    same = [pair for pair in pairs if pair.chunk.language == language]
    swapped = swap_names([pair for pair in same if pair.chunk.id in shown], names.codes, text, rng)
    generic = uncovered_questions(language, models_of(same), rng) if rng.random() < GENERIC_SHARE else []
    inside = [pair for pair in same if pair.chunk.id in shown]
    things = swap_parts(inside, names.parts, text, language, rng)
    soft = [*swapped[:1], *things[:1], *generic, *_asked_nearby(same, context, text, rng)]
    rng.shuffle(soft)
    return list(dict.fromkeys([*hard, *soft]))


def near_misses(
    pairs: Sequence[Pair],
    found: Sequence[Passage],
    context: tuple[Passage, ...],
    count: int,
    rng: random.Random,
) -> list[str]:
    """Return up to ``count`` questions about passages that were found, but for which the context had no room.

    That is what a retriever which misses leaves a model with: all about the matter, and not the answer.

    Args:
        pairs: that may be asked, in the context's language.
        found: by the context's search.
        context: what was taken of it.
        count: most questions.
        rng: chooses.
    """
    shown = {passage.chunk.id for passage in context}
    missed = {passage.chunk.id for passage in found} - shown
    text = "\n".join(passage.chunk.text for passage in context)
    questions = {
        pair.question: None
        for pair in pairs
        if pair.chunk.id in missed and not is_real(pair) and not _holds(text, pair)
    }
    return rng.sample(list(questions), min(count, len(questions)))


def _asked_nearby(
    pairs: Sequence[Pair], context: tuple[Passage, ...], text: str, rng: random.Random
) -> list[str]:
    """Return a question that people asked about another passage of the same documents, if there is one."""
    shown = {passage.chunk.id for passage in context}
    documents = {passage.chunk.document for passage in context}
    near = [
        pair.question
        for pair in pairs
        if pair.teacher == PEOPLE
        and pair.chunk.document in documents
        and pair.chunk.id not in shown
        and not _holds(text, pair)
    ]
    return [rng.choice(near)] if near else []


def _holds(text: str, pair: Pair) -> bool:
    return support(pair.answer, text) >= MAX_SUPPORT_OF_ABSENT


def swap_names(pairs: Sequence[Pair], names: Sequence[str], text: str, rng: random.Random) -> list[str]:
    """Return questions with a model or code that exists nowhere: "E-14" becomes a code no manual has."""
    swapped = []
    for pair in rng.sample(pairs, min(6, len(pairs))):
        match = _MODEL_OR_CODE.search(pair.question)
        if match is None:
            continue
        made_up = _made_up(match.group(), names, rng)
        if made_up and made_up not in text:
            swapped.append(pair.question.replace(match.group(), made_up))
    return swapped


def part_names(chunks: Iterable[Chunk]) -> tuple[str, ...]:
    """Return what the chunks' tables call parts, the longest first; part numbers are no names."""
    found: set[str] = set()
    for chunk in {chunk.id: chunk for chunk in chunks}.values():
        for row in read_rows(chunk):
            cells = ((row.key_header, row.key), *row.cells)
            found.update(value for header, value in cells if header.lower() in _PART_COLUMNS)
    return tuple(
        sorted((name for name in found if not _MODEL_OR_CODE.search(name)), key=lambda n: (-len(n), n))
    )


def swap_parts(
    pairs: Sequence[Pair], parts: Sequence[str], text: str, language: Language, rng: random.Random
) -> list[str]:
    """Return questions about a part with another in its place, one that the text does not name."""
    strange = [thing for thing in read_list("things", language) if thing.lower() not in text.lower()]
    swapped = []
    for pair in rng.sample(pairs, min(6, len(pairs))) if strange and parts else []:
        named = next((part for part in parts if part.lower() in pair.question.lower()), "")
        if named:
            thing = rng.choice(strange)
            swapped.append(re.sub(re.escape(named), thing, pair.question, flags=re.IGNORECASE))
    return swapped


def _made_up(name: str, names: Sequence[str], rng: random.Random) -> str | None:
    digits = re.search(r"\d+", name)
    if digits is None:
        return None
    width = len(digits.group())
    for _ in range(20):
        number = str(rng.randrange(1, 10**width)).zfill(width)
        candidate = name.replace(digits.group(), number)
        if candidate not in names:
            return candidate
    return None


def models_of(pairs: Sequence[Pair]) -> list[str]:
    """Return the models that the pairs' chunks name in a column or field of that name."""
    return sorted({match.group(1) for pair in pairs for match in _MODEL.finditer(pair.chunk.text)})


def uncovered_questions(language: Language, models: Sequence[str], rng: random.Random) -> list[str]:
    """Return what manuals of this kind do not tell, asked of the models; none where there are no models."""
    if not models:
        return []
    lines = rng.sample(read_list("uncovered", language), 3)
    return [line.replace("$model", rng.choice(models)) for line in lines]
