"""Lines that only repeat where a passage stands."""

from __future__ import annotations

import pytest

from assistant.answering.headings import answer_headings
from assistant.core.records import Chunk, Passage

EN = "Travel is charged by the kilometre. The warranty runs for 30 months from the date of commissioning."
ZH = "接到报修后先定级。保修期从验收之日起算，共 18 个月。"


def passage(text: str, *headings: str) -> Passage:
    file = "files/policy.html"
    chunk = Chunk(id=text, document=file, version=1, position=0, text=text, heading_path=headings)
    return Passage(rank=1, score=1.0, chunk=chunk)


CONTEXT = (
    passage("The pump weighs 12 kg.", "Pumps", "Weight"),
    passage(EN, "Service policy", "Warranty", "Warranty period"),
    passage(ZH, "服务政策", "保修期"),
)


@pytest.mark.parametrize(
    ("question", "copied", "answer"),
    [
        (
            "How long is the warranty?",
            "policy.html › Service policy › Warranty › Warranty period [2]",
            "The warranty runs for 30 months from the date of commissioning [2].",
        ),
        (
            "How long is the warranty?",
            "[1] Warranty › Warranty period:",
            "The warranty runs for 30 months from the date of commissioning [2].",
        ),
        ("保修期多长？", "policy.html › 服务政策 › 保修期[3]。", "保修期从验收之日起算，共 18 个月[3]。"),
    ],
)
def test_a_copied_path_alone_becomes_what_stands_there(question: str, copied: str, answer: str) -> None:
    assert answer_headings(question, copied, CONTEXT) == answer


def test_a_copied_path_before_an_answer_is_left_out() -> None:
    text = "Service policy › Warranty [2]\nIt runs for 30 months [2].\nTravel is charged [2]."
    expected = "It runs for 30 months [2].\nTravel is charged [2]."
    assert answer_headings("How long is the warranty?", text, CONTEXT) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Weight",  # a name alone may be what was asked for
        "Open Menu › Service [1].",
        "See Service policy › Warranty for the 30 months [2].",
        "服务政策里没有写。",
        "",
    ],
)
def test_everything_else_stays(text: str) -> None:
    assert answer_headings("Which section tells it?", text, CONTEXT) == text
