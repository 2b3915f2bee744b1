"""Asks every case of a suite in every arm, resumably, and scores the answers."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

from assistant.answering.composing import GenerationOptions
from assistant.answering.events import Question
from assistant.answering.pipeline import Pipeline
from assistant.core.errors import EngineError, InputError, NotFoundError
from assistant.core.ids import content_id
from assistant.core.jsonl import append_jsonl
from assistant.core.progress import Progress
from assistant.core.records import ARMS, Answer, Arm, Case, Record
from eval.answers import answer_score
from eval.asking import read_kept
from eval.citations import CitationCounts, count_citations
from eval.fingerprints import Fingerprint
from eval.hiding import HidingSearcher, hiding_filters
from eval.suites import require_scores
from eval.timing import EngineClock, timed

ANSWERS_FILE = "answers.jsonl"
# An engine fills a place as soon as a row ends, so two batches at once keep it busy; more would make
# an interruption lose more.
_BATCHES_AT_ONCE = 2


class Outcome(Record, frozen=True, kw_only=True):
    """One case in one arm.

    Attributes:
        case: what was asked.
        answer: what came.
        seconds: its share of the time that its batch took.
        score: ``eval.answers.answer_score``.
        citations: how many hold and are right.
        engine_seconds: the part of ``seconds`` inside the engine.
    """

    case: Case
    answer: Answer
    seconds: float
    score: float
    citations: CitationCounts
    engine_seconds: float = 0.0


class EvalResult(Record, frozen=True, kw_only=True):
    """All arms over a suite.

    Attributes:
        suite: the cases.
        outcomes: by arm, in the suite's order.
    """

    suite: tuple[Case, ...]
    outcomes: dict[Arm, tuple[Outcome, ...]]

    @property
    def engine_share(self) -> float | None:
        """Share of the answers' time inside the engine, over all calls; None where no time was taken."""
        rows = [row for outcomes in self.outcomes.values() for row in outcomes]
        seconds = math.fsum(row.seconds for row in rows)
        return math.fsum(row.engine_seconds for row in rows) / seconds if seconds else None


class _AnsweredRow(Record, frozen=True, kw_only=True):
    """One answer as it is kept; ``key`` is a hash over everything that shapes it."""

    key: str
    case_id: str
    seconds: float
    answer: Answer
    engine_seconds: float = 0.0


def run_arms(
    pipeline: Pipeline,
    suite: tuple[Case, ...],
    arms: Sequence[Arm],
    folder: Path,
    fingerprint: Fingerprint,
    progress: Progress,
) -> EvalResult:
    """Answer a suite in each arm and score it.

    Each answer is appended to ``answers.jsonl`` in the run's folder as soon as its batch is there,
    so that an interrupted run goes on where it was, and a changed adapter or index asks only the
    arms that use it again.

    Args:
        pipeline: answers.
        suite: the cases.
        arms: in the order of the report.
        folder: of the run; made if missing.
        fingerprint: of what shapes the answers.
        progress: told of each arm.

    Raises:
        InputError: an arm is unknown or none is named, or answers of this suite cannot be scored.
        NotFoundError: an arm needs an index or an adapter that is not there.
        EngineError: generation failed; what was answered is kept.
    """
    check_arms(arms)
    require_scores(suite)
    _check_parts(pipeline, arms)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / ANSWERS_FILE
    kept = {row.key: row for row in read_kept(file, _AnsweredRow)}
    ours, clock = timed(pipeline)
    if ours.searcher is not None and any(case.hides_evidence for case in suite):
        ours.searcher = HidingSearcher(ours.searcher, suite)
    outcomes: dict[Arm, tuple[Outcome, ...]] = {}
    for arm in arms:
        keys = [_key(case, fingerprint.for_arm(arm)) for case in suite]
        _answer_missing(ours, clock, arm, list(zip(suite, keys, strict=True)), kept, file, progress)
        outcomes[arm] = tuple(_score(case, kept[key]) for case, key in zip(suite, keys, strict=True))
    return EvalResult(suite=suite, outcomes=outcomes)


def check_arms(arms: Sequence[str]) -> None:
    """Check the names of arms.

    Raises:
        InputError: none, one twice, or an unknown one.
    """
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown or not arms or len(set(arms)) != len(arms):
        raise InputError(f"arms are some of {','.join(ARMS)}, each once; got {','.join(arms) or 'none'}")


def _check_parts(pipeline: Pipeline, arms: Sequence[Arm]) -> None:
    """Refuse before the first arm is run what would fail in the last."""
    if pipeline.adapter is None and not {"ft", "rag+ft"}.isdisjoint(arms):
        raise NotFoundError(
            f"arms {','.join(arms)} need a tuned adapter and there is none", next_command="deskmate train"
        )
    if pipeline.searcher is None and not {"rag", "rag+ft"}.isdisjoint(arms):
        raise NotFoundError(
            f"arms {','.join(arms)} need an index and there is none", next_command="deskmate index add PATH"
        )


def _answer_missing(
    pipeline: Pipeline,
    clock: EngineClock,
    arm: Arm,
    cases: list[tuple[Case, str]],
    kept: dict[str, _AnsweredRow],
    file: Path,
    progress: Progress,
) -> None:
    # two cases may ask the same
    missing = list({key: (case, key) for case, key in cases if key not in kept}.values())
    progress.start(f"arm {arm}", len(cases))
    progress.advance(len(cases) - len(missing))
    size = _BATCHES_AT_ONCE * pipeline.settings.engine.batch_size
    options = GenerationOptions(max_new_tokens=pipeline.settings.eval.max_new_tokens)
    for start in range(0, len(missing), size):
        batch = missing[start : start + size]
        questions = [
            Question(text=case.question, history=case.history, filters=hiding_filters(case))
            for case, _ in batch
        ]
        began, before = time.perf_counter(), clock.seconds
        try:
            answers = pipeline.answer_many(questions, arm, options)
        except EngineError as error:
            done = len(cases) - len(missing) + start
            raise type(error)(
                f"the engine failed in arm {arm} after {done} of {len(cases)} answers: {error.message}; "
                "these are kept, and the same command goes on from there",
                next_command=error.next_command,
            ) from error
        seconds = round((time.perf_counter() - began) / len(batch), 4)
        engine_seconds = min(seconds, round((clock.seconds - before) / len(batch), 4))
        for (case, key), answer in zip(batch, answers, strict=True):
            kept[key] = _AnsweredRow(
                key=key, case_id=case.id, seconds=seconds, engine_seconds=engine_seconds, answer=answer
            )
            append_jsonl(file, kept[key])
        progress.advance(len(batch), batch[-1][0].id)
    progress.finish()


def _key(case: Case, fingerprint: str) -> str:
    turns = [f"{turn.role}:{turn.content}" for turn in case.history]
    # what is hidden hangs on the golds and answers
    hidden = [str((case.gold, case.answers, case.key_facts))] if case.hides_evidence else []
    return content_id(fingerprint, case.question, *turns, *hidden)


def _score(case: Case, row: _AnsweredRow) -> Outcome:
    return Outcome(
        case=case,
        answer=row.answer,
        seconds=row.seconds,
        score=answer_score(case, row.answer),
        citations=count_citations(case, row.answer),
        engine_seconds=row.engine_seconds,
    )
