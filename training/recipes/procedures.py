"""Numbered steps, whole and in order, and a single step asked for by its place."""

from __future__ import annotations

import re
from collections.abc import Iterator

from training.pairs import Pair
from training.recipes.materials import MAX_ANSWER_CHARACTERS, Materials, fill, make_pair, plain_heading
from training.recipes.recipe import Recipe

_STEP = re.compile(r"^\s*(\d{1,2})[.、)]\s*(\S.*)$", re.MULTILINE)
_LEAST_STEPS = 3


def procedures(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield the steps of each section that numbers them from 1, and what comes after one of them."""
    rng = materials.rng(recipe)
    for chunk in materials.chunks:
        steps = _steps(chunk.text) if chunk.kind in {"text", "table"} else []
        heading = plain_heading(chunk)
        if len(steps) < _LEAST_STEPS or not heading:
            continue
        values = {"task": _lowered(heading), "heading": heading}
        answer = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
        if len(answer) <= MAX_ANSWER_CHARACTERS:
            yield make_pair(
                recipe, chunk, fill(rng.choice(recipe.texts(chunk.language, "question")), values), answer
            )
        place = rng.randrange(len(steps) - 1)
        values |= {"step": steps[place].rstrip("。."), "next": steps[place + 1], "number": str(place + 1)}
        question = fill(rng.choice(recipe.texts(chunk.language, "after")), values)
        yield make_pair(recipe, chunk, question, steps[place + 1])


def _steps(text: str) -> list[str]:
    """Return steps numbered 1, 2, 3 without a gap; none where the numbering breaks."""
    found = _STEP.findall(text)
    is_whole = [int(number) for number, _ in found] == list(range(1, len(found) + 1))
    return [step.strip() for _, step in found] if is_whole else []


def _lowered(heading: str) -> str:
    return heading if heading[:2].isupper() else heading[:1].lower() + heading[1:]
