from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from assistant.answering.pipeline import Pipeline
from assistant.core.errors import InputError
from assistant.core.jsonl import write_jsonl
from assistant.core.progress import NoProgress
from assistant.core.records import Case, Chunk
from eval.fingerprints import Fingerprint
from eval.hiding import HidingSearcher, answers_case, hidden_twins, hiding_filters
from eval.retrieval import score_retrieval
from eval.runner import run_arms
from eval.suites import load_suite

Opener = Callable[..., Pipeline]
PRINT = Fingerprint(engine="e", index="i", adapter="a")


def test_what_answers_is_hidden_in_both_languages_and_nothing_else(
    open_scripted: Opener, suite: tuple[Case, ...]
) -> None:
    twins = hidden_twins(suite)
    assert [(twin.id, twin.lang, twin.answerable) for twin in twins] == [
        ("en-1-hidden", "en", False),
        ("zh-1-hidden", "zh", False),
    ]
    inner = open_scripted().searcher
    assert inner is not None
    searcher = HidingSearcher(inner, twins)
    for case, twin in zip(suite, twins, strict=False):
        assert len(searcher.search(case.question, 5)) == 2
        (left,) = searcher.search(twin.question, 5, hiding_filters(twin))
        assert left.chunk.document != case.gold[0].doc
        assert left.rank == 1


def test_a_refusal_is_the_right_answer_to_a_hidden_twin(
    open_scripted: Opener, suite: tuple[Case, ...], tmp_path: Path
) -> None:
    whole = (*suite, *hidden_twins(suite))
    result = run_arms(open_scripted(), whole, ("rag",), tmp_path, PRINT, NoProgress())
    rows = {row.case.id: row for row in result.outcomes["rag"]}
    shown = {name: [p.chunk.id for p in row.answer.passages] for name, row in rows.items()}
    assert "c0" in shown["en-1"]
    assert "c0" not in shown["en-1-hidden"]
    assert all(row.score == float(row.answer.abstained) for name, row in rows.items() if "hidden" in name)
    # kept answers are those of the same evidence
    other = msgspec.structs.replace(whole[-1], answers=("Something else.",))
    kept = (tmp_path / "answers.jsonl").read_bytes()
    run_arms(open_scripted(), (*whole[:-1], other), ("rag",), tmp_path, PRINT, NoProgress())
    assert len((tmp_path / "answers.jsonl").read_bytes()) > len(kept)


@pytest.mark.parametrize(
    ("text", "is_hidden"),
    [
        ("The flange bolts of the Q7 take 48 Nm, crosswise.", True),
        ("A ticket of last year: bolts of the flange, Q7, tightened to 48 Nm again.", True),
        ("The flange bolts of the Q5 take 36 Nm.", False),
        ("The warranty lasts 48 months.", False),
    ],
)
def test_other_documents_that_say_the_same_are_hidden_too(
    suite: tuple[Case, ...], text: str, *, is_hidden: bool
) -> None:
    case = msgspec.structs.replace(suite[0], answers=("The flange bolts are tightened to 48 Nm.",))
    chunk = Chunk(id="x", document="tickets/7.md", version=1, position=0, text=text)
    assert answers_case(case, chunk) is is_hidden


def test_hidden_twins_count_for_abstention_only(open_scripted: Opener, suite: tuple[Case, ...]) -> None:
    whole = [*suite, *hidden_twins(suite)]
    searcher = open_scripted().searcher
    assert searcher is not None
    scores = score_retrieval(whole, searcher.search_many([case.question for case in whole], 10))
    assert scores["all"].case_count == 2
    assert hidden_twins(hidden_twins(suite)) == []


def test_a_suite_that_hides_what_it_says_is_there_is_refused(suite: tuple[Case, ...], tmp_path: Path) -> None:
    file = tmp_path / "suite.jsonl"
    write_jsonl(file, [msgspec.structs.replace(suite[0], hides_evidence=True)])
    with pytest.raises(InputError, match="hides its evidence"):
        load_suite(file)
    write_jsonl(file, hidden_twins(suite))
    assert [case.hides_evidence for case in load_suite(file)] == [True, True]
