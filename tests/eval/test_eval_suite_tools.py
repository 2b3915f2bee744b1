"""Suites from tables, checks of suites, overlap with what was trained on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from assistant.core.errors import InputError
from assistant.core.jsonl import write_jsonl
from assistant.core.records import Case, Example, Gold, Message
from eval.overlap import find_overlaps, require_held_out
from eval.suite_checks import Finding, TrainingSet, check_suite
from eval.suite_import import import_suite
from eval.suites import load_suite

ENGLISH = "How tight are the flange bolts of the Q7 pump?"
CHINESE = "清洗蒸汽发生器需要多少升除垢液？"


def case(name: str, question: str = ENGLISH, **fields: object) -> Case:
    values: dict[str, object] = {
        "lang": "zh" if question > "一" else "en",
        "gold": (Gold(doc="manual.pdf"),),
        "answers": ("48 Nm",),
    }
    return Case(id=name, question=question, **{**values, **fields})  # type: ignore[arg-type]


def example(name: str, question: str, document: str = "en/manual.pdf") -> Example:
    turns = (
        Message(role="system", content=f"Answer. {CHINESE}"),
        Message(role="user", content=question),
        Message(role="assistant", content="48 Nm"),
    )
    return Example(id=name, recipe="r", language="en", messages=turns, documents=(document,))


def told(findings: list[Finding], severity: str) -> str:
    return "\n".join(row.told for row in findings if row.severity == severity)


def test_a_question_or_paraphrase_that_was_trained_on_is_found_with_its_row() -> None:
    suite = [
        case("far", "Which oil does the gearbox take, and how much of it?"),
        case("same"),
        case("zh", "蒸汽发生器怎么清洗？", paraphrases=(CHINESE,)),
    ]
    examples = [
        example("e1", "What is the weight of the oven without its trays?"),
        example("e2", "How tight are the flange bolts of a Q7 pump?"),
        example("e3", ENGLISH),
        example("e4", CHINESE),
    ]
    found = find_overlaps(suite, examples)
    assert [(row.case_id, row.example_id, row.likeness) for row in found] == [
        ("same", "e3", 1.0),
        ("zh", "e4", 1.0),
    ]
    with pytest.raises(
        InputError, match=r"2 of 3 questions.*dataset d1(?s:.*)'same'.*e3(?s:.*)--held-out"
    ) as error:
        require_held_out(suite, examples, "d1")
    assert CHINESE in error.value.message
    require_held_out(suite[:1], examples, "d1")


def test_a_suite_is_checked_against_collection_and_training_data() -> None:
    suite = [
        case("a"),
        case("a", CHINESE, gold=()),
        case("b", "Where is the drain plug of the tank?", gold=(Gold(doc="gone.pdf"),)),
        case("c", "Who made it?", gold=(Gold(doc="en/manual"),), answers=()),
    ]
    trained = TrainingSet(name="d1", examples=(example("e1", ENGLISH),))
    findings = check_suite(suite, ["en/manual.pdf", "zh/手册.pdf"], trained)
    errors = told(findings, "error")
    assert "id 'a' stands 2 times" in errors
    assert "'a': answerable, and has no gold" in errors
    assert "document 'gone.pdf' is not in the collection; asked for by 'b'" in errors
    assert "questions stand in dataset d1, which is trained on:\n  'a'" in errors
    assert "manual" not in errors.split("gone.pdf")[0]
    warnings = told(findings, "warning")
    assert "1 answerable cases have neither key_facts nor answers: 'c'" in warnings
    assert "no unanswerable case" in warnings
    assert "2 of the suite's 3 documents are trained on" in warnings
    assert "4 cases: from 5 up" in warnings
    assert [row.severity for row in findings] == sorted(row.severity for row in findings)


def test_a_good_suite_of_both_languages_has_no_findings() -> None:
    suite = [case(f"en{n}", f"{ENGLISH} Variant number {n}.") for n in range(20)]
    suite += [case(f"zh{n}", f"{CHINESE}第{n}种") for n in range(10)]
    suite += [case("no", "Is there a branch on Mars?", answerable=False, gold=(), answers=())]
    assert check_suite(suite, ["manual.pdf"]) == []


def test_one_question_and_very_many_are_told() -> None:
    assert "1 case: from 5 up an interval" in told(check_suite([case("a")]), "warning")
    # different questions, as far as that goes; 100,000 take five times as long
    many = [case(str(n), f"Part {n * 7919 % 100_003} of drawing {n}: which torque?") for n in range(20_000)]
    began = time.process_time()
    findings = check_suite(many, ["manual.pdf"], TrainingSet(name="d", examples=(example("e", CHINESE),)))
    assert time.process_time() - began < 10
    assert "80,000 answers in 4 arms" in told(findings, "warning")
    assert told(findings, "error") == ""


TABLE = """id,问题,答案,文档,页码,要点,可回答
a,清洗需要多少除垢液？,两升,手册.pdf,5,两升|2 升; 三十分钟,是
,"How tight, in Nm?",48 Nm | 48 newton metres,manual.pdf,,48 Nm,yes
c,Is there a branch on Mars?,,,,,no
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_table_with_chinese_columns_becomes_a_suite(tmp_path: Path, encoding: str) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes((TABLE + ",,,,,,\n").encode(encoding))
    cases, ignored = import_suite(table)
    assert ignored == ()
    first, second, third = cases
    assert (first.lang, first.gold) == ("zh", (Gold(doc="手册.pdf", page=5),))
    assert first.key_facts == (("两升", "2 升"), ("三十分钟",))
    assert (second.lang, second.answers) == ("en", ("48 Nm", "48 newton metres"))
    assert second.id
    assert not third.answerable
    suite = tmp_path / "suite.jsonl"
    write_jsonl(suite, cases)
    assert load_suite(suite) == cases


def test_tabs_semicolons_and_unknown_columns(tmp_path: Path) -> None:
    for separator in ("\t", ";"):
        file = tmp_path / "table.tsv"
        file.write_text(
            separator.join(("question", "colour", "file")) + "\n" + separator.join(("Why?", "red", "m.md"))
        )
        cases, ignored = import_suite(file)
        assert (cases[0].gold, ignored) == ((Gold(doc="m.md"),), ("colour",))


def test_foreign_json_lines_get_ids_and_languages(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(
        '{"query": "为什么？", "answer": "因为", "document": "m.md"}\n\n{"question": "Why?", "id": 7}\n'
    )
    first, second = import_suite(file)[0]
    assert (first.lang, first.answers, first.gold) == ("zh", ("因为",), (Gold(doc="m.md"),))
    assert second.id == "7"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no cases"),
        ("question,page\nWhy?,five\n,2\n", r"row 2: page 'five' is no number(?s:.*)row 3: no question"),
        ("name,colour\na,red\n", "no column for the question; columns: name, colour"),
        ("question,answerable\nWhy?,perhaps\n", "answerable is yes or no, got 'perhaps'"),
        ("question,lang\nWarum?,de\n", r"row 2.*lang"),
        ('{"question": ', "line 1"),
        ('question\n"unclosed', "not a table"),
    ],
)
def test_what_is_no_suite_is_refused_with_its_rows(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=reason):
        import_suite(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        import_suite(tmp_path / "none.csv")
