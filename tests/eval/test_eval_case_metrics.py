from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import pytest

from assistant.core.records import Answer, Arm, Case, Chunk, Citation, Gold, Passage, Usage
from assistant.core.settings import EvalSettings
from eval.answers import answer_score
from eval.case_metrics import METRICS, metric_columns
from eval.citations import count_citations
from eval.runner import EvalResult, Outcome
from eval.summary import Report, summarise

SETTINGS = EvalSettings(bootstrap_samples=200)
TEXT = "Tighten the flange bolts of the Q7 to 48 Nm."
MakeOutcome = Callable[..., Outcome]


@pytest.fixture
def outcome() -> MakeOutcome:
    """Return what makes an outcome; with ``quote`` the answer cites the only passage."""

    def made(case: Case, text: str, *, arm: Arm = "rag", abstained: bool = False, quote: str = "") -> Outcome:
        chunk = Chunk(id="c1", document="m.pdf", version=1, position=0, text=TEXT, page=3)
        citation = Citation(
            number=1,
            document="m.pdf",
            version=1,
            page=3,
            quote=quote,
            heading_path=(),
            chunk_id="c1",
            start=TEXT.find(quote),
            end=TEXT.find(quote) + len(quote),
        )
        answer = Answer(
            id="ans-1",
            question=case.question,
            text=text,
            abstained=abstained,
            citations=(citation,) if quote else (),
            passages=(Passage(rank=1, score=1, chunk=chunk),) if "rag" in arm else (),
            arm=arm,
            language=case.lang,
            timings={},
            usage=Usage(prompt_tokens=100, completion_tokens=len(text.split())),
        )
        return Outcome(
            case=case,
            answer=answer,
            seconds=2.0,
            score=answer_score(case, answer),
            citations=count_citations(case, answer),
        )

    return made


def covered(name: str, **more: object) -> Case:
    values: dict[str, object] = {
        "id": name,
        "lang": "en",
        "question": "How tight?",
        "answers": ("48 Nm",),
        "gold": (Gold(doc="m.pdf", page=3),),
    }
    return Case(**{**values, **more})  # type: ignore[arg-type]


def silent(name: str) -> Case:
    return Case(id=name, lang="en", question="Mars?", kind="unanswerable", answerable=False)


def report_of(**arms: list[Outcome]) -> Report:
    outcomes: dict[Arm, tuple[Outcome, ...]] = {arm: tuple(rows) for arm, rows in arms.items()}  # type: ignore[misc]
    suite = tuple(row.case for row in next(iter(outcomes.values())))
    return summarise(EvalResult(suite=suite, outcomes=outcomes), {}, SETTINGS)


def test_the_metrics_of_a_small_run_worked_out_by_hand(outcome: MakeOutcome) -> None:
    facts = covered("a", key_facts=(("48 Nm",), ("crosswise",)))
    rows = [
        outcome(facts, f"{TEXT[:-1]} [1].", quote="48 Nm"),
        outcome(covered("b"), "48 Nm!"),
        outcome(covered("c"), "Not covered.", abstained=True),
        outcome(silent("d"), "Not covered.", abstained=True),
        outcome(silent("e"), "Elephants swim in rivers. Tighten the flange bolts to 48 Nm."),
    ]
    (summary,) = report_of(rag=rows).summaries
    found = {name: row.mean for name, row in summary.metrics.items()}
    assert found == pytest.approx(
        {
            "answer_score": (0.5 + 1 + 0 + 1 + 0) / 5,
            "key_facts": 0.5,
            "exact_match": 1 / 3,
            # of a: wanted 48 nm, found tighten flange bolt of q7 to 48 nm
            "f1": (2 * 2 / (2 + 8) + 1) / 3,
            "squad_exact_match": 1 / 3,
            "squad_f1": (2 * 2 / (2 + 8) + 1) / 3,
            # ROUGE keeps articles: tighten the flange bolts of the q7 to 48 nm
            "rouge_l": (2 * 2 / (2 + 10) + 1) / 3,
            # sentences of a, b and e that the passage carries: 1 of 1, 1 of 1, 1 of 2
            "groundedness": 3 / 4,
            # a is recalled, b cites nothing, c abstains wrongly
            "citation_recall": 1 / 3,
            # a precise, b and e without a citation
            "citation_precision": 1 / 3,
            "gold_citation_recall": 1 / 3,
            "gold_citation_precision": 1,
            "abstention_precision": 1 / 2,
            "abstention_recall": 1 / 2,
            "abstention_f1": 1 / 2,
            "coverage": 3 / 5,
            "seconds": 2,
            "completion_tokens": (11 + 2 + 2 + 2 + 11) / 5,
            "prompt_tokens": 100,
        },
        abs=1e-4,
    )
    assert summary.undefined == {
        "schema_validity": "no case has a schema",
        "calibration": "fewer than 10 answers from passages in a half of the questions",
    }


def test_what_is_undefined_says_why_and_is_never_nan(outcome: MakeOutcome) -> None:
    closed = [outcome(covered("a"), "48 Nm", arm="base"), outcome(covered("b"), "20 Nm", arm="base")]
    opened = [outcome(covered("a"), "48 Nm", quote="48 Nm"), outcome(covered("b"), "No.", abstained=True)]
    report = report_of(base=closed, rag=opened)
    base, rag = report.summaries
    assert {"groundedness", "citation_recall", "citation_precision", "abstention_precision"} <= set(
        base.undefined
    )
    # F1 of abstaining over a suite without an unanswerable case would be 0 for one wrong abstention
    assert rag.undefined["abstention_f1"] == "no case is unanswerable"
    assert rag.metrics["abstention_precision"].mean == 0
    (difference,) = report.differences
    assert "citation_recall" in difference.undefined
    assert set(difference.metrics) == set(base.metrics) & set(rag.metrics)
    assert b"NaN" not in msgspec.json.encode(report)
    assert all(
        math.isfinite(value)
        for summary in report.summaries
        for row in summary.metrics.values()
        for value in (row.mean, row.low, row.high)
    )


@pytest.mark.parametrize("abstained", [False, True])
def test_one_case_alone_has_every_metric_or_a_reason(outcome: MakeOutcome, *, abstained: bool) -> None:
    for case in (covered("a"), silent("b")):
        (summary,) = report_of(rag=[outcome(case, "x", abstained=abstained)]).summaries
        assert set(summary.metrics) | set(summary.undefined) == {*METRICS, "calibration"}
        assert not set(summary.metrics) & set(summary.undefined)


def test_groups_have_all_metrics_by_language_kind_and_document(outcome: MakeOutcome) -> None:
    chinese = covered(
        "z", lang="zh", question="力矩？", answers=("48 牛米",), gold=(Gold(doc="手册.pdf", page=1),)
    )
    ours = [
        outcome(covered("a"), "48 Nm"),
        outcome(chinese, "48 牛米"),
        outcome(silent("e"), "-", abstained=True),
    ]
    theirs = [outcome(covered("a"), "20 Nm"), outcome(chinese, "48 牛米"), outcome(silent("e"), "Yes.")]
    report = report_of(**{"base": theirs, "rag+ft": ours})
    _, tuned = report.summaries
    assert set(tuned.groups) == {"language", "kind", "document"}
    assert set(tuned.by_document) == {"m.pdf", "手册.pdf"}
    assert {name: row.mean for name, row in tuned.by_language.items()} == {"en": 1, "zh": 1}
    assert tuned.groups["kind"]["unanswerable"]["abstention_recall"].mean == 1
    assert "squad_f1" in tuned.groups["language"]["zh"]
    assert "squad_f1" not in tuned.groups["kind"]["unanswerable"]
    (difference,) = report.differences
    assert difference.by_document["m.pdf"].mean == 0.5
    assert difference.groups["language"]["zh"]["answer_score"].mean == 0
    assert difference.metrics["abstention_f1"].mean == 1


def test_a_schema_is_held_against_the_text(outcome: MakeOutcome) -> None:
    case = covered("a", schema={"type": "object", "required": ["torque"]})
    rows = [outcome(case, '{"torque": 48}'), outcome(covered("b", schema=case.schema), "48 Nm")]
    (summary,) = report_of(rag=rows).summaries
    assert summary.metrics["schema_validity"].mean == 0.5


def test_equal_parts_are_kept_once(outcome: MakeOutcome) -> None:
    rows = [outcome(covered(str(n)), "48 Nm") for n in range(50)]
    columns = metric_columns(rows)
    assert len({id(part) for column in columns.values() for part in column}) < 15
