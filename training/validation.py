"""Answers to held-out examples while training: what decides when to stop, since a low loss proves nothing."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from assistant.core.prompts import not_covered
from assistant.core.records import Example, Record
from assistant.core.sentences import numbers, terms
from training.processes import Processes
from training.student import Student

BATCH = 8
MAX_ANSWER_TOKENS = 96
_MARK = re.compile(r"\[\d+\]")


class Split(Record, frozen=True, kw_only=True):
    """What is trained on, and what is asked while training."""

    train: tuple[Example, ...]
    valid: tuple[Example, ...] = ()


def hold_out(examples: Sequence[Example], count: int, seed: int) -> Split:
    """Hold out about ``count`` examples, whole documents at a time, so that no sentence of them is taught.

    Never more than half of the examples is held out. Where documents cannot be (there is one, or each
    holds too much), whole chunks are; where these cannot be either, nothing is.

    Args:
        examples: the dataset's.
        count: how many; 0 holds out none.
        seed: of the choice.

    Returns:
        Examples that stand on held-out documents only are asked; those that share one are left out of both.
    """
    whole = Split(train=tuple(examples))
    if not count:
        return whole
    units: tuple[Callable[[Example], tuple[str, ...]], ...] = (
        lambda example: example.documents,
        lambda example: example.chunk_ids,
    )
    for unit in units:
        split = _hold_out([(example, frozenset(unit(example))) for example in examples], count, seed)
        if split.valid:
            return split
    return whole


def _hold_out(rows: Sequence[tuple[Example, frozenset[str]]], count: int, seed: int) -> Split:
    names = sorted(frozenset().union(*(own for _, own in rows)))
    random.Random(seed).shuffle(names)
    held: set[str] = set()
    valid: list[Example] = []
    for name in names:
        if len(valid) >= count:
            break
        wanted = held | {name}
        if 2 * sum(not wanted.isdisjoint(own) for _, own in rows) > len(rows):
            continue
        held = wanted
        valid = [example for example, own in rows if own and own <= held]
    random.Random(seed).shuffle(valid)
    train = [example for example, own in rows if held.isdisjoint(own)]
    return Split(train=tuple(train), valid=tuple(valid[:count]))


def validation_score(student: Student, examples: Sequence[Example], processes: Processes) -> float:
    """Return the mean score of the student's answers; every process answers a share of them."""
    mine = sorted(examples[processes.rank :: processes.count], key=lambda e: len(e.messages[0].content))
    total = 0.0
    for start in range(0, len(mine), BATCH):
        batch = mine[start : start + BATCH]
        prompts = [student.tokenizer.prompt_ids(example.messages[:-1]) for example in batch]
        longest = max(student.tokenizer.count(example.messages[-1].content) for example in batch)
        answers = student.generate(prompts, min(MAX_ANSWER_TOKENS, longest + longest // 2 + 8))
        total += sum(answer_score(e, answer) for e, answer in zip(batch, answers, strict=True))
    summed, count = processes.total([total, len(mine)])
    return summed / count if count else 0.0


def answer_score(example: Example, answer: str) -> float:
    """Return how right an answer is, from 0 to 1.

    Where the target says that the documents do not cover the question, 1 for saying so. Else 0 for saying
    so or for missing a number, and F1 over the words and Chinese character pairs.
    """
    target = example.messages[-1].content
    refusal = not_covered(example.language)
    if target.startswith(refusal) or answer.strip().startswith(refusal):
        return float(target.startswith(refusal) and answer.strip().startswith(refusal))
    wanted_text, given_text = _MARK.sub(" ", target), _MARK.sub(" ", answer)
    if numbers(wanted_text) - numbers(given_text):
        return 0.0
    wanted, given = terms(wanted_text), terms(given_text)
    common = len(wanted & given)
    return 2 * common / (len(wanted) + len(given)) if common else 0.0
