"""Grounded examples: a context as in service, with several questions about it.

The context of an anchor question comes from the same search and the same budget as in service, so
the distractors are those that the model will meet. Pairs whose chunk stands in the context are
asked too; so is, in balance, what the context does not hold:

- the anchor itself with its passage taken out (near misses stay),
- a model or code that does not exist put in the place of one that does,
- what manuals of this kind do not tell.

One such question in about every fifth context: more of them teach a small model to refuse.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from assistant.core.context import choose_context
from assistant.core.language import Language
from assistant.core.prompts import answer_messages, not_covered
from assistant.core.records import Example, Passage
from assistant.core.sentences import place_marks, split_sentences, support
from assistant.core.settings_answer import AnswerSettings
from assistant.core.settings_synth import SynthSettings
from training.access import EVERYBODY, AccessLists
from training.dataset import make_example
from training.pairs import Pair
from training.wording import read_list

ORACLE_SHARE = 0.9
BRANCHES = 6
# of the contexts: a small model that meets more refusals than this refuses whatever is worded unlike its
# training questions. Measured on the sample suite's 54 answerable questions: at one refusal in six it
# refused all 14 colloquial ones, at one in 17 (.4) eleven of 54, at one in 32 (.2) two
UNCOVERED_SHARE = 0.2
REAL_SHARE = 0.5
GENERIC_SHARE = 0.5
MAX_SUPPORT_OF_ABSENT = 0.6
MIN_SUPPORT_OF_PRESENT = 0.6
MIN_SUPPORT_OF_MARK = 0.4
_MODEL = re.compile(r"(?:models?|fits|机型|型号)\s*[:：]\s*([A-Z]{1,4}-?\d{1,4})", re.IGNORECASE)
_MODEL_OR_CODE = re.compile(r"(?<![A-Za-z0-9])[A-Z]{1,3}-?\d{1,3}(?![\dA-Za-z-])")


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
    names = sorted({match for pair in pairs for match in _MODEL_OR_CODE.findall(pair.question)})
    examples: list[Example] = []
    for anchor, passages in zip(anchors, found, strict=True):
        is_shown = rng.random() < ORACLE_SHARE and not _is_real(anchor)
        readers = access.common([anchor.chunk.document]) or ()
        usable = [p for p in passages if is_shown or p.chunk.id != anchor.chunk.id]
        context = choose_context(
            access.readable(usable, readers),
            count_tokens,
            max_passages=answer.context_passages,
            max_tokens=answer.context_tokens,
        )
        examples.extend(
            make_example(
                recipe="grounded" if pair else "uncovered",
                language=anchor.chunk.language,
                messages=answer_messages(question, anchor.chunk.language, context),
                answer=target,
                chunks=(pair.chunk,) if pair else (),
                teacher=pair.teacher if pair else "rules",
                access=readers,
            )
            for question, target, pair in _ask(anchor, pairs, context, names, rng)
        )
    return examples


def choose_anchors(pairs: Sequence[Pair], count: int, rng: random.Random) -> list[Pair]:
    """Choose the questions that contexts are found for: real ones up to a half, the others spread."""
    real = [pair for pair in pairs if _is_real(pair)]
    made = [pair for pair in pairs if not _is_real(pair)]
    chosen = rng.sample(real, min(len(real), round(REAL_SHARE * count)))
    return chosen + spread(made, count - len(chosen), rng)


def _is_real(pair: Pair) -> bool:
    """Return whether people asked the question: then its own chunk holds it word for word.

    Such a chunk is kept out of the context, or the model learns that a question is answered where it
    finds the question, and refuses all others.
    """
    return pair.chunk.kind in {"ticket", "dialogue"}


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
    context: tuple[Passage, ...],
    names: Sequence[str],
    rng: random.Random,
) -> list[tuple[str, str, Pair | None]]:
    """Return (question, target, pair or None) for one context."""
    language = anchor.chunk.language
    inside = [pair for pair in pairs if pair is not anchor and not _is_real(pair) and _stands(context, pair)]
    rng.shuffle(inside)
    chosen = [pair for pair in [anchor, *inside] if _stands(context, pair)][:BRANCHES]
    asked: list[tuple[str, str, Pair | None]] = [
        (pair.question, mark_sentences(pair.answer, context), pair) for pair in chosen
    ]
    asked.extend(_two_step(chosen, context, language))
    if not asked or rng.random() < UNCOVERED_SHARE:
        absent = _absent(anchor, pairs, context, names, rng)
        asked.extend((question, not_covered(language), None) for question in absent[:1])
    return asked


def _stands(context: tuple[Passage, ...], pair: Pair) -> bool:
    """Return whether the context answers the question: by its chunk, or, asked by people, by another."""
    if not _is_real(pair):
        return any(passage.chunk.id == pair.chunk.id for passage in context)
    return any(support(pair.answer, evidence_text(p)) >= MIN_SUPPORT_OF_PRESENT for p in context)


def _two_step(
    chosen: Sequence[Pair], context: tuple[Passage, ...], language: Language
) -> list[tuple[str, str, Pair | None]]:
    """Return one question that asks two things which stand in two passages."""
    others = [pair for pair in chosen[1:] if pair.chunk.id != chosen[0].chunk.id] if chosen else []
    if not others:
        return []
    joint = "" if language == "zh" else " "
    pairs = (chosen[0], others[0])
    answer = joint.join(mark_sentences(pair.answer, context) for pair in pairs)
    return [(joint.join(pair.question for pair in pairs), answer, chosen[0])]


def _absent(
    anchor: Pair,
    pairs: Sequence[Pair],
    context: tuple[Passage, ...],
    names: Sequence[str],
    rng: random.Random,
) -> list[str]:
    """Return questions that the context does not answer, the hard ones first."""
    language = anchor.chunk.language
    text = "\n".join(passage.chunk.text for passage in context)
    shown = {passage.chunk.id for passage in context}
    is_hard = anchor.chunk.id not in shown and not _is_real(anchor) and not _holds(text, anchor)
    hard = [anchor.question] if is_hard else []
    same = [pair for pair in pairs if pair.chunk.language == language]
    swapped = swap_names([pair for pair in same if pair.chunk.id in shown], names, text, rng)
    generic = uncovered_questions(language, models_of(same), rng) if rng.random() < GENERIC_SHARE else []
    soft = [*swapped[:1], *generic]
    rng.shuffle(soft)
    return list(dict.fromkeys([*hard, *soft]))


def _holds(text: str, pair: Pair) -> bool:
    return support(pair.answer, text) >= MAX_SUPPORT_OF_ABSENT


def swap_names(pairs: Sequence[Pair], names: Sequence[str], text: str, rng: random.Random) -> list[str]:
    """Return questions with a model or code that exists nowhere: "E-14" becomes a code no manual has."""
    swapped = []
    for pair in rng.sample(pairs, min(6, len(pairs))):
        match = _MODEL_OR_CODE.search(pair.question)
        if match is None:
            continue
        made_up = _made_up(match.group(), names, rng)
        if made_up and made_up not in text:
            swapped.append(pair.question.replace(match.group(), made_up))
    return swapped


def _made_up(name: str, names: Sequence[str], rng: random.Random) -> str | None:
    digits = re.search(r"\d+", name)
    if digits is None:
        return None
    width = len(digits.group())
    for _ in range(20):
        number = str(rng.randrange(1, 10**width)).zfill(width)
        candidate = name.replace(digits.group(), number)
        if candidate not in names:
            return candidate
    return None


def models_of(pairs: Sequence[Pair]) -> list[str]:
    """Return the models that the pairs' chunks name in a column or field of that name."""
    return sorted({match.group(1) for pair in pairs for match in _MODEL.finditer(pair.chunk.text)})


def uncovered_questions(language: Language, models: Sequence[str], rng: random.Random) -> list[str]:
    """Return what manuals of this kind do not tell, asked of the models; none where there are no models."""
    if not models:
        return []
    lines = rng.sample(read_list("uncovered", language), 3)
    return [line.replace("$model", rng.choice(models)) for line in lines]


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
