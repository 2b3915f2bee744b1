from __future__ import annotations

import time

import pytest

from assistant.core.records import Answer, Case
from eval.answers import answer_score, exact_match, f1_score, fact_score, holds_form, is_abstention_right


def answer(text: str, *, abstained: bool = False) -> Answer:
    return Answer(
        id="ans-1",
        question="?",
        text=text,
        abstained=abstained,
        citations=(),
        passages=(),
        arm="rag",
        language="en",
        timings={},
    )


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("48 Nm", "Tighten to 48 Nm [1].", True),
        ("48 Nm", "Tighten to 48Nm.", True),
        ("48 Nm", "Tighten to **48** N·m.", True),
        ("48 Nm", "Tighten to 148 Nm.", False),
        ("48 Nm", "Tighten to 48.5 Nm.", False),
        ("48 Nm", "Tighten to 480 Nm.", False),
        ("48 Nm", "Tighten to 2.48 Nm.", False),
        ("5 °C", "Not below -5 °C.", False),
        ("-5 °C", "Not below −5 ℃.", True),
        ("5 minutes", "Wait 3-5 minutes.", False),
        ("3-5 minutes", "Wait 3 – 5 minutes.", True),
        ("1", "The pump is right [1].", False),
        ("E05", "The display shows E-05.", True),
        ("E05", "The display shows E051.", False),
        ("05", "The display shows E05.", False),
        ("bar", "Remove the barrel.", False),
        ("filter", "Clean both Filters.", True),
        ("1250 rpm", "It turns at 1,250 rpm.", True),
        ("48 Nm", "拧紧力矩为48牛米（48 Nm）。", True),
        ("90 度", "温度为９０度。", True),
        ("90度", "温度为190度。", False),
        ("关闭阀门", "请先关闭 阀门。", True),
        ("三年", "保修三十年", False),
        ("10:30", "at 10:30 o'clock", True),
        ("—", "anything", False),
        ("48 Nm", "", False),
    ],
)
def test_a_form_stands_in_a_text_as_whole_tokens(form: str, text: str, *, expected: bool) -> None:
    assert holds_form(form, text) is expected


def test_the_fact_score_is_the_share_of_facts_with_any_form() -> None:
    facts = (("48 Nm", "48 牛米"), ("crosswise", "对角"), ("new gasket",), ("cold",))
    assert fact_score(facts, "Tighten crosswise to 48 Nm with a new gasket.") == 0.75
    assert fact_score(facts, "对角拧紧至 48 牛米") == 0.5
    assert fact_score((), "text") == 0


@pytest.mark.parametrize(
    ("references", "text", "f1", "exact"),
    [
        (["Tighten to 48 Nm"], "tighten to 48Nm.", 1.0, 1.0),
        # common: tighten, 48, nm; found 5 without the article, wanted 4
        (["Tighten to 48 Nm"], "Tighten the bolt with 48 Nm", 2 * 3 / (4 + 5), 0.0),
        (["no", "Tighten it"], "tighten", 2 * 1 / (1 + 2), 0.0),
        # common: 关 闭 阀 门, wanted 4, found 6
        (["关闭阀门。"], "先关闭阀门吧", 2 * 4 / (4 + 6), 0.0),
        # a character that stands once counts once: common 水 泵, wanted 2, found 4
        (["水泵"], "水水泵泵", 2 * 2 / (2 + 4), 0.0),
        (["扭矩 48 Nm"], "扭矩48N·m", 1.0, 1.0),
        (["yes"], "no", 0.0, 0.0),
        (["yes"], "", 0.0, 0.0),
        ([""], "", 0.0, 0.0),
        ([], "yes", 0.0, 0.0),
    ],
)
def test_f1_and_exact_match_worked_out_by_hand(
    references: list[str], text: str, f1: float, exact: float
) -> None:
    assert f1_score(references, text) == pytest.approx(f1)
    assert exact_match(references, text) == exact


def test_the_answer_score_by_kind_of_case() -> None:
    with_facts = Case(id="a", lang="en", question="?", key_facts=(("48 Nm",), ("cold",)), answers=("x",))
    without_facts = Case(id="b", lang="zh", question="?", answers=("关闭阀门",))
    unanswerable = Case(id="c", lang="en", question="?", answerable=False)
    assert answer_score(with_facts, answer("48 Nm")) == 0.5
    assert answer_score(with_facts, answer("48 Nm, cold", abstained=True)) == 0
    assert answer_score(without_facts, answer("先关闭阀门吧")) == pytest.approx(0.8)
    assert answer_score(unanswerable, answer("48 Nm")) == 0
    assert answer_score(unanswerable, answer("not covered", abstained=True)) == 1


def test_abstaining_is_right_only_where_the_documents_are_silent() -> None:
    covered = Case(id="a", lang="en", question="?")
    silent = Case(id="b", lang="en", question="?", answerable=False)
    rows = [
        is_abstention_right(case, answer("x", abstained=flag))
        for case in (covered, silent)
        for flag in (False, True)
    ]
    assert rows == [True, False, False, True]


def test_twenty_thousand_answers_are_scored_in_seconds() -> None:
    began = time.perf_counter()
    total = 0.0
    for number in range(20_000):
        text = f"Tighten the flange screws crosswise to {number} Nm [1]."
        total += fact_score((("48 Nm", "48 N·m"), ("crosswise",)), text)
    assert total == 10_000.5
    assert time.perf_counter() - began < 6
