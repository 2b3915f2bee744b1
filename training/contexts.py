"""Grounded examples: a context as in service, with several questions about it.

The context of an anchor question comes from the same search and the same budget as in service, so
the distractors are those that the model will meet. Pairs whose chunk stands in the context are
asked too; so is, in ``synth.uncovered_share`` of the contexts, what the context does not hold
(``training/absent.py``): more of that teaches a small model to refuse.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from assistant.core.context import choose_context
from assistant.core.language import Language
from assistant.core.prompts import answer_messages, not_covered
from assistant.core.records import Example, Passage
from assistant.core.sentences import numbers, place_marks, split_sentences, support
from assistant.core.settings_answer import AnswerSettings
from assistant.core.settings_synth import SynthSettings
from training.absent import Names, absent_questions, is_real, near_misses
from training.access import EVERYBODY, AccessLists
from training.dataset import make_example
from training.pairs import Pair

ORACLE_SHARE = 0.9
REAL_SHARE = 0.5
MIN_SUPPORT_OF_PRESENT = 0.6
MIN_SUPPORT_OF_SAME = 0.9
MIN_SUPPORT_OF_MARK = 0.4


class PassageSource(Protocol):
    """What contexts are made with; ``indexing.search.Searcher`` is the real one."""

    def search_many(self, queries: Sequence[str], top_k: int | None = None) -> list[tuple[Passage, ...]]:
        """Return the best passages for each query."""


def grounded_examples(
    pairs: Sequence[Pair],
    searcher: PassageSource,
    count_tokens: Callable[[str], int],
    answer: AnswerSettings,
    synth: SynthSettings,
    access: AccessLists = EVERYBODY,
) -> list[Example]:
    """Return examples in groups that share a context; ``synth.grounded_groups`` groups.

    A context holds what all readers of its first question's document may read.
    """
    rng = random.Random(synth.seed)
    anchors = choose_anchors(pairs, synth.grounded_groups, rng)
    found = searcher.search_many([pair.question for pair in anchors], 2 * answer.context_passages + 1)
    shown = (passage for passages in found for passage in passages)
    names = Names.of(pairs, shown, has_parts=synth.uncovered_parts)
    examples: list[Example] = []
    for anchor, passages in zip(anchors, found, strict=True):
        is_shown = rng.random() < ORACLE_SHARE and not is_real(anchor)
        readers = access.common([anchor.chunk.document]) or ()
        usable = [p for p in passages if is_shown or p.chunk.id != anchor.chunk.id]
        context = choose_context(
            access.readable(usable, readers),
            count_tokens,
            max_passages=answer.context_passages,
            max_tokens=answer.context_tokens,
        )
        known = [pair for pair in pairs if access.admits(pair.chunk.document, readers)]
        for question, target, pair in _ask(anchor, known, passages, context, names, synth, rng):
            example = make_example(
                recipe="grounded" if pair else "uncovered",
                language=anchor.chunk.language,
                messages=answer_messages(question, anchor.chunk.language, context),
                answer=target,
                chunks=(pair.chunk,) if pair else (),
                teacher=pair.teacher if pair else "rules",
                access=readers,
            )
            examples.append(msgspec.structs.replace(example, weight=pair.weight if pair else 1.0))
    return examples


def choose_anchors(pairs: Sequence[Pair], count: int, rng: random.Random) -> list[Pair]:
    """Choose the questions that contexts are found for: real ones up to a half, the others spread."""
    real = [pair for pair in pairs if is_real(pair)]
    made = [pair for pair in pairs if not is_real(pair)]
    chosen = rng.sample(real, min(len(real), round(REAL_SHARE * count)))
    return chosen + spread(made, count - len(chosen), rng)


def spread(pairs: Sequence[Pair], count: int, rng: random.Random) -> list[Pair]:
    """Choose pairs in turn over chunks, so that a chunk with many rows does not crowd out the others."""
    by_chunk: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_chunk.setdefault(pair.chunk.id, []).append(pair)
    queues = list(by_chunk.values())
    rng.shuffle(queues)
    for queue in queues:
        rng.shuffle(queue)
    chosen: list[Pair] = []
    while queues and len(chosen) < count:
        chosen.extend(queue.pop() for queue in queues[: count - len(chosen)])
        queues = [queue for queue in queues if queue]
    return chosen


def _ask(
    anchor: Pair,
    pairs: Sequence[Pair],
    found: Sequence[Passage],
    context: tuple[Passage, ...],
    names: Names,
    synth: SynthSettings,
    rng: random.Random,
) -> list[tuple[str, str, Pair | None]]:
    """Return (question, target, pair or None) for one context."""
    language = anchor.chunk.language
    inside = [
        pair
        for pair in pairs
        if pair is not anchor
        and not is_real(pair)
        and pair.chunk.language == language
        and _stands(context, pair)
    ]
    rng.shuffle(inside)
    chosen = [pair for pair in [anchor, *inside] if _stands(context, pair)][: synth.context_questions]
    asked: list[tuple[str, str, Pair | None]] = [
        (pair.question, mark_sentences(pair.answer, context), pair) for pair in chosen
    ]
    asked.extend(_two_step(chosen, context, language))
    refused: list[str] = []
    if not asked or rng.random() < synth.uncovered_share:
        refused = absent_questions(anchor, pairs, context, names, rng)[:1]
    if synth.near_misses:
        near = [pair for pair in pairs if pair.chunk.language == language and pair.question not in refused]
        refused += near_misses(near, found, context, synth.near_misses, rng)
    asked.extend((question, not_covered(language), None) for question in refused)
    return asked


def _stands(context: tuple[Passage, ...], pair: Pair) -> bool:
    """Return whether the context answers the question: by its chunk, or, asked by people, by another."""
    if not is_real(pair):
        return any(passage.chunk.id == pair.chunk.id for passage in context)
    return any(support(pair.answer, evidence_text(p)) >= MIN_SUPPORT_OF_PRESENT for p in context)


def _two_step(
    chosen: Sequence[Pair], context: tuple[Passage, ...], language: Language
) -> list[tuple[str, str, Pair | None]]:
    """Return one question that asks two things which stand in two passages."""
    others = [pair for pair in chosen[1:] if _is_another(pair, chosen[0])]
    if not others:
        return []
    joint = "" if language == "zh" else " "
    pairs = (chosen[0], others[0])
    answer = joint.join(mark_sentences(pair.answer, context) for pair in pairs)
    first = chosen[0].question
    if not first.endswith(("?", "？", ".", "。", "!", "！")):  # people leave the mark out
        first += "？" if language == "zh" else "?"
    return [(joint.join((first, others[0].question)), answer, chosen[0])]


def _is_another(pair: Pair, first: Pair) -> bool:
    """Whether a pair stands in another passage and says another thing."""
    is_said = support(pair.answer, first.answer) >= MIN_SUPPORT_OF_SAME
    return pair.chunk.id != first.chunk.id and not (is_said and numbers(pair.answer) == numbers(first.answer))


def mark_sentences(answer: str, context: tuple[Passage, ...]) -> str:
    """Return the answer, each sentence marked by the passage that carries it best."""
    pieces = []
    end = 0
    for span in split_sentences(answer):
        scores = [support(span.text, evidence_text(passage)) for passage in context]
        best = max(range(len(scores)), key=scores.__getitem__, default=-1)
        marks = [best + 1] if best >= 0 and scores[best] >= MIN_SUPPORT_OF_MARK else []
        pieces += [answer[end : span.start], place_marks(span.text, marks)]
        end = span.end
    return "".join(pieces)


def evidence_text(passage: Passage) -> str:
    """Return what a passage says, its headings included."""
    return " ".join((*passage.chunk.heading_path, passage.chunk.text))
