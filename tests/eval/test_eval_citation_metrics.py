"""ALCE's citation recall and precision on cases worked out by hand with its published script's rules."""

from __future__ import annotations

import pytest

from assistant.core.records import Answer, Arm, Chunk, Passage
from eval.citation_metrics import carries, citation_pairs, count_grounded, score_citations

PASSAGES = (
    "Tighten the flange bolts of the Q7 to 48 Nm.",
    "Tighten them crosswise, with a cold pump.",
    "The warranty lasts two years.",
)


def answer(
    text: str, passages: tuple[str, ...] = PASSAGES, *, arm: Arm = "rag", abstained: bool = False
) -> Answer:
    chunks = [
        Chunk(id=f"c{n}", document="m.pdf", version=1, position=n, text=row) for n, row in enumerate(passages)
    ]
    return Answer(
        id="ans-1",
        question="?",
        text=text,
        abstained=abstained,
        citations=(),
        passages=tuple(Passage(rank=n, score=1 / n, chunk=row) for n, row in enumerate(chunks, 1)),
        arm=arm,
        language="en",
        timings={},
    )


FLANGE = "Tighten the flange bolts to 48 Nm"
BOTH = "Tighten the flange bolts of the Q7 to 48 Nm crosswise with a cold pump"


@pytest.mark.parametrize(
    ("text", "recall", "precision"),
    [
        (f"{FLANGE} [1].", 1, 1),
        # the wrong passage: not recalled, and its citation is not precise
        (f"{FLANGE} [3].", 0, 0),
        # a statement without a citation is not recalled; precision looks at citations only
        (f"{FLANGE} [1]. The warranty lasts two years.", 1 / 2, 1),
        (f"{FLANGE}.", 0, 0),
        # 3 does not carry it and 1 does without it: idle
        (f"{FLANGE} [1][3].", 1, 1 / 2),
        # 2 has the words and not the number
        ("Tighten to 48 Nm [1][2].", 1, 1 / 2),
        # a citation out of range spoils its statement and is not counted
        (f"{FLANGE} [1][9]. The warranty lasts two years [3].", 1 / 2, 1),
        # three statements, one of them with a wrong citation
        (f"{FLANGE} [1]. Tighten crosswise, cold pump [3]. The warranty lasts two years [3].", 2 / 3, 2 / 3),
    ],
)
def test_recall_and_precision_worked_out_by_hand(text: str, recall: float, precision: float) -> None:
    scores = score_citations(answer(text))
    assert scores is not None
    assert (scores.recall, scores.precision) == pytest.approx((recall, precision))


def test_a_citation_that_only_helps_together_with_another_is_not_idle() -> None:
    def needs_all(premise: str, claim: str) -> bool:
        return "48 Nm" in premise and "crosswise" in premise

    scores = score_citations(answer(f"{BOTH} [1][2][3]."), needs_all)
    assert scores is not None
    # neither 1 nor 2 alone, and not without them; without 3 it still holds
    assert (scores.recall, scores.precision, scores.cited) == (1, pytest.approx(2 / 3), 3)


def test_of_one_statement_three_citations_count() -> None:
    passages = (*PASSAGES, "Nothing to do with it.", "Nor this.")
    scores = score_citations(answer(f"{FLANGE} [1][2][3][4][5].", passages))
    assert scores is not None
    assert scores.cited == 3


@pytest.mark.parametrize("text", ["", "  ", "[1]"])
def test_an_answer_without_a_statement_has_no_score(text: str) -> None:
    assert score_citations(answer(text)) is None
    assert count_grounded(answer(text)) == (0, 0)


def test_chinese_statements_are_scored_alike() -> None:
    passages = ("清洗蒸汽发生器需要两升除垢液，静置三十分钟后冲洗。", "保修期为两年。")
    scores = score_citations(answer("需要两升除垢液[1]。保修期为两年[1]。保修期为两年[2]。", passages))
    assert scores is not None
    assert (scores.recall, scores.precision) == pytest.approx((2 / 3, 2 / 3))


def test_a_claim_with_another_number_is_not_carried() -> None:
    premise = "Tighten the flange bolts of the Q7 to 48 Nm with a new gasket."
    assert carries(premise, "Tighten the flange bolts to 48 Nm.")
    assert not carries(premise, "Tighten the flange bolts of the Q7 to 84 Nm with a new gasket.")
    assert not carries(premise, "The warranty lasts two years.")


def test_grounding_is_counted_by_sentence() -> None:
    text = f"{FLANGE} [1]. Elephants like to swim in warm rivers. The warranty lasts two years [3]."
    assert count_grounded(answer(text)) == (2, 3)
    assert count_grounded(
        answer("拧紧力矩为 48 牛米。大象喜欢游泳。", ("法兰螺栓的拧紧力矩为 48 牛米。",))
    ) == (1, 2)


def test_the_pairs_are_all_that_scoring_can_ask_about() -> None:
    one = answer(f"{BOTH} [1][2][3]. {FLANGE} [1]. The warranty lasts two years. Nothing [9].")
    pairs = citation_pairs(one)
    asked: list[tuple[str, str]] = []

    def entails(premise: str, claim: str) -> bool:
        asked.append((premise, claim))
        return len(asked) % 2 == 1

    score_citations(one, entails)
    assert len(set(asked)) > 3
    assert set(asked) <= pairs
    # joint, three alone and three without one, and the other statement's own
    assert len(pairs) == 8
