"""From a collection's chunks to a dataset: pairs by rules and by the teacher, filtered, set into prompts."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from assistant.core.ids import content_id
from assistant.core.language import Language
from assistant.core.progress import Progress
from assistant.core.prompts import answer_messages, template_hash
from assistant.core.records import Case, Chunk, Example, Message
from assistant.core.settings import Settings, SynthSettings
from assistant.engine.protocol import Engine, GenerationRequest
from indexing.search import Searcher
from training.contexts import grounded_examples, spread
from training.dataset import DatasetManifest, current_dataset, make_example, write_dataset
from training.filtering import PairFilter
from training.pairs import Pair, rule_pairs
from training.quantities import quantity_pairs
from training.teacher import choose_sentences, teacher_pairs
from training.wording import read_list

RECIPES_VERSION = "2"
TEACHER_BATCH = 16
REPLAY_TOKENS = 60


class EngineSource(Protocol):
    """Opens the engine when it is needed: a dataset that is there already needs none."""

    def __call__(self) -> Engine:
        """Return the engine."""


def synthesize(
    collection: str,
    folder: Path,
    searcher: Searcher,
    engine_source: EngineSource,
    settings: Settings,
    progress: Progress,
    *,
    held_out: Sequence[Case] = (),
) -> tuple[DatasetManifest, bool]:
    """Make the collection's dataset, or find it made already.

    Args:
        collection: its name.
        folder: where its datasets lie.
        searcher: over the collection.
        engine_source: opens the teacher.
        settings: all settings.
        progress: told of each stage.
        held_out: cases that nothing may be trained on.

    Returns:
        The dataset's manifest, and whether it was made now.
    """
    snapshot = searcher.stats().snapshot
    chunks = searcher.corpus.chunks
    key = _key(chunks, settings, held_out)
    there = current_dataset(folder)
    if there is not None and there.key == key:
        return there, False
    engine = engine_source()
    pairs_filter = PairFilter(held_out)
    pairs = pairs_filter.keep(_make_pairs(chunks, engine, settings, progress))
    progress.start("contexts", 1)
    grounded = grounded_examples(pairs, searcher, engine.count_tokens, settings.answer, settings.synth)
    progress.advance()
    examples = [
        *closed_book_examples(choose_pairs(pairs, settings.synth)),
        *(example for example in grounded if not pairs_filter.is_leak(example.messages[-2].content)),
        *_replay(engine, settings.synth.replay, settings.synth.seed, progress),
    ]
    progress.finish()
    manifest = write_dataset(
        folder,
        list({example.id: example for example in examples}.values()),
        collection=collection,
        snapshot=snapshot,
        rejected=dict(pairs_filter.rejected),
        chunk_count=len(chunks),
        key=key,
    )
    return manifest, True


def choose_pairs(pairs: Sequence[Pair], settings: SynthSettings) -> list[Pair]:
    """Choose the pairs to be known by heart: tickets and dialogues first, then spread over the chunks."""
    real = [pair for pair in pairs if pair.teacher == "tickets"]
    made = [pair for pair in pairs if pair.teacher != "tickets"]
    left = max(0, settings.closed_book - len(real))
    return [*real[: settings.closed_book], *spread(made, left, random.Random(settings.seed))]


def closed_book_examples(pairs: Sequence[Pair]) -> list[Example]:
    """Return the pairs as questions without documents: what the adapter is to know by heart."""
    return [
        make_example(
            recipe=f"closed-book {pair.recipe}",
            language=pair.chunk.language,
            messages=answer_messages(pair.question, pair.chunk.language),
            answer=pair.answer,
            chunks=(pair.chunk,),
            teacher=pair.teacher,
        )
        for pair in pairs
    ]


def _make_pairs(
    chunks: Sequence[Chunk], engine: Engine, settings: Settings, progress: Progress
) -> Iterator[Pair]:
    """Yield what rules make, then what the teacher writes: of two alike the filter keeps the first."""
    yield from rule_pairs(chunks, settings.synth.seed)
    for chunk in chunks:
        yield from quantity_pairs(chunk)
    yield from _teach(chunks, engine, settings, progress)


def _teach(chunks: Sequence[Chunk], engine: Engine, settings: Settings, progress: Progress) -> list[Pair]:
    chosen = choose_sentences(chunks, settings.synth.teacher_questions, settings.synth.seed)
    progress.start("questions by the teacher", len(chosen))
    pairs: list[Pair] = []
    for start in range(0, len(chosen), TEACHER_BATCH):
        batch = chosen[start : start + TEACHER_BATCH]
        pairs.extend(teacher_pairs(batch, engine))
        progress.advance(len(batch))
    return pairs


def _replay(engine: Engine, count: int, seed: int, progress: Progress) -> list[Example]:
    """Return general instructions with the base's own answers, against forgetting."""
    languages: tuple[Language, ...] = ("en", "zh")
    lines = [(language, line) for language in languages for line in read_list("replay", language)]
    random.Random(seed).shuffle(lines)
    asked = lines[:count]
    progress.start("general instructions", len(asked))
    requests = [
        GenerationRequest(
            messages=(Message(role="system", content=""), Message(role="user", content=line)),
            max_new_tokens=REPLAY_TOKENS,
        )
        for _, line in asked
    ]
    examples = []
    for (language, _), request, done in zip(asked, requests, engine.complete(requests), strict=True):
        progress.advance()
        if done.finish_reason == "stop" and done.text.strip():
            examples.append(
                make_example(
                    recipe="replay",
                    language=language,
                    messages=request.messages,
                    answer=done.text.strip(),
                    teacher=engine.base_model,
                )
            )
    return examples


def _key(chunks: Sequence[Chunk], settings: Settings, held_out: Sequence[Case]) -> str:
    return content_id(
        RECIPES_VERSION,
        template_hash(),
        str(settings.synth),
        str(settings.answer),
        str(settings.search),
        settings.engine.base_model,
        *(chunk.id for chunk in chunks),
        *(case.question for case in held_out),
    )
