"""A judge engine beside the judge-free scores: its verdicts, how far they agree, and whether to believe them.

A judge is asked yes-or-no questions only. Whatever else it says is counted as unreadable and believed
nowhere. It also gets questions whose answers are known (a reference against itself, and against another
case's); a judge that fails these is not believed at all.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from assistant.core.home import Home
from assistant.core.language import Language, detect_language
from assistant.core.progress import Progress
from assistant.core.records import Arm, Case, Message, Record
from assistant.core.settings import EvalSettings, Settings
from assistant.engine.protocol import Engine, GenerationRequest
from assistant.engine.registry import load_engine, load_other_engine
from eval.asking import ask_kept
from eval.citation_metrics import carries, citation_pairs, score_citations
from eval.compare import Interval, mean_intervals
from eval.suites import spread

if TYPE_CHECKING:
    from eval.runner import Outcome

JUDGE_FILE = "judge.jsonl"
LEAST_CONTROLS_RIGHT = 0.8
MOST_UNREADABLE = 0.2
CONTROL_CASES = 20
_MAX_NEW_TOKENS = 8
_RIGHT = 0.5
_VERDICT = re.compile(r"[\W_]*(?:(yes|是的?|对)|(no|否|不是|不对))(?![A-Za-z\u4e00-\u9fff])", re.IGNORECASE)
_WORDS = re.compile(r"\b(?:yes|no)\b", re.IGNORECASE)
Verdict = bool | None


class Agreement(Record, frozen=True, kw_only=True):
    """A judge's verdicts against the judge-free ones on the same things.

    Attributes:
        name: what was judged.
        asked: how many.
        unreadable: verdicts that are neither yes nor no.
        agreement: share of equal verdicts among the readable, None where there are none.
        kappa: Cohen's, None where it is undefined.
        undefined: why kappa has no value, else empty.
        judge_yes: share of the judge's yes.
        judge_free_yes: share of the judge-free yes.
    """

    name: str
    asked: int
    unreadable: int
    agreement: float | None
    kappa: float | None
    undefined: str
    judge_yes: float | None
    judge_free_yes: float | None


class JudgeResult(Record, frozen=True, kw_only=True):
    """What a judge said of the answers.

    Attributes:
        judge: name of its base model.
        control_count: questions with a known answer.
        controls_right: share of them that it got right.
        doubt: why it is not believed; empty where it is.
        agreements: with the judge-free verdicts: on answers and on cited statements.
        right: by arm, share of answers that it finds right; of an unreadable verdict none is counted.
        citation_recall: by arm, ALCE's, with the judge's entailment.
        citation_precision: by arm, likewise.
        undefined: ``ARM METRIC`` → why there is no value.
    """

    judge: str
    control_count: int
    controls_right: float
    doubt: str
    agreements: tuple[Agreement, ...]
    right: dict[Arm, Interval]
    citation_recall: dict[Arm, Interval]
    citation_precision: dict[Arm, Interval]
    undefined: dict[str, str]


class Judge:
    """Asks an engine for verdicts, kept in a file.

    Args:
        engine: the judge.
        folder: of the run; verdicts are kept in ``judge.jsonl``.
        progress: told of each verdict.
        batch_size: verdicts asked together.
    """

    def __init__(self, engine: Engine, folder: Path, progress: Progress, *, batch_size: int = 16) -> None:
        self.name = engine.base_model
        self._engine = engine
        self._file = folder / JUDGE_FILE
        self._progress = progress
        self._batch_size = batch_size

    def verdicts(self, prompts: Sequence[str], told: str) -> list[Verdict]:
        """Return yes, no or None (unreadable) for each prompt.

        Raises:
            EngineError: the judge failed; what it said is kept.
        """
        requests = [
            GenerationRequest(
                messages=(Message(role="user", content=prompt),), max_new_tokens=_MAX_NEW_TOKENS
            )
            for prompt in prompts
        ]
        self._progress.start(told, len(prompts))
        texts = ask_kept(
            self._engine,
            requests,
            self._file,
            identity=self.name,
            batch_size=self._batch_size,
            progress=self._progress,
        )
        self._progress.finish()
        return [read_verdict(text) for text in texts]


def open_judge(settings: Settings, home: Home, own: Callable[[], Engine], key: str = "") -> Engine | None:
    """Return the engine that ``[judge]`` names, None where it names none.

    Args:
        settings: all settings.
        home: where its model lies.
        own: gives the engine that answers, for a judge of kind ``base``.
        key: of the judge's own server, which is told no other.

    Raises:
        ResourceError: the packages it needs are not installed.
        ModelError: its folder is missing or broken.
    """
    judge = settings.judge
    if judge.kind == "none":
        return None
    if judge.kind == "base":
        return own()
    engine = msgspec.structs.replace(
        settings.engine,
        kind=judge.kind,
        base_model=judge.base_model or settings.engine.base_model,
        url=judge.url,
        batch_size=judge.batch_size,
        timeout_seconds=judge.timeout_seconds,
    )
    other = msgspec.structs.replace(settings, engine=engine)
    if engine.url == settings.engine.url and not key:
        return load_engine(other, home)
    return load_other_engine(other, home, key)


def read_verdict(text: str) -> Verdict:
    """Return what a judge's text says, None where it says neither yes nor no at its beginning."""
    match = _VERDICT.match(text)
    is_echo = len({word.lower() for word in _WORDS.findall(text)}) > 1
    return None if match is None or is_echo else match[1] is not None


def judge_answers(
    judge: Judge, outcomes: Mapping[Arm, Sequence[Outcome]], settings: EvalSettings
) -> JudgeResult:
    """Let a judge look at every answer and every cited statement.

    Args:
        judge: asks.
        outcomes: scored without a judge.
        settings: of the bootstrap.

    Raises:
        EngineError: the judge failed; what it said is kept.
    """
    controls_right, control_count = _ask_controls(judge, next(iter(outcomes.values()), ()))
    answers, right = _judge_texts(judge, outcomes)
    statements, verdicts = _judge_statements(judge, outcomes)
    undefined: dict[str, str] = {}

    def interval(arm: Arm, metric: str, values: list[float]) -> dict[Arm, Interval]:
        if not values:
            undefined[f"{arm} {metric}"] = "the judge gave no readable verdict, or there was nothing to judge"
            return {}
        found = mean_intervals([values], samples=settings.bootstrap_samples, seed=settings.seed)
        return {arm: found[0]}

    by_metric: dict[str, dict[Arm, Interval]] = {"right": {}, "citation_recall": {}, "citation_precision": {}}
    for arm, rows in outcomes.items():
        recall, precision = _judged_citations(rows, verdicts)
        columns = {"right": right[arm], "citation_recall": recall, "citation_precision": precision}
        for metric, values in columns.items():
            by_metric[metric] |= interval(arm, metric, values)
    return JudgeResult(
        judge=judge.name,
        control_count=control_count,
        controls_right=controls_right,
        doubt=_doubt(controls_right, control_count, (answers, statements)),
        agreements=(answers, statements),
        undefined=undefined,
        **by_metric,
    )


def agree(name: str, verdicts: Sequence[Verdict], judge_free: Sequence[bool]) -> Agreement:
    """Return how far verdicts agree; kappa is Cohen's (1960)."""
    rows = [(a, b) for a, b in zip(verdicts, judge_free, strict=True) if a is not None]
    count = len(rows)
    if not count:
        reason = "no verdict is readable" if verdicts else "there was nothing to judge"
        return Agreement(
            name=name,
            asked=len(verdicts),
            unreadable=len(verdicts),
            agreement=None,
            kappa=None,
            undefined=reason,
            judge_yes=None,
            judge_free_yes=None,
        )
    same = sum(a is b for a, b in rows) / count
    yes, free_yes = sum(a for a, _ in rows) / count, sum(b for _, b in rows) / count
    chance = yes * free_yes + (1 - yes) * (1 - free_yes)
    return Agreement(
        name=name,
        asked=len(verdicts),
        unreadable=len(verdicts) - count,
        agreement=round(same, 4),
        kappa=None if chance == 1 else round((same - chance) / (1 - chance), 4),
        undefined="both always say the same" if chance == 1 else "",
        judge_yes=round(yes, 4),
        judge_free_yes=round(free_yes, 4),
    )


def judge_lines(result: JudgeResult) -> list[str]:
    """Return what to print of a judge."""
    believed = f"not believed: {result.doubt}" if result.doubt else "believed"
    lines = [
        f"judge {result.judge}: {result.controls_right:.2f} of {result.control_count} known answers right; "
        f"{believed}"
    ]
    for row in result.agreements:
        kappa = f"– ({row.undefined})" if row.kappa is None else f"{row.kappa:.2f}"
        share = "–" if row.agreement is None else f"{row.agreement:.2f}"
        lines.append(
            f"  {row.name}: {row.asked} asked, {row.unreadable} unreadable, agreement {share}, kappa {kappa}"
        )
    return lines


def _ask_controls(judge: Judge, rows: Sequence[Outcome]) -> tuple[float, int]:
    """Return how many known answers it gets right, and how many it was asked: as many right as wrong ones."""
    referenced = tuple(row.case for row in rows if row.case.answerable and any(row.case.answers))
    cases = spread(referenced, CONTROL_CASES)
    if len(cases) == 1:
        return 0.0, 0
    prompts, wanted = [], []
    for place, case in enumerate(cases):
        others = (*cases[place + 1 :], *cases[:place])
        other = min(others, key=lambda row: row.lang != case.lang)
        for answer, verdict in ((case, True), (other, False)):
            prompts.append(_answer_prompt(case, answer.answers[0]))
            wanted.append(verdict)
    said = judge.verdicts(prompts, "judge: known answers")
    right = sum(a is b for a, b in zip(said, wanted, strict=True))
    return (round(right / len(wanted), 4) if wanted else 0.0), len(wanted)


def _answer_prompt(case: Case, answer: str) -> str:
    return _render(
        "judge_answer", case.lang, question=case.question, reference=case.answers[0], answer=answer
    )


def _judge_texts(
    judge: Judge, outcomes: Mapping[Arm, Sequence[Outcome]]
) -> tuple[Agreement, dict[Arm, list[float]]]:
    rows = [
        (arm, row)
        for arm, own in outcomes.items()
        for row in own
        if row.case.answerable and any(row.case.answers) and not row.answer.abstained
    ]
    said = judge.verdicts([_answer_prompt(row.case, row.answer.text) for _, row in rows], "judge: answers")
    right: dict[Arm, list[float]] = {arm: [] for arm in outcomes}
    for (arm, _), verdict in zip(rows, said, strict=True):
        if verdict is not None:
            right[arm].append(float(verdict))
    return agree("answers", said, [row.score >= _RIGHT for _, row in rows]), right


def _judge_statements(
    judge: Judge, outcomes: Mapping[Arm, Sequence[Outcome]]
) -> tuple[Agreement, dict[tuple[str, str], bool]]:
    answers = [row.answer for rows in outcomes.values() for row in rows if not row.answer.abstained]
    pairs = sorted({pair for answer in answers for pair in citation_pairs(answer)})
    prompts = [
        _render("judge_claim", detect_language(claim), passage=premise, claim=claim)
        for premise, claim in pairs
    ]
    said = judge.verdicts(prompts, "judge: statements")
    agreement = agree("cited statements", said, [carries(premise, claim) for premise, claim in pairs])
    known = {pair: verdict for pair, verdict in zip(pairs, said, strict=True) if verdict is not None}
    return agreement, known


def _judged_citations(
    rows: Sequence[Outcome], verdicts: Mapping[tuple[str, str], bool]
) -> tuple[list[float], list[float]]:
    """Return recall and precision of the answers that cite and of which every verdict is readable."""
    recall: list[float] = []
    precision: list[float] = []
    for row in rows:
        pairs = set() if row.answer.abstained else citation_pairs(row.answer)
        if not pairs or not pairs <= verdicts.keys():
            continue
        scores = score_citations(row.answer, lambda premise, claim: verdicts[premise, claim])
        if scores is not None:
            recall.append(scores.recall)
            precision.append(scores.precision)
    return recall, precision


def _doubt(controls_right: float, control_count: int, agreements: Sequence[Agreement]) -> str:
    asked = sum(row.asked for row in agreements)
    unreadable = sum(row.unreadable for row in agreements)
    if not control_count:
        return "too few cases have a reference answer to check it with"
    if controls_right < LEAST_CONTROLS_RIGHT:
        return f"it gets {controls_right:.2f} of known answers right, needed is {LEAST_CONTROLS_RIGHT:.2f}"
    if asked and unreadable / asked > MOST_UNREADABLE:
        return f"{unreadable} of {asked} verdicts are neither yes nor no"
    return ""


def _render(name: str, language: Language, **variables: str) -> str:
    text = resources.files("eval").joinpath("templates", f"{name}.{language}.txt").read_text("utf-8")
    return string.Template(text.strip()).substitute(variables)
