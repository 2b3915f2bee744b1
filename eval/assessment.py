"""Before anyone tunes: what the base model can do with a collection as it is."""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from assistant.answering.pipeline import Pipeline
from assistant.core.errors import InputError
from assistant.core.language import Language, detect_language
from assistant.core.progress import Progress
from assistant.core.prompts import answer_messages
from assistant.core.records import Answer, Arm, Case, Chunk, Record
from assistant.engine.protocol import GenerationRequest
from eval.advice import Advice, Measured, advise
from eval.asking import ask_kept
from eval.citations import count_citations
from eval.compare import Interval, mean_intervals, paired_difference
from eval.fingerprints import Fingerprint
from eval.retrieval import is_right
from eval.runner import EvalResult, Outcome, run_arms
from eval.schema_metrics import is_schema_valid
from eval.suite_making import Proposal, Wording, propose
from training.filtering import PairFilter
from training.pairs import rule_pairs
from training.quantities import quantity_pairs

ARMS: tuple[Arm, ...] = ("base", "rag")
LEAST_CASES = 5
FORM_FILE = "form.jsonl"
FORM_QUESTIONS = 16
EXAMPLES_SHOWN = 8
# proposals for each question wanted: some have no figure to be right about, some ask for what is not there
_SPARE = 3
_FORM: dict[str, object] = {
    "type": "object",
    "required": ["answer", "certain"],
    "properties": {"answer": {"type": "string"}, "certain": {"type": "boolean"}},
    "additionalProperties": False,
}


class ShownQuestion(Record, frozen=True, kw_only=True):
    """A question with what came without and with documents."""

    question: str
    expected: str
    closed_book: str
    with_documents: str
    scores: tuple[float, float]


class Assessment(Record, frozen=True, kw_only=True):
    """What was measured, and the advice that follows.

    Attributes:
        about: what was assessed, name → value.
        measured: the figures.
        advice: what to do.
        examples: questions, the worst with documents first.
    """

    about: dict[str, str]
    measured: Measured
    advice: Advice
    examples: tuple[ShownQuestion, ...]


def own_questions(
    chunks: Sequence[Chunk], documents: Sequence[str], count: int, seed: int, word: Wording
) -> tuple[Case, ...]:
    """Return questions that documents answer, those with a figure or code to be right about first.

    Where an answer is compared word by word, a wrong one shares a quarter of its words with the right one,
    which would look like knowledge.

    Raises:
        InputError: too few could be made to say anything.
    """
    cases = _answerable(propose(chunks, documents, _SPARE * count, seed, lambda _chunks, _count: ()))
    if sum(bool(case.key_facts) for case in cases) < count:
        cases = _answerable(propose(chunks, documents, _SPARE * count, seed, word))
    exact = [case for case in cases if case.key_facts]
    chosen = exact if len(exact) >= LEAST_CASES else cases
    if len(chosen) < LEAST_CASES:
        raise InputError(
            f"only {len(chosen)} questions could be made from the collection, at least {LEAST_CASES} are "
            "needed",
            next_command="deskmate assess COLLECTION --suite FILE",
        )
    return tuple(chosen[:count])


def _answerable(proposals: Sequence[Proposal]) -> list[Case]:
    return [row.case for row in proposals if row.case.answerable]


def assess(
    pipeline: Pipeline,
    suite: tuple[Case, ...],
    chunks: Sequence[Chunk],
    folder: Path,
    fingerprint: Fingerprint,
    progress: Progress,
    *,
    about: dict[str, str],
    pilot: Interval | None = None,
) -> Assessment:
    """Ask the base model a collection's own questions, without and with documents, and advise.

    Args:
        pipeline: its base model and searcher are asked.
        suite: answerable questions about the collection.
        chunks: of the collection.
        folder: of the run; answers are kept in it.
        fingerprint: of what shapes answers.
        progress: told of each step.
        about: what is assessed, for the page.
        pilot: what a pilot adapter changed, if one was tuned.

    Raises:
        InputError: no question is answerable.
        EngineError: generation failed; what was answered is kept.
    """
    cases = tuple(case for case in suite if case.answerable)
    if not cases:
        raise InputError("no question is answerable from the documents, so nothing can be assessed")
    result = run_arms(pipeline, cases, ARMS, folder, fingerprint, progress)
    form = _form(pipeline, result, folder, fingerprint, progress)
    measured = _measured(pipeline, result, form, chunks, pilot)
    return Assessment(about=about, measured=measured, advice=advise(measured), examples=_examples(result))


def paired_gain(result: EvalResult, ours: Arm, theirs: Arm, seed: int, samples: int) -> Interval:
    """Return the mean difference of the answer score between two arms."""
    first, second = ([row.score for row in result.outcomes[arm]] for arm in (ours, theirs))
    return paired_difference(first, second, samples=samples, seed=seed)


def _measured(
    pipeline: Pipeline, result: EvalResult, form: float, chunks: Sequence[Chunk], pilot: Interval | None
) -> Measured:
    settings = pipeline.settings.eval
    base, rag = result.outcomes["base"], result.outcomes["rag"]
    closed, with_documents = mean_intervals(
        [[row.score for row in rows] for rows in (base, rag)],
        samples=settings.bootstrap_samples,
        seed=settings.seed,
    )
    found = [row for row in rag if _is_found(row)]
    given = [row for row in rag if not row.answer.abstained]
    # a refusal is the pipeline's sentence, so its tone says nothing of the model
    own_words = [row.answer for row in (*base, *given)]
    return Measured(
        closed_book=closed,
        with_documents=with_documents,
        gain=paired_gain(result, "rag", "base", settings.seed, settings.bootstrap_samples),
        found=len(found) / len(rag),
        read=_mean(row.score for row in found),
        cited=_mean(float(count_citations(row.case, row.answer).verbatim > 0) for row in given),
        form=form,
        tone=_mean(float(is_in_tone(answer, settings.max_new_tokens)) for answer in own_words) or 0.0,
        pair_count=_pair_count(chunks),
        document_count=len({chunk.document for chunk in chunks}),
        pilot=pilot,
    )


def is_in_tone(answer: Answer, max_new_tokens: int) -> bool:
    """Return whether an answer is in its question's language, came to an end, and says nothing empty."""
    if detect_language(answer.text) != detect_language(answer.question):
        return False
    if answer.usage.completion_tokens >= max_new_tokens:
        return False
    plain = answer.text.lower()
    return not any(phrase in plain for phrase in _fillers(answer.language))


def _form(
    pipeline: Pipeline, result: EvalResult, folder: Path, fingerprint: Fingerprint, progress: Progress
) -> float:
    """Ask some questions again for a JSON object; return the share that is one."""
    rows = result.outcomes["rag"][:FORM_QUESTIONS]
    requests = [
        GenerationRequest(
            messages=answer_messages(
                _template("assess_format", row.case.lang).substitute(question=row.case.question),
                row.case.lang,
                row.answer.passages,
            ),
            max_new_tokens=pipeline.settings.eval.max_new_tokens,
        )
        for row in rows
    ]
    progress.start("form", len(requests))
    texts = ask_kept(
        pipeline.engine,
        requests,
        folder / FORM_FILE,
        identity=fingerprint.for_arm("base"),
        batch_size=pipeline.settings.engine.batch_size,
        progress=progress,
    )
    progress.finish()
    return _mean(float(is_schema_valid(_FORM, text)) for text in texts) or 0.0


def _is_found(row: Outcome) -> bool:
    """Return whether a right passage stands in the context that was read."""
    return any(is_right(gold, passage.chunk) for gold in row.case.gold for passage in row.answer.passages)


def _pair_count(chunks: Sequence[Chunk]) -> int:
    made = [*rule_pairs(chunks, 0), *(pair for chunk in chunks for pair in quantity_pairs(chunk))]
    # a teacher words questions about plain sentences, about one a text chunk
    return len(PairFilter().keep(made)) + sum(chunk.kind == "text" for chunk in chunks)


def _examples(result: EvalResult) -> tuple[ShownQuestion, ...]:
    base, rag = result.outcomes["base"], result.outcomes["rag"]
    order = sorted(range(len(result.suite)), key=lambda place: (rag[place].score, place))
    return tuple(
        ShownQuestion(
            question=result.suite[place].question,
            expected=_expected(result.suite[place]),
            closed_book=base[place].answer.text,
            with_documents=rag[place].answer.text,
            scores=(round(base[place].score, 4), round(rag[place].score, 4)),
        )
        for place in order[:EXAMPLES_SHOWN]
    )


def _expected(case: Case) -> str:
    return " / ".join(case.answers) or " · ".join(" / ".join(forms) for forms in case.key_facts)


def _template(name: str, language: Language) -> string.Template:
    return string.Template(_read(name, language).strip())


def _fillers(language: Language) -> tuple[str, ...]:
    lines = (line.strip() for line in _read("assess_filler", language).splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def _read(name: str, language: Language) -> str:
    return resources.files("eval").joinpath("templates", f"{name}.{language}.txt").read_text("utf-8")


def _mean(values: Iterable[float]) -> float | None:
    rows = list(values)
    return math.fsum(rows) / len(rows) if rows else None
