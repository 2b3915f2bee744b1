from __future__ import annotations

import pytest

from assistant.core.records import Case, Chunk, Gold, Passage
from eval.context_budget import context_hit, first_tokens, held_share
from eval.retrieval import score_retrieval

GOLD_EN = "Open the vent screw by one turn and wait until water without bubbles comes out of the hose."
GOLD_ZH = "先断开电源并等待设备冷却，然后打开排水阀放空余水，加入两升除垢液静置半小时。"


def found(*texts: str) -> list[Passage]:
    return [
        Passage(
            rank=place,
            score=1 / place,
            chunk=Chunk(id=str(place), document="m.md", version=1, position=place, text=text),
        )
        for place, text in enumerate(texts, 1)
    ]


@pytest.mark.parametrize(
    ("texts", "limit", "expected"),
    [
        (["one two three", "four five"], 4, ["one two three", "four"]),
        (["one two three", "four five"], 3, ["one two three"]),
        (["one two", "three"], 9, ["one two", "three"]),
        (["don't stop v1.2-rc, please"], 3, ["don't stop v1.2-rc"]),
        (["打开阀门。Then close 它"], 5, ["打开阀门。Then"]),
        (["…", "", "one two"], 1, ["…", "", "one"]),
        (["one", "…", "two"], 1, ["one"]),
        ([], 5, []),
    ],
)
def test_words_and_chinese_characters_are_counted_up_to_the_limit(
    texts: list[str], limit: int, expected: list[str]
) -> None:
    assert first_tokens(texts, limit) == expected


@pytest.mark.parametrize("gold", [GOLD_EN, GOLD_ZH])
def test_the_share_of_a_gold_counts_what_stands_there(gold: str) -> None:
    half = len(gold) // 2
    assert held_share(gold, [gold]) == 1
    assert 0.3 < held_share(gold, [gold[:half]]) < 0.6
    assert held_share(gold, [gold[half:], "x", gold[:half]]) > 0.6
    assert held_share(gold, ["Nothing of it 没有"]) == 0
    assert held_share("", [gold]) == 0


@pytest.mark.parametrize(("gold", "filler"), [(GOLD_EN, "word "), (GOLD_ZH, "字")])
def test_a_gold_behind_the_first_thousand_tokens_is_not_held(gold: str, filler: str) -> None:
    assert context_hit([gold], [filler * 900, gold]) == 1
    assert context_hit([gold], [filler * 990, gold]) == 0
    assert context_hit([gold], [filler * 5000, gold]) == 0
    assert context_hit(["", "elsewhere, and long enough", gold], [gold]) == 1
    assert context_hit(["", "…"], [gold]) is None


def test_common_words_of_a_subject_hold_no_gold() -> None:
    near = "Open the drain valve by one turn and wait until the water comes out of the pump without noise."
    assert held_share(GOLD_EN, [near]) < 0.3


def test_the_mean_is_over_cases_whose_gold_has_a_text() -> None:
    cases = [
        Case(id="1", lang="en", question="?", gold=(Gold(doc="m.md", evidence=GOLD_EN),)),
        Case(id="2", lang="en", question="?", gold=(Gold(doc="m.md", evidence=GOLD_ZH),)),
        Case(id="3", lang="en", question="?", gold=(Gold(doc="m.md", page=1),)),
        Case(id="4", lang="zh", question="？", gold=(Gold(doc="m.md", heading="A"),)),
    ]
    scores = score_retrieval(cases, [found(GOLD_EN)] * 4)
    assert scores["en"].context_at_1k == 0.5
    assert scores["all"].context_at_1k == 0.5
    assert scores["zh"].context_at_1k is None
