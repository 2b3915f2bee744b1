"""How much an answer changes when nothing of substance does: wordings x seeds x orders of the context.

Each case is asked in every combination. Two answers agree by claim: the share of one's sentences that the
other carries, both ways; two abstentions agree, an abstention and an answer do not. Pairs that differ in one
thing only tell what that one thing costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path

from assistant.answering.citations import statements
from assistant.answering.composing import GenerationOptions
from assistant.answering.events import Question
from assistant.answering.pipeline import Pipeline
from assistant.core.errors import InputError
from assistant.core.ids import content_id
from assistant.core.jsonl import append_jsonl
from assistant.core.progress import Progress
from assistant.core.records import Answer, Arm, Case, Record
from assistant.core.sentences import numbers, support
from assistant.core.settings import EvalSettings
from eval.answers import answer_score
from eval.asking import read_kept
from eval.citation_metrics import carries
from eval.compare import Interval, mean_intervals
from eval.fingerprints import Fingerprint

STABILITY_FILE = "stability.jsonl"
SHOWN = 20
_RIGHT = 0.5


class StabilityPlan(Record, frozen=True, kw_only=True):
    """What is varied.

    Attributes:
        wordings: the question and its first paraphrases, so many at most.
        seeds: the first is greedy, as answers are served; the others sample.
        orders: of the context: the documents' own, then turned by one passage each.
        temperature: of sampling.
    """

    wordings: int = 3
    seeds: int = 2
    orders: int = 2
    temperature: float = 0.7


class Variant(Record, frozen=True, kw_only=True):
    """One way to ask a case; each field counts from 0, which is how it is asked otherwise."""

    wording: int
    seed: int
    order: int


class CaseStability(Record, frozen=True, kw_only=True):
    """One case over all variants.

    Attributes:
        case_id: the case.
        agreement: mean over all pairs of answers.
        by_factor: ``wording``, ``seed`` or ``order`` → mean over pairs that differ in nothing else; of
            wordings and orders the greedy ones, since sampling turns any change into another answer.
        score: mean answer score.
        flips: share of the variants whose answer is right where the first is wrong, or the other way round.
        least: the two answers that agree least.
    """

    case_id: str
    agreement: float
    by_factor: dict[str, float]
    score: float
    flips: float
    least: tuple[str, str]


class StabilityResult(Record, frozen=True, kw_only=True):
    """The stability of one arm.

    Attributes:
        arm: which.
        plan: what was varied.
        answer_count: answers asked.
        agreement: mean over cases.
        by_factor: mean over cases, for what was varied.
        by_language: mean over cases.
        by_kind: mean over cases.
        flips: mean over cases.
        cases: those that agree least, 20 at most.
        undefined: what could not be varied → why.
    """

    arm: Arm
    plan: StabilityPlan
    answer_count: int
    agreement: Interval
    by_factor: dict[str, Interval]
    by_language: dict[str, Interval]
    by_kind: dict[str, Interval]
    flips: float
    cases: tuple[CaseStability, ...]
    undefined: dict[str, str]


class _KeptAnswer(Record, frozen=True, kw_only=True):
    key: str
    answer: Answer


def run_stability(
    pipeline: Pipeline,
    cases: Sequence[Case],
    arm: Arm,
    plan: StabilityPlan,
    folder: Path,
    fingerprint: Fingerprint,
    progress: Progress,
) -> StabilityResult:
    """Ask every case in every variant and measure how far the answers agree.

    Args:
        pipeline: answers.
        cases: at least one.
        arm: to ask.
        plan: what is varied.
        folder: of the run; answers are kept in ``stability.jsonl``.
        fingerprint: of what shapes the answers.
        progress: told of each answer.

    Raises:
        InputError: there are no cases, or the plan varies nothing.
        EngineError: generation failed; what was answered is kept.
    """
    if not cases:
        raise InputError("stability needs at least one case")
    if plan.wordings * plan.seeds * plan.orders < 2 or min(plan.wordings, plan.seeds, plan.orders) < 1:  # noqa: PLR2004 - a pair
        raise InputError("stability needs two wordings, seeds or orders at least, and one of each")
    jobs = [(case, variant) for case in cases for variant in variants(case, plan, arm)]
    answers = _answer(pipeline, jobs, arm, plan, folder, fingerprint, progress)
    groups: dict[str, list[tuple[Variant, Answer]]] = {}
    for (case, variant), answer in zip(jobs, answers, strict=True):
        groups.setdefault(case.id, []).append((variant, answer))
    rows = [case_stability(case, groups[case.id]) for case in cases]
    return _summed(cases, rows, arm, plan, len(jobs), pipeline.settings.eval)


def variants(case: Case, plan: StabilityPlan, arm: Arm) -> list[Variant]:
    """Return the ways to ask a case; without paraphrases or a context there is less to vary."""
    wordings = min(plan.wordings, 1 + len(case.paraphrases))
    orders = plan.orders if arm in {"rag", "rag+ft"} else 1
    return [
        Variant(wording=wording, seed=seed, order=order)
        for wording, seed, order in product(range(wordings), range(plan.seeds), range(orders))
    ]


def claim_agreement(one: Answer, other: Answer) -> float:
    """Return from 0 to 1 how far two answers claim the same.

    The mean, over both directions, of the share of one answer's sentences that the other answer carries.
    """
    if one.abstained or other.abstained:
        return float(one.abstained and other.abstained)
    return (_carried(one, other) + _carried(other, one)) / 2


def case_stability(case: Case, asked: Sequence[tuple[Variant, Answer]]) -> CaseStability:
    """Return how far the answers to one case agree."""
    pairs = [
        (_changed_alone(a, b), claim_agreement(one, other), (one.text, other.text))
        for (a, one), (b, other) in combinations(asked, 2)
    ]
    alone: dict[str, list[float]] = {}
    for changed, agreement, _ in pairs:
        if changed:
            alone.setdefault(changed, []).append(agreement)
    scores = [answer_score(case, answer) for _, answer in asked]
    is_right = scores[0] >= _RIGHT
    return CaseStability(
        case_id=case.id,
        agreement=_mean([agreement for _, agreement, _ in pairs]) if pairs else 1.0,
        by_factor={name: _mean(rows) for name, rows in sorted(alone.items())},
        score=_mean(scores),
        flips=_mean([float((score >= _RIGHT) is not is_right) for score in scores]),
        least=min(pairs, key=lambda pair: pair[1])[2] if pairs else ("", ""),
    )


def stability_lines(result: StabilityResult) -> list[str]:
    """Return what to print of an arm's stability."""
    plan = result.plan
    whole = result.agreement
    lines = [
        f"stability of {result.arm}: agreement {whole.mean:.2f} [{whole.low:.2f}, {whole.high:.2f}] over "
        f"{whole.case_count} questions, {result.answer_count} answers (wordings {plan.wordings} × seeds "
        f"{plan.seeds} × orders {plan.orders}); {result.flips:.2f} of answers turn right or wrong"
    ]
    parts = [f"{name} {row.mean:.2f}" for name, row in (result.by_factor | result.by_language).items()]
    parts += [f"{name} – ({reason})" for name, reason in result.undefined.items()]
    return [*lines, "  " + ", ".join(parts)]


def _answer(
    pipeline: Pipeline,
    jobs: Sequence[tuple[Case, Variant]],
    arm: Arm,
    plan: StabilityPlan,
    folder: Path,
    fingerprint: Fingerprint,
    progress: Progress,
) -> list[Answer]:
    file = folder / STABILITY_FILE
    folder.mkdir(parents=True, exist_ok=True)
    kept = {row.key: row.answer for row in read_kept(file, _KeptAnswer)}
    identity = fingerprint.for_arm(arm)
    keys = [_key(identity, case, variant, plan) for case, variant in jobs]
    progress.start(f"stability {arm}", len(jobs))
    # the pipeline generates one batch with one set of options
    waiting: dict[tuple[int, int], dict[str, Question]] = {}
    for (case, variant), key in zip(jobs, keys, strict=True):
        if key not in kept:
            waiting.setdefault((variant.seed, variant.order), {})[key] = _question(case, variant)
    progress.advance(len(jobs) - sum(map(len, waiting.values())))
    size = pipeline.settings.engine.batch_size
    for (seed, order), questions in waiting.items():
        options = _options(pipeline, plan, seed, order)
        names = list(questions)
        for start in range(0, len(names), size):
            batch = names[start : start + size]
            found = pipeline.answer_many([questions[name] for name in batch], arm, options)
            for name, answer in zip(batch, found, strict=True):
                kept[name] = answer
                append_jsonl(file, _KeptAnswer(key=name, answer=answer))
            progress.advance(len(batch))
    progress.finish()
    return [kept[key] for key in keys]


def _options(pipeline: Pipeline, plan: StabilityPlan, seed: int, order: int) -> GenerationOptions:
    return GenerationOptions(
        max_new_tokens=pipeline.settings.eval.max_new_tokens,
        temperature=plan.temperature if seed else 0.0,
        seed=seed or None,
        context_turn=order,
    )


def _question(case: Case, variant: Variant) -> Question:
    wordings = (case.question, *case.paraphrases)
    return Question(text=wordings[variant.wording], history=case.history)


def _key(identity: str, case: Case, variant: Variant, plan: StabilityPlan) -> str:
    turns = [f"{turn.role}:{turn.content}" for turn in case.history]
    how = f"{variant.seed}, {variant.order}, {plan.temperature if variant.seed else 0.0}"
    return content_id(identity, _question(case, variant).text, how, *turns)


def _carried(one: Answer, other: Answer) -> float:
    claims = [statement.claim for statement in statements(one.text)]
    if not claims:
        return float(one.text.strip() == other.text.strip())
    whole = " ".join(statement.claim for statement in statements(other.text))
    return sum(_repeats(whole, claim) for claim in claims) / len(claims)


def _repeats(whole: str, claim: str) -> bool:
    # "Yes." has neither terms nor numbers to compare
    return carries(whole, claim) if support(claim, claim) or numbers(claim) else claim in whole


def _changed_alone(one: Variant, other: Variant) -> str:
    """Return the one thing in which two variants differ, empty where it cannot be told from others."""
    changed = [name for name in ("wording", "seed", "order") if getattr(one, name) != getattr(other, name)]
    is_told = len(changed) == 1 and (changed[0] == "seed" or one.seed == 0)
    return changed[0] if is_told else ""


def _summed(
    cases: Sequence[Case],
    rows: Sequence[CaseStability],
    arm: Arm,
    plan: StabilityPlan,
    answer_count: int,
    settings: EvalSettings,
) -> StabilityResult:
    def interval(values: list[float]) -> Interval:
        return mean_intervals([values], samples=settings.bootstrap_samples, seed=settings.seed)[0]

    def grouped(names: Sequence[str]) -> dict[str, Interval]:
        groups: dict[str, list[float]] = {}
        for name, row in zip(names, rows, strict=True):
            groups.setdefault(name, []).append(row.agreement)
        return {name: interval(groups[name]) for name in sorted(groups)}

    by_factor: dict[str, list[float]] = {}
    for row in rows:
        for name, agreement in row.by_factor.items():
            by_factor.setdefault(name, []).append(agreement)
    return StabilityResult(
        arm=arm,
        plan=plan,
        answer_count=answer_count,
        agreement=interval([row.agreement for row in rows]),
        by_factor={name: interval(by_factor[name]) for name in sorted(by_factor)},
        by_language=grouped([case.lang for case in cases]),
        by_kind=grouped([case.kind for case in cases]),
        flips=_mean([row.flips for row in rows]),
        cases=tuple(sorted(rows, key=lambda row: (row.agreement, row.case_id))[:SHOWN]),
        undefined=_undefined(set(by_factor), plan, arm),
    )


def _undefined(varied: set[str], plan: StabilityPlan, arm: Arm) -> dict[str, str]:
    has_context = arm in {"rag", "rag+ft"}
    reasons = {
        "wording": "one wording only" if plan.wordings == 1 else "no case has paraphrases",
        "seed": "one seed only: the engine is greedy",
        "order": "one order only" if has_context else "the arm answers without documents",
    }
    return {name: reason for name, reason in reasons.items() if name not in varied}


def _mean(values: Sequence[float]) -> float:
    return round(math.fsum(values) / len(values), 4)
