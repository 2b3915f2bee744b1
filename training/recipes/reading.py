"""Contexts of numbered passages: the right one among hard distractors, or missing on purpose."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

import msgspec

from assistant.core.context import choose_context
from assistant.core.prompts import not_covered
from assistant.core.records import Message, Passage
from assistant.core.sentences import split_sentences, support
from indexing.search import query_in_context
from training.absent import MAX_SUPPORT_OF_ABSENT, models_of, swap_names, uncovered_questions
from training.contexts import evidence_text, mark_sentences, spread
from training.pairs import Pair
from training.recipes.materials import Materials, fill
from training.recipes.recipe import Recipe

ORACLE_SHARE = 0.9
LEAST_DISTRACTORS, MOST_DISTRACTORS = 3, 5
_FOUND = 12
_STEP = re.compile(r"(\d{1,2}\. )(.+)")


def grounded(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield questions about numbered passages; the answer carries marks and a verbatim quote.

    The passage that answers stands there in ``options.oracle_share`` of the contexts, among three to five
    distractors that the search finds for the same question. Where it does not, the answer says so.
    """
    rng = materials.rng(recipe)
    anchors = spread(_made(materials.pairs), recipe.count, rng)
    shown = [rng.random() < recipe.number("oracle_share", ORACLE_SHARE) for _ in anchors]
    placed = place([_of(recipe, pair) for pair in anchors], materials, rng, shown)
    for pair, is_shown in zip(placed, shown, strict=True):
        language = pair.chunk.language
        told = Message(role="system", content=recipe.texts(language, "instruction")[0])
        quote = _quote(pair) if is_shown else ""
        answer = pair.answer
        if quote:
            answer = fill(recipe.texts(language, "answer")[0], {"answer": pair.answer, "quote": quote})
        yield msgspec.structs.replace(pair, history=(told,), answer=answer)


def unanswerable(recipe: Recipe, materials: Materials) -> Iterator[Pair]:
    """Yield what the collection does not answer, before a context that nearly does, with a hand-over."""
    rng = materials.rng(recipe)
    made = _made(materials.pairs)
    text = "\n".join(chunk.text for chunk in materials.chunks)
    asked: list[tuple[str, Pair]] = []
    for anchor in spread(made, recipe.count, rng):
        readers = materials.access.common([anchor.chunk.document]) or ()
        same = [
            pair
            for pair in made
            if pair.chunk.language == anchor.chunk.language
            and materials.access.admits(pair.chunk.document, readers)
        ]
        soft = swap_names([anchor], (), text, rng)
        soft += uncovered_questions(anchor.chunk.language, models_of(same), rng)[:1]
        asked.extend((question, anchor) for question in soft[: 1 + (rng.random() < 0.5)])  # noqa: PLR2004
    found = materials.searcher.search_many([question for question, _ in asked], _FOUND) if asked else []
    for (question, anchor), passages in zip(asked, found, strict=True):
        near = _readable(passages, anchor, materials)
        context = _chosen(near, materials, rng.randint(LEAST_DISTRACTORS, MOST_DISTRACTORS))
        pair = _of(recipe, anchor)
        refusal = not_covered(anchor.chunk.language)
        yield msgspec.structs.replace(
            pair, question=question, answer=refusal, passages=context, is_covered=False, teacher="rules"
        )


def set_into_contexts(pairs: Sequence[Pair], recipe: Recipe, materials: Materials) -> list[Pair]:
    """Set a recipe's pairs into contexts, their chunks among distractors.

    ``grounded_share`` of them stand there instead of being known by heart, ``also_grounded_share`` of the
    others in both ways. ``missing_share`` of the contexts lack the passage that answers: what is known by
    heart must not stand in for it.
    """
    rng = random.Random(f"{materials.seed}-{recipe.name}-contexts")
    can_stand = [pair.passages is None and bool(pair.chunks) for pair in pairs]
    moved = [able and _draw(recipe.grounded_share, rng) for able in can_stand]
    copied = [
        able and not is_moved and _draw(recipe.also_grounded_share, rng)
        for able, is_moved in zip(can_stand, moved, strict=True)
    ]
    chosen = [is_moved or is_copied for is_moved, is_copied in zip(moved, copied, strict=True)]
    wanted = [pair for pair, is_chosen in zip(pairs, chosen, strict=True) if is_chosen]
    shown = [pair.is_covered and not _draw(recipe.missing_share, rng) for pair in wanted]
    placed = iter(place(wanted, materials, rng, shown))
    rows: list[Pair] = []
    for pair, is_moved, is_chosen in zip(pairs, moved, chosen, strict=True):
        rows.extend(([] if is_moved else [pair]) + ([next(placed)] if is_chosen else []))
    return rows


def _draw(share: float, rng: random.Random) -> bool:
    """Return true with this share; none is no draw, so that a recipe without it makes what it made before."""
    return share > 0 and rng.random() < share


def place(
    pairs: Sequence[Pair], materials: Materials, rng: random.Random, shown: Sequence[bool]
) -> list[Pair]:
    """Return the pairs with a context each, their answers marked; those not shown get the refusal.

    A pair whose passages do not all fit the budget stays without a context: half of its answer would stand
    in none of the passages.
    """
    if not pairs:
        return []
    queries = [query_in_context(pair.question, pair.history) for pair in pairs]
    found = materials.searcher.search_many(queries, _FOUND)
    placed = []
    for pair, passages, is_shown in zip(pairs, found, shown, strict=True):
        own = {chunk.id for chunk in pair.chunks}
        readable = _readable(passages, pair, materials)
        others = [passage for passage in readable if passage.chunk.id not in own]
        if is_shown:
            oracle = [Passage(rank=1, score=1.0, chunk=chunk) for chunk in pair.chunks]
            count = rng.randint(LEAST_DISTRACTORS, MOST_DISTRACTORS) + len(oracle)
            context = _chosen([*oracle, *others], materials, count, len(oracle))
            is_whole = own <= {passage.chunk.id for passage in context}
            read = msgspec.structs.replace(pair, passages=context, answer=_marked(pair, context))
            placed.append(read if is_whole else pair)
            continue
        near = [p for p in others if support(pair.answer, evidence_text(p)) < MAX_SUPPORT_OF_ABSENT]
        context = _chosen(near, materials, rng.randint(LEAST_DISTRACTORS, MOST_DISTRACTORS))
        refusal = not_covered(pair.chunk.language) if pair.is_covered else pair.answer
        placed.append(
            msgspec.structs.replace(pair, passages=context, answer=refusal, others=(), is_covered=False)
        )
    return placed


def _readable(passages: Sequence[Passage], pair: Pair, materials: Materials) -> list[Passage]:
    """Return the passages that all readers of the pair's own documents may read."""
    readers = materials.access.common(chunk.document for chunk in pair.chunks)
    return materials.access.readable(passages, readers)


def _marked(pair: Pair, context: tuple[Passage, ...]) -> str:
    """Return the answer with its marks: none in JSON, one behind each numbered step."""
    if pair.answer.startswith("{"):
        return pair.answer
    lines = [_STEP.fullmatch(line) for line in pair.answer.splitlines()]
    if not all(lines):
        return mark_sentences(pair.answer, context)
    return "\n".join(f"{line[1]}{mark_sentences(line[2], context)}" for line in lines if line)


def _chosen(
    passages: Sequence[Passage], materials: Materials, count: int, first: int = 1
) -> tuple[Passage, ...]:
    """Return a context as in service; at least the first passage is taken, so the right one always is."""
    limit = materials.answer.context_tokens
    return choose_context(passages, materials.count_tokens, max_passages=count, max_tokens=limit, first=first)


def _made(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs that nobody asked word for word: a ticket's own chunk would give them away."""
    return [pair for pair in pairs if pair.chunk.kind not in {"ticket", "dialogue"}]


def _of(recipe: Recipe, pair: Pair) -> Pair:
    return msgspec.structs.replace(
        pair, recipe=recipe.name, recipe_version=recipe.version, weight=recipe.weight
    )


def _quote(pair: Pair) -> str:
    """Return the line or sentence of the pair's own chunk that carries the answer best, verbatim."""
    pieces = [span.text for span in split_sentences(pair.chunk.text)]
    best = max(pieces, key=lambda piece: (support(pair.answer, piece), -len(piece)), default="")
    return best if support(pair.answer, best) > 0 else ""
