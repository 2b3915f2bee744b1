"""What each case adds to each metric; ``eval.compare`` makes the ratios and their intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from assistant.answering.citations import statements
from assistant.core.records import Answer, Case, Record
from eval.answer_metrics import rouge_l, squad_exact_match, squad_f1
from eval.answers import exact_match, f1_score, fact_score
from eval.citation_metrics import count_grounded, score_citations
from eval.compare import Column, Part
from eval.schema_metrics import is_schema_valid

if TYPE_CHECKING:
    from eval.runner import Outcome

NOT_CONCERNED: Part = (0.0, 0.0)
_WITH_DOCUMENTS = frozenset({"rag", "rag+ft"})
# these say something of a suite with unanswerable questions only
_NEEDS_UNANSWERABLE = frozenset({"abstention_recall", "abstention_f1"})


class Metric(Record, frozen=True, kw_only=True):
    """A metric over cases.

    Attributes:
        part: what a case adds above and below the line.
        undefined: why there is no value where nothing is below the line.
        meaning: for a reader of the report.
    """

    part: Callable[[Outcome], Part]
    undefined: str
    meaning: str


def metric_columns(outcomes: Sequence[Outcome]) -> dict[str, Column]:
    """Return for each metric what each outcome adds to it, in the order given."""
    # most parts are alike: a suite of 100,000 keeps each of them once
    kept: dict[Part, Part] = {}
    columns: dict[str, Column] = {}
    for name, metric in METRICS.items():
        parts = map(metric.part, outcomes)
        columns[name] = [kept.setdefault(part, part) for part in parts]
    return columns


def defined_columns(columns: Mapping[str, Column], cases: Sequence[Case]) -> dict[str, Column]:
    """Return the columns that have a value over these cases, which are the columns' own."""
    is_missing = all(case.answerable for case in cases)
    return {
        name: column
        for name, column in columns.items()
        if any(below for _, below in column) and not (is_missing and name in _NEEDS_UNANSWERABLE)
    }


def _answer_score(row: Outcome) -> Part:
    return row.score, 1.0


def _given(case: Case, answer: Answer, score: Callable[[], float]) -> Part:
    """Return the score of an answer to an answerable case with references, 0 for abstaining there."""
    if not case.answerable or not any(case.answers):
        return NOT_CONCERNED
    return (0.0 if answer.abstained else score()), 1.0


def _key_facts(row: Outcome) -> Part:
    if not row.case.answerable or not row.case.key_facts:
        return NOT_CONCERNED
    return (0.0 if row.answer.abstained else fact_score(row.case.key_facts, row.answer.text)), 1.0


def _exact_match(row: Outcome) -> Part:
    return _given(row.case, row.answer, lambda: exact_match(row.case.answers, row.answer.text))


def _f1(row: Outcome) -> Part:
    return _given(row.case, row.answer, lambda: f1_score(row.case.answers, row.answer.text))


def _squad_exact_match(row: Outcome) -> Part:
    case = row.case
    return _given(case, row.answer, lambda: squad_exact_match(case.answers, _bare(row.answer), case.lang))


def _squad_f1(row: Outcome) -> Part:
    case = row.case
    return _given(case, row.answer, lambda: squad_f1(case.answers, _bare(row.answer), case.lang))


def _rouge_l(row: Outcome) -> Part:
    return _given(row.case, row.answer, lambda: rouge_l(row.case.answers, _bare(row.answer)))


def _groundedness(row: Outcome) -> Part:
    if row.answer.abstained or row.answer.arm not in _WITH_DOCUMENTS:
        return NOT_CONCERNED
    grounded, count = count_grounded(row.answer)
    return float(grounded), float(count)


def _citation_recall(row: Outcome) -> Part:
    if row.answer.arm not in _WITH_DOCUMENTS or not row.case.answerable:
        return NOT_CONCERNED
    scores = None if row.answer.abstained else score_citations(row.answer)
    return (scores.recall if scores else 0.0), 1.0


def _citation_precision(row: Outcome) -> Part:
    if row.answer.arm not in _WITH_DOCUMENTS or row.answer.abstained:
        return NOT_CONCERNED
    scores = score_citations(row.answer)
    return (scores.precision, 1.0) if scores else NOT_CONCERNED


def _gold_citation_recall(row: Outcome) -> Part:
    return (float(row.citations.right > 0), 1.0) if row.case.answerable else NOT_CONCERNED


def _gold_citation_precision(row: Outcome) -> Part:
    return float(row.citations.right), float(row.citations.cited)


def _abstention_precision(row: Outcome) -> Part:
    return float(row.answer.abstained and not row.case.answerable), float(row.answer.abstained)


def _abstention_recall(row: Outcome) -> Part:
    return float(row.answer.abstained and not row.case.answerable), float(not row.case.answerable)


def _abstention_f1(row: Outcome) -> Part:
    hit = row.answer.abstained and not row.case.answerable
    return 2.0 * hit, float(row.answer.abstained) + float(not row.case.answerable)


def _coverage(row: Outcome) -> Part:
    return float(not row.answer.abstained), 1.0


def _schema_validity(row: Outcome) -> Part:
    if row.case.schema is None:
        return NOT_CONCERNED
    return float(is_schema_valid(row.case.schema, row.answer.text)), 1.0


def _seconds(row: Outcome) -> Part:
    return row.seconds, 1.0


def _completion_tokens(row: Outcome) -> Part:
    count = row.answer.usage.completion_tokens
    return (float(count), 1.0) if count else NOT_CONCERNED


def _prompt_tokens(row: Outcome) -> Part:
    count = row.answer.usage.prompt_tokens
    return (float(count), 1.0) if count else NOT_CONCERNED


def _bare(answer: Answer) -> str:
    """Return the text without citation marks, which the published measures would take for words."""
    return " ".join(statement.claim for statement in statements(answer.text))


_NO_REFERENCE = "no answerable case has a reference answer"
_CLOSED_BOOK = "every answer was made without documents, or abstains"
METRICS: dict[str, Metric] = {
    "answer_score": Metric(
        part=_answer_score, undefined="no cases", meaning="key facts, or F1; right abstaining counts 1"
    ),
    "key_facts": Metric(
        part=_key_facts,
        undefined="no answerable case has key facts",
        meaning="share of key facts in the answer",
    ),
    "exact_match": Metric(
        part=_exact_match, undefined=_NO_REFERENCE, meaning="same tokens as a reference, units alike"
    ),
    "f1": Metric(part=_f1, undefined=_NO_REFERENCE, meaning="token F1 against references, units alike"),
    "squad_exact_match": Metric(
        part=_squad_exact_match, undefined=_NO_REFERENCE, meaning="exact match as SQuAD and MLQA define it"
    ),
    "squad_f1": Metric(
        part=_squad_f1, undefined=_NO_REFERENCE, meaning="F1 as SQuAD and MLQA; characters in Chinese"
    ),
    "rouge_l": Metric(part=_rouge_l, undefined=_NO_REFERENCE, meaning="ROUGE-L F; characters in Chinese"),
    "groundedness": Metric(
        part=_groundedness, undefined=_CLOSED_BOOK, meaning="share of sentences that a passage carries"
    ),
    "citation_recall": Metric(
        part=_citation_recall,
        undefined="the arm answers without documents, or no case is answerable",
        meaning="ALCE: statements that what they cite carries; wrong abstaining counts 0",
    ),
    "citation_precision": Metric(
        part=_citation_precision, undefined=_CLOSED_BOOK, meaning="ALCE: citations that are not idle"
    ),
    "gold_citation_recall": Metric(
        part=_gold_citation_recall,
        undefined="no case is answerable",
        meaning="answerable cases with a citation of the right passage",
    ),
    "gold_citation_precision": Metric(
        part=_gold_citation_precision,
        undefined="nothing is cited",
        meaning="citations of the right passage among all",
    ),
    "abstention_precision": Metric(
        part=_abstention_precision,
        undefined="the arm never abstains",
        meaning="abstentions where the documents are silent",
    ),
    "abstention_recall": Metric(
        part=_abstention_recall,
        undefined="no case is unanswerable",
        meaning="unanswerable cases in which it abstains",
    ),
    "abstention_f1": Metric(
        part=_abstention_f1,
        undefined="no case is unanswerable",
        meaning="harmonic mean of the two",
    ),
    "coverage": Metric(part=_coverage, undefined="no cases", meaning="share of questions that get an answer"),
    "schema_validity": Metric(
        part=_schema_validity, undefined="no case has a schema", meaning="answers that keep to their schema"
    ),
    "seconds": Metric(part=_seconds, undefined="no cases", meaning="per answer, batched as it was run"),
    "completion_tokens": Metric(
        part=_completion_tokens, undefined="the engine generated nothing", meaning="per generated answer"
    ),
    "prompt_tokens": Metric(
        part=_prompt_tokens, undefined="the engine generated nothing", meaning="per generated answer"
    ),
}
