"""How long a person waits: questions asked one at a time, as a stream, by arm.

The answers of an evaluation are made in batches, which is fast for all of them and says nothing of one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from assistant.answering.composing import GenerationOptions
from assistant.answering.events import AnswerDone, Question
from assistant.answering.pipeline import Pipeline
from assistant.core.progress import Progress
from assistant.core.records import Answer, Arm, Case, Record

_DIGITS = 3


class Percentiles(Record, frozen=True, kw_only=True):
    """Of a list of seconds: values that half, or 19 in 20 of them, do not exceed."""

    p50: float
    p95: float
    count: int


class Latency(Record, frozen=True, kw_only=True):
    """One arm's waiting times in seconds.

    Attributes:
        total: from the question to the checked answer.
        first_token: to the first piece of text, where the engine was asked; None where it never was.
        retrieve: of the search; None for an arm without documents.
        tokens_per_second: generated after the first piece, over all answers; None where there were none.
    """

    total: Percentiles
    first_token: Percentiles | None = None
    retrieve: Percentiles | None = None
    tokens_per_second: float | None = None


def measure_latency(
    pipeline: Pipeline, cases: Sequence[Case], arms: Sequence[Arm], progress: Progress
) -> dict[Arm, Latency]:
    """Ask each case alone in each arm; the first one of an arm is asked twice and counts once, warm.

    Args:
        pipeline: answers.
        cases: at least one.
        arms: to measure.
        progress: told of each.

    Raises:
        NotFoundError: an arm needs an index or an adapter that is not there.
        EngineError: generation failed.
    """
    options = GenerationOptions(max_new_tokens=pipeline.settings.eval.max_new_tokens)
    found: dict[Arm, Latency] = {}
    for arm in arms:
        progress.start(f"latency {arm}", len(cases))
        _ask(pipeline, cases[0], arm, options)
        answers = []
        for case in cases:
            answers.append(_ask(pipeline, case, arm, options))
            progress.advance(1, case.id)
        found[arm] = latency_of(answers)
        progress.finish()
    return found


def latency_of(answers: Sequence[Answer]) -> Latency:
    """Return the waiting times of answers that were asked one at a time."""
    asked = [answer for answer in answers if answer.usage.completion_tokens]
    searched = [row.timings["retrieve"] for row in answers if row.passages or row.arm in {"rag", "rag+ft"}]
    seconds = math.fsum(row.timings["total"] - row.timings["first_token"] for row in asked)
    later = sum(row.usage.completion_tokens - 1 for row in asked)
    return Latency(
        total=percentiles([row.timings["total"] for row in answers]),
        first_token=percentiles([row.timings["first_token"] for row in asked]) if asked else None,
        retrieve=percentiles(searched) if searched else None,
        tokens_per_second=round(later / seconds, 1) if later and seconds > 0 else None,
    )


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Return the nearest-rank percentiles of at least one value."""
    ordered = sorted(seconds)
    at = [ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.95)]
    return Percentiles(p50=round(at[0], _DIGITS), p95=round(at[1], _DIGITS), count=len(ordered))


def _ask(pipeline: Pipeline, case: Case, arm: Arm, options: GenerationOptions) -> Answer:
    question = Question(text=case.question, history=case.history)
    for event in pipeline.stream(question, arm, options):
        if isinstance(event, AnswerDone):
            return event.answer
    raise RuntimeError("a stream of events ends with the answer")
