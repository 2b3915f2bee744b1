from __future__ import annotations

from collections.abc import Callable

import pytest

from assistant.answering.abstention import is_abstention, without_afterthought
from assistant.answering.citations import best_quote, cite, is_grounded
from assistant.core.language import Language
from assistant.core.prompts import not_covered
from assistant.core.records import Passage

MakePassage = Callable[[str, int], Passage]
TORQUE = "Tools needed: hexagon key. The motor flange bolts of the Q7 take 48 Nm. Use new bolts."
LEAK = "E-38 means that the shaft seal leaks. Fit shaft seal kit QP-2209."
ZH = "F03 表示腔体温度传感器断路。请更换传感器 HT-4051。复位方式为自动。"


def test_a_good_mark_gets_a_verbatim_quote(passage: MakePassage) -> None:
    passages = (passage(LEAK, 0), passage(TORQUE, 1))
    text, citations = cite("The motor flange bolts of the Q7 take 48 Nm [2].", passages)
    assert text == "The motor flange bolts of the Q7 take 48 Nm [2]."
    (citation,) = citations
    assert (citation.number, citation.document, citation.version, citation.page) == (2, "manual.pdf", 2, 2)
    assert citation.quote == "The motor flange bolts of the Q7 take 48 Nm."
    assert TORQUE[citation.start : citation.end] == citation.quote


@pytest.mark.parametrize(
    "raw",
    [
        "The motor flange bolts of the Q7 take 48 Nm [1].",  # the wrong passage
        "The motor flange bolts of the Q7 take 48 Nm [9].",  # no such passage
        "The motor flange bolts of the Q7 take 48 Nm.",  # none at all
        "The motor flange bolts of the Q7 take 48 Nm. [2]",  # behind the full stop
        "The motor flange bolts of the Q7 take 48 Nm 【2】.",  # full-width
    ],
)
def test_marks_are_put_right(passage: MakePassage, raw: str) -> None:
    text, citations = cite(raw, (passage(LEAK, 0), passage(TORQUE, 1)))
    assert text == "The motor flange bolts of the Q7 take 48 Nm [2]."
    assert [citation.number for citation in citations] == [2]


def test_an_unsupported_sentence_keeps_no_mark(passage: MakePassage) -> None:
    text, citations = cite("The warranty lasts nine years [1].", (passage(LEAK, 0),))
    assert (text, citations) == ("The warranty lasts nine years.", ())


def test_chinese_sentences_and_several_marks(passage: MakePassage) -> None:
    raw = "F03 表示腔体温度传感器断路[1]。请更换传感器 HT-4051[1, 2]。"
    text, citations = cite(raw, (passage(ZH, 0), passage("门封条每 14 个月更换。", 1)))
    assert text == "F03 表示腔体温度传感器断路[1]。请更换传感器 HT-4051 [1]。"
    (citation,) = citations
    assert citation.quote == "F03 表示腔体温度传感器断路。请更换传感器 HT-4051。"
    assert ZH[citation.start : citation.end] == citation.quote


def test_two_sentences_two_passages(passage: MakePassage) -> None:
    raw = "E-38 means that the shaft seal leaks [1]. The motor flange bolts take 48 Nm [2]."
    text, citations = cite(raw, (passage(LEAK, 0), passage(TORQUE, 1)))
    assert text == raw
    assert [citation.number for citation in citations] == [1, 2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Q7 comes with a Bluetooth speaker [1].", False),
        ("The Q7 does not have a Bluetooth speaker [1].", False),
        ("The flow of the Q9 is 1.8 L/min.", False),
        ("T6 有燃气版的。", False),
        ("Fit the kit QP-2209.", True),
        ("根据文档，请更换传感器 HT-4051。", True),
    ],
)
def test_what_no_passage_carries_is_made_up(passage: MakePassage, text: str, expected: bool) -> None:
    assert is_grounded(text, (passage(LEAK, 0), passage(TORQUE, 1), passage(ZH, 2))) is expected


def test_a_quote_is_bounded() -> None:
    assert len(best_quote("word " * 500, "word").text) <= 320
    assert best_quote("", "anything").text == ""


@pytest.mark.parametrize("language", ["en", "zh"])
def test_our_own_sentence_is_an_abstention(language: str) -> None:
    assert is_abstention(not_covered(language), language)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The documents do not mention a price.", True),
        ("This information is not provided in the passages.", True),
        ("文档中没有提到这个问题。", True),
        ("段落里未提及价格。", True),
        ("The pump does not start because the rotor is blocked.", False),
        ("没有水时泵会停机。", False),
    ],
)
def test_refusals_in_other_words(text: str, expected: bool) -> None:
    assert is_abstention(text, "en") is expected


@pytest.mark.parametrize(
    ("language", "answer"),
    [("en", "The price is 9.85 EUR [1]."), ("zh", "F03 表示传感器断路[3]。插紧 J5[3]。")],
)
def test_a_refusal_behind_an_answer_is_dropped(language: Language, answer: str) -> None:
    refusal = not_covered(language)
    assert without_afterthought(f"{answer} {refusal}", language) == answer
    assert without_afterthought(refusal, language) == refusal
    assert without_afterthought(f"\n{refusal}", language) == f"\n{refusal}"
    assert without_afterthought(answer, language) == answer
