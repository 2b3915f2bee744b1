"""Fault codes: meaning, cause and remedy in one answer, as JSON by a schema, and codes that do not exist."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Set

import msgspec

from assistant.core.prompts import render
from assistant.core.records import Message
from indexing.codes import codes_of, normalise_code
from training.pairs import Pair
from training.recipes.materials import Materials, fill, make_pair
from training.recipes.recipe import Recipe
from training.tables import Row

CODE = re.compile(r"[A-Z]{1,4}-?\d{1,5}")
_FIELDS: dict[str, tuple[str, ...]] = {
    "meaning": ("meaning", "description", "fault", "含义", "说明", "故障名"),
    "cause": ("cause", "reason", "原因"),
    "remedy": ("remedy", "action", "solution", "fix", "what you can do", "措施", "处理", "排除", "解决"),
    "reset": ("reset", "clear", "复位", "清除"),
}
_NEAREST = 3


def code_rows(materials: Materials) -> list[Row]:
    """Return the rows that explain a fault code: its first cell is a code, and a column tells its meaning."""
    return [row for row in materials.rows if CODE.fullmatch(row.key) and row.value(_FIELDS["meaning"])]


def code_fields(row: Row) -> dict[str, str]:
    """Return what a row says of a code: ``meaning``, ``cause``, ``remedy``, ``reset``, as far as it does."""
    found = {name: row.value(words) for name, words in _FIELDS.items()}
    return {name: value for name, value in found.items() if value}


def fault_codes(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield for each code a chain from what the display shows to what helps, in several wordings."""
    rng = materials.rng(recipe)
    for row in code_rows(materials):
        fields = code_fields(row)
        language = row.chunk.language
        parts = [
            fill(recipe.texts(language, f"{name}_part")[0], {"code": row.key, "value": value.rstrip("。.")})
            for name, value in fields.items()
        ]
        answer = ("" if language == "zh" else " ").join(parts)
        texts = recipe.texts(language, "question")
        for text in rng.sample(texts, min(int(recipe.number("wordings", 2)), len(texts))):
            yield make_pair(recipe, row.chunk, fill(text, {"code": row.key}), answer)
        yield from _from_symptom(recipe, row, fields, rng)


def _from_symptom(recipe: Recipe, row: Row, fields: dict[str, str], rng: random.Random) -> Iterator[Pair]:
    """Yield the way back: from the meaning to the code and the remedy."""
    if "remedy" not in fields:
        return
    language = row.chunk.language
    values = {name: value.rstrip("。.") for name, value in fields.items()} | {"code": row.key}
    question = fill(rng.choice(recipe.texts(language, "symptom")), values)
    yield make_pair(recipe, row.chunk, question, fill(recipe.texts(language, "symptom_answer")[0], values))


def structured(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield answers as one JSON object by a schema that stands in the instructions."""
    rng = materials.rng(recipe)
    for row in code_rows(materials):
        fields = {"code": row.key, **code_fields(row)}
        schema = {
            "type": "object",
            "properties": {name: {"type": "string"} for name in fields},
            "required": list(fields),
            "additionalProperties": False,
        }
        language = row.chunk.language
        told = fill(
            recipe.texts(language, "instruction")[0], {"schema": msgspec.json.encode(schema).decode()}
        )
        question = fill(rng.choice(recipe.texts(language, "question")), {"code": row.key})
        pair = make_pair(recipe, row.chunk, question, msgspec.json.encode(fields).decode())
        yield msgspec.structs.replace(pair, history=(Message(role="system", content=told),))


def unknown_codes(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield codes that no document holds: the answer says so, names the nearest ones and hands over."""
    rng = materials.rng(recipe)
    rows = code_rows(materials)
    held = frozenset(code for chunk in materials.chunks for code in codes_of(chunk.text))
    for row in rows:
        made_up = _made_up(row.key, held, rng)
        if not made_up:
            continue
        language = row.chunk.language
        readers = materials.access.common([row.chunk.document]) or ()
        known = {
            other.key
            for other in rows
            if other.chunk.language == language and materials.access.admits(other.chunk.document, readers)
        }
        joint = "、" if language == "zh" else ", "
        answer = render("unknown_code", language, codes=made_up, nearest=joint.join(_nearest(made_up, known)))
        question = fill(rng.choice(recipe.texts(language, "question")), {"code": made_up})
        pair = make_pair(recipe, row.chunk, question, answer)
        yield msgspec.structs.replace(pair, is_covered=False)


def _nearest(made_up: str, known: Set[str]) -> list[str]:
    """Return the nearest codes by number, first those of the same letters: of the same machine."""
    letters = _letters(made_up)
    ranked = sorted(
        known, key=lambda code: (_letters(code) != letters, abs(_number(code) - _number(made_up)), code)
    )
    return ranked[:_NEAREST]


def _letters(code: str) -> str:
    return code.rstrip("0123456789")


def _made_up(code: str, held: Set[str], rng: random.Random) -> str:
    """Return a code of the same form that stands nowhere; empty where none was found."""
    digits = re.search(r"\d+", code)
    width = len(digits.group()) if digits else 0
    for _ in range(20 * bool(digits)):
        candidate = re.sub(r"\d+", str(rng.randrange(1, 10**width)).zfill(width), code, count=1)
        if normalise_code(candidate) not in held:
            return candidate
    return ""


def _number(code: str) -> int:
    return int("".join(re.findall(r"\d", code)) or 0)
