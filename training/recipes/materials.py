"""What every recipe's maker gets, and the small things that makers share."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from assistant.core.errors import InputError
from assistant.core.records import Chunk
from assistant.core.settings_answer import AnswerSettings
from indexing.glossary import Term
from training.access import EVERYBODY, AccessLists
from training.contexts import PassageSource
from training.pairs import Pair
from training.recipes.recipe import Recipe
from training.sources import GivenPair
from training.tables import Row, read_rows
from training.teaching import Teacher

MAX_ANSWER_CHARACTERS = 600


@dataclass(frozen=True, kw_only=True)
class Materials:
    """What pairs are made from.

    Attributes:
        chunks: of the collection, by document and position.
        pairs: made by rules and teacher and passed by the filters.
        searcher: finds contexts and distractors.
        count_tokens: of the engine that is tuned.
        teacher: words what rules cannot.
        answer: ``[answer]``: contexts as in service.
        seed: of every random choice.
        glossary: approved terms.
        given: pairs that people wrote: corrections and FAQ.
        access: who may read which document.
        base: that is tuned, where the teacher is another.
    """

    chunks: Sequence[Chunk]
    pairs: Sequence[Pair]
    searcher: PassageSource
    count_tokens: Callable[[str], int]
    teacher: Teacher
    answer: AnswerSettings
    seed: int
    glossary: Sequence[Term] = ()
    given: Sequence[GivenPair] = ()
    access: AccessLists = EVERYBODY
    base: Teacher | None = None

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """All rows of all tables."""
        return tuple(row for chunk in self.chunks for row in read_rows(chunk))

    def rng(self, recipe: Recipe) -> random.Random:
        """Return a random generator that depends on seed and recipe only."""
        return random.Random(f"{self.seed}-{recipe.name}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return a wording with its variables.

    Raises:
        InputError: it uses a variable that this maker does not give.
    """
    try:
        return string.Template(template).substitute(values)
    except (KeyError, ValueError) as error:
        raise InputError(f"wording {template!r} uses a variable that there is not: {error}") from error


def make_pair(recipe: Recipe, chunk: Chunk, question: str, answer: str, others: Sequence[Chunk] = ()) -> Pair:
    """Return a pair of a recipe; it is set into a context later, if the recipe says so."""
    return Pair(
        question=question.strip(),
        answer=answer.strip(),
        chunk=chunk,
        others=tuple(other for other in others if other.id != chunk.id),
        recipe=recipe.name,
        recipe_version=recipe.version,
        weight=recipe.weight,
    )


def plain_heading(chunk: Chunk) -> str:
    """Return the innermost heading without its number; empty where there is none."""
    return chunk.heading_path[-1].lstrip("0123456789. ").strip() if chunk.heading_path else ""


def ended(text: str, chunk: Chunk) -> str:
    """Return a text with a full stop, or with the question or exclamation mark that it has."""
    plain = text.rstrip("。.;；,， ")
    if plain.endswith(("?", "？", "!", "！")):
        return plain
    return plain + ("。" if chunk.language == "zh" else ".")
