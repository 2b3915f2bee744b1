"""Recipes at work: what each makes, filtered, balanced, and set into contexts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from assistant.core.progress import Progress
from assistant.core.records import Chunk
from assistant.core.settings import Settings
from assistant.engine.protocol import Engine
from indexing.glossary import Term
from indexing.search import Searcher, query_in_context
from training.access import EVERYBODY, AccessLists
from training.balancing import choose_balanced
from training.checks import Verdict
from training.contexts import PassageSource
from training.entailment import unsupported
from training.filtering import REAL, PairFilter
from training.pairs import Pair
from training.recipes.materials import Materials
from training.recipes.reading import set_into_contexts
from training.recipes.recipe import Recipe
from training.recipes.registry import maker_of
from training.repetition import alike_by_embedding, near_duplicates
from training.sources import GivenPair
from training.teaching import Teacher

_ROUND_TRIP_RANK = 10


@dataclass(frozen=True, kw_only=True)
class Kitchen:
    """What recipes are cooked with.

    Attributes:
        chunks: of the collection.
        searcher: over it.
        engine: that is tuned; its tokens count.
        teacher: words what rules cannot.
        settings: all of them.
        glossary: approved terms.
        given: pairs that people wrote.
        access: who may read which document.
        base: that is tuned, where the teacher is another.
    """

    chunks: Sequence[Chunk]
    searcher: Searcher
    engine: Engine
    teacher: Teacher
    settings: Settings
    glossary: Sequence[Term]
    given: Sequence[GivenPair]
    access: AccessLists = EVERYBODY
    base: Teacher | None = None


class Cooked(NamedTuple):
    """What the recipes came to.

    Attributes:
        core: the core's pairs, filtered.
        rows: the recipes' pairs, each a row.
        joined: those that are asked in the core's contexts.
    """

    core: list[Pair]
    rows: list[Pair]
    joined: list[Pair]


def cook(
    recipes: Sequence[Recipe],
    pairs: Sequence[Pair],
    kitchen: Kitchen,
    pairs_filter: PairFilter,
    progress: Progress,
) -> Cooked:
    """Return the core's pairs and those that the recipes make of them and of the chunks, all filtered.

    Args:
        recipes: in the order in which of two alike the first is kept.
        pairs: of the core.
        kitchen: what it is made with.
        pairs_filter: counts what is turned away.
        progress: told of each recipe.

    Raises:
        InputError: a recipe lacks a maker, an option or a wording.
        EngineError: the teacher failed.
    """
    synth = kitchen.settings.synth
    core = _checked_together(list(pairs), 0, kitchen, pairs_filter, is_core=True)
    materials = Materials(
        chunks=kitchen.chunks,
        pairs=core,
        searcher=kitchen.searcher,
        count_tokens=kitchen.engine.count_tokens,
        teacher=kitchen.teacher,
        answer=kitchen.settings.answer,
        seed=synth.seed,
        glossary=kitchen.glossary,
        given=kitchen.given,
        access=kitchen.access,
        base=kitchen.base,
    )
    made: list[tuple[Recipe, list[Pair]]] = []
    for recipe in recipes:
        progress.start(f"recipe {recipe.name}", 1)
        made.append((recipe, pairs_filter.keep(list(maker_of(recipe)(recipe, materials)))))
        progress.advance()
    flat = [pair for _, kept in made for pair in kept]
    # what people asked stands in the core too: a recipe may give it a weight of its own
    before = [pair for pair in core if pair.recipe not in REAL]
    together = _checked_together([*before, *flat], len(before), kitchen, pairs_filter)
    passed = {id(pair) for pair in together[len(before) :]}
    rows: list[Pair] = []
    joined: list[Pair] = []
    for recipe, kept in made:
        fitting = [pair for pair in kept if id(pair) in passed]
        taken = _balanced(recipe, fitting, kitchen.settings, pairs_filter)
        if recipe.joins_contexts:
            joined.extend(_with_chunk(taken, pairs_filter))
        else:
            rows.extend(set_into_contexts(taken, recipe, materials))
    return Cooked(core, rows, joined)


def _with_chunk(pairs: list[Pair], pairs_filter: PairFilter) -> list[Pair]:
    """Return the pairs that can stand in a context: those that a chunk carries."""
    bare = {
        place: Verdict("no passage carries it")
        for place, pair in enumerate(pairs)
        if not pair.chunks or not pair.is_covered
    }
    return pairs_filter.drop(pairs, bare)


def _checked_together(
    pairs: list[Pair], first: int, kitchen: Kitchen, pairs_filter: PairFilter, *, is_core: bool = False
) -> list[Pair]:
    """Return the pairs without those from ``first`` on that repeat others; by search and embedding if set.

    The core's own pairs are compared within their chunk when they are made; here they only stand for what
    a recipe must not repeat.
    """
    synth = kitchen.settings.synth
    verdicts: dict[int, Verdict] = {}
    if not is_core:
        for place, earlier in near_duplicates(pairs).items():
            if place >= first:
                verdicts[place] = Verdict("near duplicate", pairs[earlier].question)
    if synth.embedding_checks:
        embedder = kitchen.searcher.embedder
        for place, (earlier, value) in alike_by_embedding(pairs, embedder).items():
            if place >= first:
                verdicts.setdefault(
                    place, Verdict("alike by embedding", f"{value:.3f}: {pairs[earlier].question}")
                )
        for place, verdict in unsupported(pairs, first, embedder).items():
            verdicts.setdefault(place, verdict)
        questions = [pair.question for pair in pairs[first:]]
        for offset, (value, question) in pairs_filter.held_out.alike(questions, embedder).items():
            verdicts.setdefault(
                first + offset, Verdict("held-out question by embedding", f"{value:.3f}: {question}")
            )
    if synth.round_trip:
        verdicts |= {p: v for p, v in lost_pairs(pairs, first, kitchen.searcher).items() if p not in verdicts}
    return pairs_filter.drop(pairs, verdicts)


def lost_pairs(pairs: Sequence[Pair], first: int, searcher: PassageSource) -> dict[int, Verdict]:
    """Return the pairs from ``first`` on whose question does not lead the search to one of their chunks."""
    places = [
        place
        for place, pair in enumerate(pairs)
        if place >= first and pair.chunks and pair.is_covered and pair.passages is None
    ]
    queries = [query_in_context(pairs[place].question, pairs[place].history) for place in places]
    found = searcher.search_many(queries, _ROUND_TRIP_RANK) if queries else []
    lost = {}
    for place, passages in zip(places, found, strict=True):
        own = {chunk.id for chunk in pairs[place].chunks}
        if not any(passage.chunk.id in own for passage in passages):
            lost[place] = Verdict("search does not find the chunk", f"not among {_ROUND_TRIP_RANK}")
    return lost


def _balanced(recipe: Recipe, pairs: list[Pair], settings: Settings, pairs_filter: PairFilter) -> list[Pair]:
    synth = settings.synth
    count = max(1, round(recipe.count * synth.recipe_share))
    rng = random.Random(f"{synth.seed}-{recipe.name}-balance")
    chosen = set(choose_balanced(pairs, count, synth.document_share, rng))
    more = {
        place: Verdict("more than the recipe's count or a document's share", f"of {count}")
        for place in range(len(pairs))
        if place not in chosen
    }
    return pairs_filter.drop(pairs, more)
