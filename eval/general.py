"""Whether tuning cost general ability: a small fixed suite in both languages, scored without a judge.

Tasks are asked without documents and instructions, so that an arm's score is that of its weights: base and
RAG share one, and so do the two tuned arms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from assistant.answering.pipeline import Pipeline
from assistant.core.errors import NotFoundError
from assistant.core.jsonl import read_jsonl
from assistant.core.language import Language
from assistant.core.progress import Progress
from assistant.core.records import Arm, Message, Record
from assistant.core.settings import EvalSettings
from assistant.engine.protocol import GenerationRequest
from eval.answers import fact_score, holds_form
from eval.asking import ask_kept
from eval.compare import Interval, mean_intervals, paired_difference
from eval.fingerprints import Fingerprint
from eval.schema_metrics import is_schema_valid

GENERAL_FILE = "general.jsonl"
MAX_NEW_TOKENS = 48
_WEIGHTS: dict[Arm, Arm] = {"base": "base", "rag": "base", "ft": "ft", "rag+ft": "ft"}


class GeneralTask(Record, frozen=True, kw_only=True):
    """One task; a text is right if it keeps to all that is given.

    Attributes:
        id: unique.
        lang: language of the task.
        kind: what it takes.
        prompt: what the engine is asked.
        facts: facts with their accepted forms, all of which the text holds.
        forbidden: forms that it does not hold.
        pattern: regular expression that the whole text matches.
        schema: JSON Schema that it keeps to.
    """

    id: str
    lang: Language
    kind: str
    prompt: str
    facts: tuple[tuple[str, ...], ...] = ()
    forbidden: tuple[str, ...] = ()
    pattern: str = ""
    schema: dict[str, object] | None = None


class GeneralResult(Record, frozen=True, kw_only=True):
    """Which tasks each arm got right.

    Attributes:
        tasks: in order.
        texts: by arm, what came.
        scores: by arm, 1 for right and 0 for wrong, in the order of the tasks.
    """

    tasks: tuple[GeneralTask, ...]
    texts: dict[Arm, tuple[str, ...]]
    scores: dict[Arm, tuple[float, ...]]

    def intervals(self, settings: EvalSettings) -> dict[Arm, Interval]:
        """Return each arm's share of right tasks."""
        found = mean_intervals(
            list(self.scores.values()), samples=settings.bootstrap_samples, seed=settings.seed
        )
        return dict(zip(self.scores, found, strict=True))

    def differences(self, reference: Arm, settings: EvalSettings) -> dict[Arm, Interval]:
        """Return the reference arm's share minus each other's, paired by task."""
        ours = self.scores[reference]
        return {
            arm: paired_difference(ours, theirs, samples=settings.bootstrap_samples, seed=settings.seed)
            for arm, theirs in self.scores.items()
            if arm != reference
        }


def general_tasks() -> tuple[GeneralTask, ...]:
    """Return the tasks that ship."""
    path = Path(str(resources.files("eval").joinpath("general.jsonl")))
    return tuple(read_jsonl(path, GeneralTask))


def is_task_right(task: GeneralTask, text: str) -> bool:
    """Return whether a text keeps to all that a task asks for."""
    bare = text.strip()
    if task.facts and fact_score(task.facts, bare) < 1:
        return False
    if any(holds_form(form, bare) for form in task.forbidden):
        return False
    if task.pattern and not re.fullmatch(task.pattern, bare):
        return False
    return bool(bare) and (task.schema is None or is_schema_valid(task.schema, bare))


def run_general(
    pipeline: Pipeline, arms: Sequence[Arm], folder: Path, fingerprint: Fingerprint, progress: Progress
) -> GeneralResult:
    """Ask the tasks once for each set of weights that the arms use.

    Args:
        pipeline: its engine and adapter are asked; its searcher is not.
        arms: to score.
        folder: of the run; texts are kept in ``general.jsonl``.
        fingerprint: of what shapes the texts.
        progress: told of each set of weights.

    Raises:
        NotFoundError: an arm needs an adapter that is not there.
        EngineError: generation failed; what was generated is kept.
    """
    tasks = general_tasks()
    texts: dict[Arm, tuple[str, ...]] = {}
    wanted = sorted({_WEIGHTS[arm] for arm in arms})
    if "ft" in wanted and pipeline.adapter is None:
        raise NotFoundError("the tuned arms need an adapter and there is none", next_command="deskmate train")
    for weights in wanted:
        progress.start(f"general {weights}", len(tasks))
        adapter = pipeline.adapter if weights == "ft" else None
        texts[weights] = tuple(
            ask_kept(
                pipeline.engine,
                [_request(task, adapter) for task in tasks],
                folder / GENERAL_FILE,
                identity=fingerprint.for_arm(weights),
                batch_size=pipeline.settings.engine.batch_size,
                progress=progress,
            )
        )
        progress.finish()
    return score_general(tasks, {arm: texts[_WEIGHTS[arm]] for arm in arms})


def score_general(tasks: Sequence[GeneralTask], texts: dict[Arm, tuple[str, ...]]) -> GeneralResult:
    """Return which tasks each arm's texts get right."""
    return GeneralResult(
        tasks=tuple(tasks),
        texts=texts,
        scores={
            arm: tuple(float(is_task_right(task, text)) for task, text in zip(tasks, own, strict=True))
            for arm, own in texts.items()
        },
    )


def _request(task: GeneralTask, adapter: str | None) -> GenerationRequest:
    return GenerationRequest(
        messages=(Message(role="user", content=task.prompt),), adapter=adapter, max_new_tokens=MAX_NEW_TOKENS
    )
