from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from assistant.core.errors import InputError
from assistant.core.records import Case, Gold
from eval.suites import load_suite, require_scores, sample_suite_path

GOOD = {
    "id": "a",
    "lang": "en",
    "question": "Why?",
    "answers": ["So."],
    "gold": [{"doc": "m.pdf", "page": 3}],
}


def write(path: Path, *rows: object) -> Path:
    path.write_bytes(b"\n".join(row if isinstance(row, bytes) else msgspec.json.encode(row) for row in rows))
    return path


def test_the_sample_suite_can_be_scored_in_both_languages() -> None:
    suite = load_suite(sample_suite_path())
    require_scores(suite)
    assert len(suite) >= 60
    assert {case.lang for case in suite} == {"en", "zh"}
    assert all(case.key_facts for case in suite if case.answerable)


def test_foreign_rows_are_read_as_they_are(tmp_path: Path) -> None:
    path = write(
        tmp_path / "suite.jsonl",
        {
            **GOOD,
            "gold": [{"doc": "m.md", "evidence": None, "title": None, "anchor": "停机"}],
            "split": "dev",
        },
        {
            "id": "b",
            "lang": "zh",
            "question": "为什么？",
            "gold": [{"passage": "p-17"}],
            "answerability": "PARTIAL",
        },
        {"id": "c", "lang": "en", "question": "Who?", "gold": [], "answerability": "UNANSWERABLE"},
    )
    first, second, third = load_suite(path)
    assert first.gold == (Gold(doc="m.md", heading="停机"),)
    assert second.answerable
    assert second.gold == (Gold(doc="p-17"),)
    assert not third.answerable
    assert third.kind == "unanswerable"


@pytest.mark.parametrize(
    ("rows", "reasons"),
    [
        ([], ["holds no cases"]),
        ([b"  ", b""], ["holds no cases"]),
        ([GOOD, GOOD, {**GOOD, "id": "b"}], ["'a' stands 2 times"]),
        ([{**GOOD, "gold": []}], ["'a': answerable, and has no gold"]),
        ([{**GOOD, "gold": [{"page": 4}]}], ["'a': a gold names no doc"]),
        ([{**GOOD, "question": " \n"}], ["'a': the question is empty"]),
        ([{**GOOD, "question": "x" * 4001}], ["'a': the question has 4001 characters"]),
        ([{**GOOD, "question": "a\x00b"}], ["'a': the question is not text"]),
        ([{**GOOD, "id": ""}], ["a case without an id asks 'Why?'"]),
        ([{**GOOD, "key_facts": [[]]}], ["'a': a key fact has no form"]),
        ([{**GOOD, "key_facts": [["48 Nm", "—"]]}], ["'a': a key fact has no form"]),
        ([GOOD, {**GOOD, "lang": "de"}], ["line 2", "$.lang"]),
        ([GOOD, b"{not json"], ["line 2"]),
        ([b"\xff\xfe\x00"], ["line 1"]),
        ([b'{"id": ' + b"[" * 5000], ["line"]),
        ([{**GOOD, "question": "", "gold": []}], ["question is empty", "has no gold"]),
    ],
)
def test_a_bad_suite_is_refused_with_file_place_and_every_reason(
    tmp_path: Path, rows: list[object], reasons: list[str]
) -> None:
    path = write(tmp_path / "bad.jsonl", *rows)
    with pytest.raises(InputError) as caught:
        load_suite(path)
    assert str(path) in str(caught.value)
    for reason in reasons:
        assert reason in str(caught.value)


def test_many_problems_are_counted_and_not_all_printed(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.jsonl", *({**GOOD, "id": str(n), "question": ""} for n in range(50)))
    with pytest.raises(InputError, match="and 40 more"):
        load_suite(path)


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_suite(tmp_path / name)


def test_a_suite_of_one_and_of_very_many_rows(tmp_path: Path) -> None:
    assert len(load_suite(write(tmp_path / "one.jsonl", GOOD))) == 1
    path = write(tmp_path / "many.jsonl", *({**GOOD, "id": str(n)} for n in range(100_000)))
    began = time.perf_counter()
    assert len(load_suite(path)) == 100_000
    assert time.perf_counter() - began < 20


def test_a_suite_for_retrieval_only_is_told_apart() -> None:
    bare = Case(id="a", lang="en", question="Why?", gold=(Gold(doc="m.pdf"),))
    unanswerable = Case(id="b", lang="en", question="Who?", answerable=False)
    require_scores((unanswerable,))
    with pytest.raises(InputError, match=r"neither key_facts nor answers.*--retrieval-only"):
        require_scores((bare, unanswerable))


def test_grades_and_schemas_are_read_and_bad_ones_refused(tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["code"]}
    graded = {**GOOD, "gold": [{"doc": "m.pdf", "grade": 3}, {"doc": "n.pdf"}], "schema": schema}
    (case,) = load_suite(write(tmp_path / "good.jsonl", graded))
    assert [gold.grade for gold in case.gold] == [3, 1]
    assert case.schema == schema
    with pytest.raises(InputError, match=r"'a': not a JSON Schema"):
        load_suite(write(tmp_path / "bad.jsonl", {**GOOD, "schema": {"type": "objekt"}}))
    with pytest.raises(InputError, match="grade"):
        load_suite(write(tmp_path / "worse.jsonl", {**GOOD, "gold": [{"doc": "m.pdf", "grade": 0}]}))
