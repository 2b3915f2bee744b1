"""From a collection's chunks to a dataset: pairs by rules and by the teacher, filtered, set into prompts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from assistant.core.errors import InputError
from assistant.core.ids import content_id
from assistant.core.language import Language
from assistant.core.progress import Progress
from assistant.core.prompts import answer_messages, template_hash
from assistant.core.records import Case, Chunk, Example, Message
from assistant.core.settings import Settings
from assistant.core.settings_synth import SynthSettings, TeacherSettings
from assistant.engine.protocol import Engine, GenerationRequest
from indexing.glossary import approved_terms
from indexing.search import Searcher
from training.access import EVERYBODY, AccessLists
from training.assembling import finish_examples, measure_coverage
from training.contexts import grounded_examples, spread
from training.cooking import Kitchen, cook
from training.dataset import DatasetManifest, Making, current_dataset, make_example, write_dataset
from training.filtering import PairFilter
from training.pairs import PEOPLE, Pair, rule_pairs
from training.quantities import quantity_pairs
from training.recipes.recipe import Recipe, load_recipe
from training.recipes.registry import GIVEN
from training.repetition import contradictions
from training.sources import GivenPair
from training.teacher import choose_sentences, teacher_pairs
from training.teaching import Teacher
from training.twins import stand_ins, with_twins
from training.wording import read_instructions

RECIPES_VERSION = "10"
REPLAY_TOKENS = 60


class Extras(NamedTuple):
    """What not every dataset is made with.

    Attributes:
        given: pairs that people wrote, for the recipe ``correction``.
        teacher_source: opens the teacher; the engine that is tuned where None.
        left_out: documents that a suite asks about; nothing is made from them.
    """

    given: Sequence[GivenPair] = ()
    teacher_source: Callable[[], Engine] | None = None
    left_out: frozenset[str] = frozenset()


NO_EXTRAS = Extras()


def synthesize(
    collection: str,
    folder: Path,
    searcher: Searcher,
    engine_source: Callable[[], Engine],
    settings: Settings,
    progress: Progress,
    *,
    held_out: Sequence[Case] = (),
    extras: Extras = NO_EXTRAS,
) -> tuple[DatasetManifest, bool]:
    """Make the collection's dataset, or find it made already.

    Args:
        collection: its name.
        folder: where its datasets lie.
        searcher: over the collection.
        engine_source: opens the engine that is tuned, whose tokens count; a dataset that is there needs none.
        settings: all settings.
        progress: told of each stage.
        held_out: cases that nothing may be trained on.
        extras: a teacher of its own, pairs that people wrote.

    Returns:
        The dataset's manifest, and whether it was made now.

    Raises:
        EngineError: the teacher failed; what it answered is kept, the same call goes on from there.
        InputError: a recipe is not usable, or validation and test take all documents.
    """
    snapshot = searcher.stats().snapshot
    chunks = searcher.corpus.chunks
    chunks = without(chunks, with_twins(extras.left_out, chunks))
    recipes = _recipes(settings.synth, extras.given)
    glossary = approved_terms(folder.parent)  # contexts are searched with them too
    access = AccessLists(searcher.metadata())
    shaped = (*(recipe.fingerprint for recipe in recipes), *map(str, (*glossary, *extras.given)))
    shaped += access.fingerprint
    key = _key(chunks, settings, held_out, shaped)
    there = current_dataset(folder)
    if there is not None and there.key == key:
        return there, False
    teacher = Teacher(extras.teacher_source or engine_source, settings.teacher, folder, progress)
    # what the base does not forget is what it says itself, whoever writes the questions
    own = Teacher(engine_source, TeacherSettings(), folder, progress) if extras.teacher_source else teacher
    pairs_filter = PairFilter(held_out, settings.index.pii_collections.get(collection, settings.index.pii))
    engine = engine_source()
    pairs = pairs_filter.keep(_make_pairs(chunks, teacher, settings, progress))
    pairs = pairs_filter.drop(pairs, contradictions(pairs))
    kitchen = Kitchen(
        chunks=chunks,
        searcher=searcher,
        engine=engine,
        teacher=teacher,
        settings=settings,
        glossary=glossary,
        given=extras.given,
        access=access,
        base=own,
    )
    pairs, cooked, joined = cook(recipes, pairs, kitchen, pairs_filter, progress)
    progress.start("contexts", 1)
    grounded = grounded_examples(
        [*pairs, *joined], searcher, engine.count_tokens, settings.answer, settings.synth, access
    )
    progress.advance()
    examples = finish_examples(
        [
            *closed_book_examples(choose_pairs(pairs, settings.synth), access),
            *pairs_filter.without_leaks(grounded),
            *_replay(own, settings.synth.replay, settings.synth.seed),
        ],
        cooked,
        settings.synth,
        pairs_filter,
        access,
        stand_ins(chunks),
    )
    progress.finish()
    manifest = write_dataset(
        folder,
        examples,
        collection=collection,
        snapshot=snapshot,
        rejected=dict(pairs_filter.rejected),
        chunk_count=len(chunks),
        key=key,
        making=Making(
            filters=pairs_filter.table,
            rejects=tuple(pairs_filter.rejects),
            recipe_versions={r.name: f"{r.version} {r.fingerprint}" for r in recipes},
            coverage=measure_coverage(chunks, examples),
            notes=_notes(teacher, chunks, examples),
        ),
    )
    return manifest, True


def _recipes(synth: SynthSettings, given: Sequence[GivenPair]) -> list[Recipe]:
    """Return the recipes, with one that takes the pairs that people wrote, where there are some.

    Raises:
        InputError: a recipe is not usable, or no document is left to train on.
    """
    if synth.valid_share + synth.test_share >= 1:
        shares = f"synth.valid_share {synth.valid_share:g} and synth.test_share {synth.test_share:g}"
        raise InputError(f"{shares} leave no documents to train on: together they have to be less than 1")
    recipes = [load_recipe(name) for name in synth.recipes]
    if given and all(recipe.maker != GIVEN for recipe in recipes):
        recipes.append(load_recipe("correction"))
    return recipes


def without(chunks: Sequence[Chunk], left_out: frozenset[str]) -> tuple[Chunk, ...]:
    """Return the chunks of other documents; a language that has no other keeps all of its own."""
    kept = {chunk.language for chunk in chunks if chunk.document not in left_out}
    return tuple(chunk for chunk in chunks if chunk.document not in left_out or chunk.language not in kept)


def choose_pairs(pairs: Sequence[Pair], settings: SynthSettings) -> list[Pair]:
    """Choose the pairs to be known by heart: tickets and dialogues first, then spread over the chunks."""
    real = [pair for pair in pairs if pair.teacher == "tickets"]
    made = [pair for pair in pairs if pair.teacher != "tickets"]
    rng = random.Random(settings.seed)
    chosen = rng.sample(real, min(len(real), settings.closed_book))
    return [*chosen, *spread(made, settings.closed_book - len(chosen), rng)]


def closed_book_examples(pairs: Sequence[Pair], access: AccessLists = EVERYBODY) -> list[Example]:
    """Return the pairs as questions without documents: what the adapter is to know by heart."""
    return [
        make_example(
            recipe=f"closed-book {pair.recipe}",
            language=pair.chunk.language,
            messages=answer_messages(pair.question, pair.chunk.language),
            answer=pair.answer,
            chunks=(pair.chunk,),
            teacher=pair.teacher,
            access=access.common([pair.chunk.document]) or (),
        )
        for pair in pairs
    ]


def _make_pairs(
    chunks: Sequence[Chunk], teacher: Teacher, settings: Settings, progress: Progress
) -> Iterator[Pair]:
    """Yield what rules make, then what the teacher writes: of two alike the filter keeps the first."""
    del progress
    yield from rule_pairs(chunks, settings.synth.seed)
    for chunk in chunks:
        yield from quantity_pairs(chunk)
    chosen = choose_sentences(chunks, settings.synth.teacher_questions, settings.synth.seed)
    yield from teacher_pairs(chosen, teacher)


def _replay(base: Teacher, count: int, seed: int) -> list[Example]:
    """Return general instructions against forgetting: with the answers given, else with the base's own."""
    languages: tuple[Language, ...] = ("en", "zh")
    lines = [(language, *line) for language in languages for line in read_instructions("replay", language)]
    random.Random(seed).shuffle(lines)
    chosen = lines[:count]
    requests = {line: _general_request(line) for _, line, answer in chosen if not answer}
    texts = base.ask(list(requests.values()), "general instructions") if requests else []
    own = dict(zip(requests, texts, strict=True))
    return [
        make_example(
            recipe="replay",
            language=language,
            messages=_general_request(line).messages,
            answer=answer or own[line],
            teacher=PEOPLE if answer else base.name,
        )
        for language, line, answer in chosen
        if answer or own[line]
    ]


def _general_request(line: str) -> GenerationRequest:
    """Return a general instruction as other clients would ask it: without any system message."""
    return GenerationRequest(messages=(Message(role="user", content=line),), max_new_tokens=REPLAY_TOKENS)


def _notes(teacher: Teacher, chunks: Sequence[Chunk], examples: Sequence[Example]) -> tuple[str, ...]:
    """Return what a person should know of a dataset that came out poor."""
    notes = [f"teacher: {name} {count}" for name, count in sorted(teacher.counts.items()) if count]
    languages = {chunk.language for chunk in chunks}
    if len(languages) == 1:
        notes.append(f"the collection is in one language ({languages.pop()}): so are the examples")
    if chunks and all(chunk.kind == "table" for chunk in chunks):
        notes.append("the collection holds tables only: no sentences, procedures or dialogues to ask about")
    count = sum(bool(example.chunk_ids) for example in examples)
    if count < 50:  # noqa: PLR2004 - fewer do not teach a model anything for good
        notes.append(f"only {count} examples came of the documents: too few to tune on, add some or recipes")
    return tuple(notes)


def _key(chunks: Sequence[Chunk], settings: Settings, held_out: Sequence[Case], shaped: Sequence[str]) -> str:
    return content_id(
        RECIPES_VERSION,
        template_hash(),
        str(settings.synth),
        str(settings.answer),
        str(settings.search),
        settings.engine.base_model,
        f"{settings.teacher.kind} {settings.teacher.base_model}",
        *(chunk.id for chunk in chunks),
        f"{settings.index.pii} {settings.index.pii_collections}",
        *(text for case in held_out for text in (case.question, *case.paraphrases)),
        *shaped,
    )
