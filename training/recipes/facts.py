"""Single facts, comparisons across products, and what sections and lists say: by rules, no teacher."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from assistant.core.records import Chunk
from assistant.core.sentences import split_sentences
from training.pairs import Pair
from training.recipes.materials import MAX_ANSWER_CHARACTERS, Materials, ended, fill, make_pair, plain_heading
from training.recipes.recipe import Recipe
from training.tables import Row, model_columns

_LIST_ITEM = re.compile(r"^\s*[-•·*]\s+(.+)$", re.MULTILINE)
_NUMBER = re.compile(r"[-−+±]?\d[\d,]*(?:\.\d+)?")
# "M8" and "A4" are names, and "1,5" is not 15
_MEASURED = re.compile(r"\s*[-−+±]?\d+(?:,\d{3})*(?:\.\d+)?(?![\d,])")
_LEAST_ITEMS = 2
_LEAST_KEY = 3
_MODELS_COMPARED = 2
_SECTION_SENTENCES = 2


def single_facts(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield a pair for each value of each table, of any form of table, in ``options.wordings`` wordings."""
    rng = materials.rng(recipe)
    wordings = int(recipe.number("wordings", 1))
    for row in materials.rows:
        for header, value in row.cells:
            models = model_columns(row)
            kind = "model" if (header, value) in models else "value"
            yield from _worded(recipe, row, kind, {"header": header, "value": value}, wordings, rng)


def _worded(
    recipe: Recipe, row: Row, kind: str, values: dict[str, str], wordings: int, rng: random.Random
) -> Iterator[Pair]:
    texts = recipe.texts(row.chunk.language, kind)
    is_short = kind == "value" and len(row.key) < _LEAST_KEY  # "A" says nothing without its table
    key = f"{row.key} ({_topic(row.chunk)})" if is_short else row.key
    filled = {**values, "key": key, "where": _topic(row.chunk), "value": values["value"].rstrip("。.")}
    answer = fill(recipe.texts(row.chunk.language, f"{kind}_answer")[0], filled)
    for text in rng.sample(texts, min(wordings, len(texts))):
        yield make_pair(recipe, row.chunk, fill(text, filled), answer)


def comparisons(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield what differs between two models, from the rows that give both."""
    rng = materials.rng(recipe)
    for row in materials.rows:
        models = model_columns(row)
        if len(models) < _MODELS_COMPARED:
            continue
        (first, one), (second, other) = rng.sample(models, _MODELS_COMPARED)
        kind = "same" if one == other else "different"
        values = {"key": row.key, "first": first, "second": second, "one": one, "other": other}
        language = row.chunk.language
        question = fill(rng.choice(recipe.texts(language, "question")), values)
        answer = fill(recipe.texts(language, f"{kind}_answer")[0], values)
        yield make_pair(recipe, row.chunk, question, answer)
        larger = _larger(one, other)
        if larger is not None:
            values |= {"larger": first if larger else second, "most": one if larger else other}
            values |= {"smaller": second if larger else first, "least": other if larger else one}
            question = fill(rng.choice(recipe.texts(language, "more")), values)
            yield make_pair(
                recipe, row.chunk, question, fill(recipe.texts(language, "more_answer")[0], values)
            )


def _larger(one: str, other: str) -> bool | None:
    """Return whether the first of two quantities of the same unit is larger, None where that is not clear."""
    if not all(_MEASURED.match(text) for text in (one, other)):
        return None
    numbers = [_NUMBER.findall(text) for text in (one, other)]
    units = [_NUMBER.sub("", text).strip() for text in (one, other)]
    if units[0] != units[1] or not units[0] or any(len(found) != 1 for found in numbers):
        return None
    first, second = (float(found[0].replace(",", "").replace("−", "-").lstrip("±+")) for found in numbers)
    return None if first == second else first > second


def sections(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield what a section says, asked by its heading: its list, or its first sentences."""
    rng = materials.rng(recipe)
    for chunk in materials.chunks:
        heading = plain_heading(chunk)
        if chunk.kind != "text" or not heading or len(chunk.heading_path) < 2:  # noqa: PLR2004 - not the title
            continue
        items = [item.strip().rstrip("。.;；") for item in _LIST_ITEM.findall(chunk.text)]
        kind, answer = ("list", _listed(items, chunk)) if len(items) >= _LEAST_ITEMS else _opening(chunk)
        if answer and len(answer) <= MAX_ANSWER_CHARACTERS:
            values = {"heading": heading, "title": chunk.heading_path[0]}
            yield make_pair(
                recipe, chunk, fill(rng.choice(recipe.texts(chunk.language, kind)), values), answer
            )


def _listed(items: list[str], chunk: Chunk) -> str:
    """Return the items one after the other; behind a question or exclamation mark comes no other mark."""
    gap = "" if chunk.language == "zh" else " "
    mark = "；" if chunk.language == "zh" else ";"
    pieces = [item if item.endswith(("?", "？", "!", "！")) else item + mark for item in items]
    return ended(gap.join(pieces), chunk)


def _opening(chunk: Chunk) -> tuple[str, str]:
    if re.search(r"^\s*\d+[.、)]\s", chunk.text, re.MULTILINE):
        return "section", ""  # numbered steps have a recipe of their own
    spans = split_sentences(chunk.text)[:_SECTION_SENTENCES]
    whole = chunk.text[spans[0].start : spans[-1].end] if spans else ""
    return "section", whole if whole.endswith((".", "。", "!", "！")) and "\n" not in whole else ""


def _topic(chunk: Chunk) -> str:
    return plain_heading(chunk) or chunk.document.rsplit("/", 1)[-1]
