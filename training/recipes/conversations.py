"""What people really asked: tickets, dialogues turn by turn, FAQ, corrections."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from assistant.core.errors import InputError
from assistant.core.language import Language
from assistant.core.records import Chunk, Message
from assistant.core.sentences import support
from training.checks import MAX_QUESTION_CHARACTERS
from training.contexts import evidence_text
from training.pairs import NO_CHUNK, PEOPLE, Pair, ticket_pairs
from training.recipes.codes import code_fields, code_rows
from training.recipes.materials import MAX_ANSWER_CHARACTERS, Materials, fill, make_pair, plain_heading
from training.recipes.recipe import Recipe
from training.sources import WEIGHTS

_TURN = re.compile(
    r"^(?P<who>customer|user|client|caller|agent|assistant|support|客户|用户|顾客|客服|坐席|助手|工程师)\s*[:：]\s*"
    r"(?P<text>.+)$",
    re.IGNORECASE | re.MULTILINE,
)
_ASKS = frozenset({"customer", "user", "client", "caller", "客户", "用户", "顾客"})
_LEAST_ANSWER = {"en": 15, "zh": 6}
_MIN_SUPPORT = 0.5


def real_pairs(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield resolved tickets, dialogues with their resolution, and headings that are questions."""
    for chunk in materials.chunks:
        if chunk.kind in {"ticket", "dialogue"}:
            for pair in ticket_pairs(chunk):
                made = make_pair(recipe, chunk, pair.question, pair.answer)
                yield msgspec.structs.replace(made, teacher=pair.teacher)
        elif plain_heading(chunk).endswith(("?", "？")):
            answer = chunk.text.strip()
            if len(answer) <= MAX_ANSWER_CHARACTERS:
                made = make_pair(recipe, chunk, plain_heading(chunk), answer)
                yield msgspec.structs.replace(made, teacher=PEOPLE)


def given_pairs(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield corrections and FAQ pairs that people wrote, tied to the chunk that says the same, if any.

    ``options.kind`` takes those of one kind only: corrections by heart, say, and FAQ in contexts.

    Raises:
        InputError: there is no such kind.
    """
    kind = recipe.options.get("kind")
    if kind is not None and kind not in WEIGHTS:
        raise InputError(f"recipe {recipe.name!r}: options.kind = {kind!r} is none of {', '.join(WEIGHTS)}")
    chosen = [given for given in materials.given if kind in (None, given.kind)]
    # longer ones the filter turns away; the search refuses the longest
    questions = [given.question[:MAX_QUESTION_CHARACTERS] for given in chosen]
    found = materials.searcher.search_many(questions, 5) if questions else []
    for given, passages in zip(chosen, found, strict=True):
        carried = [p for p in passages if support(given.answer, evidence_text(p)) >= _MIN_SUPPORT]
        of_document = [p for p in carried if p.chunk.document == given.document]
        best = next(iter(of_document or carried), None)
        chunk = best.chunk if best else no_chunk(given.language)
        if chunk.language != given.language:
            chunk = no_chunk(given.language)
        pair = make_pair(recipe, chunk, given.question, given.answer)
        yield msgspec.structs.replace(pair, teacher=PEOPLE, weight=given.strength * recipe.weight)


def follow_ups(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield later turns of real dialogues, and a second question after one about a code."""
    for chunk in materials.chunks:
        if chunk.kind == "dialogue":
            yield from _later_turns(recipe, chunk)
    rng = materials.rng(recipe)
    for row in code_rows(materials):
        fields = code_fields(row)
        language = row.chunk.language
        names = [name for name in ("cause", "remedy", "reset") if name in fields]
        for name in rng.sample(names, min(2, len(names))):
            values = {"code": row.key, "value": fields[name].rstrip("。."), "meaning": fields["meaning"]}
            values["meaning"] = values["meaning"].rstrip("。.")
            history = (
                Message(role="user", content=fill(rng.choice(recipe.texts(language, "first")), values)),
                Message(role="assistant", content=fill(recipe.texts(language, "first_answer")[0], values)),
            )
            question = fill(rng.choice(recipe.texts(language, name)), values)
            pair = make_pair(recipe, row.chunk, question, fill(recipe.texts(language, "answer")[0], values))
            yield msgspec.structs.replace(pair, history=history)


def read_turns(text: str) -> list[Message]:
    """Return the turns of a dialogue: customers as users, the others as assistants."""
    return [
        Message(role="user" if match["who"].lower() in _ASKS else "assistant", content=match["text"].strip())
        for match in _TURN.finditer(text)
    ]


def no_chunk(language: Language) -> Chunk:
    """Return what stands for no chunk in a language."""
    return msgspec.structs.replace(NO_CHUNK, language=language)


def _later_turns(recipe: Recipe, chunk: Chunk) -> Iterator[Pair]:
    turns = read_turns(chunk.text)
    for place in range(2, len(turns) - 1):
        asked, answered = turns[place], turns[place + 1]
        is_answer = answered.role == "assistant" and not answered.content.endswith(("?", "？"))
        is_long = len(answered.content) >= _LEAST_ANSWER[chunk.language]
        if asked.role == "user" and turns[place - 1].role == "assistant" and is_answer and is_long:
            pair = make_pair(recipe, chunk, asked.content, answered.content)
            yield msgspec.structs.replace(pair, history=tuple(turns[:place]), teacher="tickets")
