"""Makers by the name that stands in a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from assistant.core.errors import InputError
from training.pairs import Pair
from training.recipes import codes, conversations, facts, linking, procedures, reading, wordings
from training.recipes.materials import Materials
from training.recipes.recipe import Recipe

Maker = Callable[[Recipe, Materials], Iterator[Pair]]

# takes the pairs that people wrote
GIVEN = "given_pairs"
MAKERS: Mapping[str, Maker] = {
    "single_facts": facts.single_facts,
    "sections": facts.sections,
    "comparisons": facts.comparisons,
    "fault_codes": codes.fault_codes,
    "structured": codes.structured,
    "unknown_codes": codes.unknown_codes,
    "procedures": procedures.procedures,
    "two_steps": linking.two_steps,
    "grounded": reading.grounded,
    "unanswerable": reading.unanswerable,
    "real_pairs": conversations.real_pairs,
    GIVEN: conversations.given_pairs,
    "follow_ups": conversations.follow_ups,
    "paraphrases": wordings.paraphrases,
    "task_profiles": wordings.task_profiles,
    "terms": wordings.terms,
    "replay": wordings.replay,
}


def maker_of(recipe: Recipe) -> Maker:
    """Return a recipe's maker.

    Raises:
        InputError: there is none of that name.
    """
    if recipe.maker not in MAKERS:
        raise InputError(f"recipe {recipe.name!r}: no maker {recipe.maker!r}; there are {', '.join(MAKERS)}")
    return MAKERS[recipe.maker]
