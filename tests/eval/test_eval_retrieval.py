from __future__ import annotations

import math
import random
import time

import pytest

from assistant.core.records import Case, Chunk, Gold, Passage
from eval.ranking_metrics import hit_at_k, mrr, ndcg, recall_at_k
from eval.retrieval import first_ranks, holds_evidence, is_right, is_same_document, score_retrieval

LONG_EN = (
    "To bleed the circuit, stop the pump, open the vent screw by one turn and wait until water without "
    "bubbles comes out. Then close the screw and start the pump at its lowest stage for ten minutes."
)
LONG_ZH = (
    "清洗蒸汽发生器时，先断开电源并等待设备冷却，然后打开排水阀放空余水，加入两升除垢液静置半小时，"
    "最后用清水冲洗三遍，直到排出的水没有泡沫为止，再关闭排水阀并恢复供电。运行一次空载程序后方可使用。"
)


def chunk(
    text: str, document: str = "m.pdf", page: int | None = None, heading: tuple[str, ...] = ()
) -> Chunk:
    return Chunk(
        id=f"{document}:{text[:40]}",
        document=document,
        version=1,
        position=0,
        text=text,
        heading_path=heading,
        page=page,
    )


def passages(*chunks: Chunk) -> list[Passage]:
    return [Passage(rank=place, score=1 / place, chunk=found) for place, found in enumerate(chunks, 1)]


@pytest.mark.parametrize(
    ("gold", "document", "expected"),
    [
        ("en/a/b.md", "en/a/b.md", True),
        ("en/a/b.md", "a/b.md", True),
        ("en/a/b.md", "docs/en/a/b.md", True),
        ("./en\\a\\b.md", "en/a/b.md", True),
        ("en/a/b.md", "zh/a/b.md", False),
        ("b.md", "ab.md", False),
        ("a/b.md", "a/b.md/c.md", False),
        ("xq-01", "xq-01.txt", True),
        ("xq-01", "xq-011.txt", False),
        ("手册/说明.pdf", "说明.pdf", True),
        ("cafe\u0301.md", "caf\u00e9.md", True),
        ("", "a.md", False),
    ],
)
def test_documents_match_by_the_end_of_their_paths(gold: str, document: str, *, expected: bool) -> None:
    assert is_same_document(gold, document) is expected


@pytest.mark.parametrize(
    ("evidence", "text", "expected"),
    [
        (LONG_EN, "Bleeding\n" + LONG_EN + " Read on.", True),
        (LONG_EN, LONG_EN[:110], True),
        (LONG_EN, LONG_EN[110:], True),
        (LONG_EN, "Something else. " * 10 + LONG_EN[:40], False),
        (LONG_EN, "open the vent screw", False),
        (LONG_EN, "Store the pump in a dry place and turn the shaft by hand once a month.", False),
        (LONG_ZH, LONG_ZH[:60], True),
        (LONG_ZH, LONG_ZH[60:], True),
        (
            LONG_ZH,
            "设备应放置在通风干燥处，距离墙面不少于十厘米，安装完成后须由专业人员检查接地是否可靠。",
            False,
        ),
        ("Motor flange bolts | 48 Nm", "Part: Motor flange bolts; Torque: 48 Nm", True),
        ("Motor flange bolts | 48 Nm", "Motor flange bolts | 55 Nm", False),
        ("Motor flange bolts | 48 Nm", "Motor flange bolts | 148 Nm", False),
        ("电机法兰螺栓 | 48 Nm", "部件：电机法兰螺栓；扭矩：48 Nm", True),
        ("电机法兰螺栓 | 48 Nm", "电机法兰螺栓 | 55 Nm", False),
        ("QP-4417 | Sensor | 132", "Part number: QP-4417 · Name: Sensor · Price (EUR): 132.00", True),
        ("QP-4417 | Sensor | 132", "Part number: QP-4417 · Name: Sensor · Price (EUR): 232.00", False),
        ("E05 | overheated", "Code: E05, meaning: overheated", True),
        ("It is `tight-\nened`.", "it is tightened", True),
        ("48", "148 | 480", True),
        ("", "anything", False),
        ("…", "anything", False),
        ("anything", "", False),
    ],
)
def test_what_counts_as_holding_the_evidence(evidence: str, text: str, *, expected: bool) -> None:
    assert holds_evidence(evidence, text) is expected


def test_a_gold_is_met_by_evidence_else_page_else_heading_else_document() -> None:
    found = chunk("Open the vent screw.", page=4, heading=("3 Care", "3.1 Bleeding"))
    assert is_right(Gold(doc="m.pdf", evidence="open the vent screw", page=9), found)
    assert not is_right(Gold(doc="m.pdf", evidence="close the lid firmly", page=4), found)
    assert not is_right(Gold(doc="n.pdf", evidence="open the vent screw"), found)
    assert is_right(Gold(doc="m.pdf", evidence="3.1 bleeding"), found)
    assert is_right(Gold(doc="m.pdf", page=4), found)
    assert not is_right(Gold(doc="m.pdf", page=5, heading="3.1 Bleeding"), found)
    assert is_right(Gold(doc="m.pdf", heading="3.1  bleeding"), found)
    assert is_right(Gold(doc="m.pdf", heading="Open the vent"), found)
    assert not is_right(Gold(doc="m.pdf", heading="3.2 Storage"), found)
    assert is_right(Gold(doc="m.pdf"), found)


def test_scores_of_one_case_worked_out_by_hand() -> None:
    case = Case(id="a", lang="en", question="?", gold=(Gold(doc="a.md"), Gold(doc="b.md"), Gold(doc="c.md")))
    found = passages(*(chunk("x", name) for name in ("x.md", "b.md", "b.md", "y.md", "z.md", "a.md")))
    ranks = first_ranks(case, found)
    assert ranks == [6, 2, None]
    assert [hit_at_k(ranks, k) for k in (1, 2, 5)] == [0, 1, 1]
    assert recall_at_k(ranks, 5) == pytest.approx(1 / 3)
    assert recall_at_k(ranks, 6) == pytest.approx(2 / 3)
    assert mrr(ranks) == 0.5
    assert ndcg(ranks) == pytest.approx((1 / math.log2(3) + 1 / math.log2(7)) / (1 + 1 / math.log2(3) + 0.5))
    assert [mrr([11]), ndcg([11]), ndcg([]), recall_at_k([], 5), hit_at_k([], 5)] == [0, 0, 0, 0, 0]
    assert ndcg([1, 1]) == 1


def test_scores_agree_with_the_plain_definitions_on_random_rankings() -> None:
    random_ = random.Random(3)
    for _ in range(300):
        names = [f"d{n}.md" for n in range(15)]
        ranking = random_.sample(names, 12)
        gold = random_.sample(names, random_.randint(1, 4))
        case = Case(id="a", lang="en", question="?", gold=tuple(Gold(doc=name) for name in gold))
        ranks = first_ranks(case, passages(*(chunk("x", name) for name in ranking)))
        gains = [float(name in gold) for name in ranking[:10]]
        ideal = sorted([1.0] * len(gold) + [0.0] * 10, reverse=True)[:10]

        def discounted(values: list[float]) -> float:
            return sum(value / math.log2(place + 2) for place, value in enumerate(values))

        assert ndcg(ranks) == pytest.approx(discounted(gains) / discounted(ideal))
        assert mrr(ranks) == pytest.approx(max(gain / (place + 1) for place, gain in enumerate(gains)))
        for k in (1, 5, 10):
            assert hit_at_k(ranks, k) == float(bool(set(ranking[:k]) & set(gold)))
            assert recall_at_k(ranks, k) == pytest.approx(len(set(ranking[:k]) & set(gold)) / len(gold))


def test_means_by_language_leave_cases_without_gold_out() -> None:
    cases = [
        Case(id="1", lang="en", question="?", gold=(Gold(doc="a.md"),)),
        Case(id="2", lang="zh", question="？", gold=(Gold(doc="a.md"),)),
        Case(id="3", lang="zh", question="？", answerable=False),
    ]
    found = [passages(chunk("x", "a.md")), passages(chunk("x", "b.md"), chunk("x", "a.md")), []]
    scores = score_retrieval(cases, found)
    assert list(scores) == ["all", "en", "zh"]
    assert (scores["all"].case_count, scores["all"].hit_at_1, scores["all"].mrr_at_10) == (2, 0.5, 0.75)
    assert (scores["zh"].case_count, scores["zh"].hit_at_1, scores["zh"].hit_at_5) == (1, 0.0, 1.0)


def test_thirty_thousand_questions_are_scored_in_seconds() -> None:
    chunks = [chunk(f"{n} {LONG_EN} {LONG_ZH}", f"d{n % 50}.md") for n in range(1000)]
    cases = [
        Case(id=str(n), lang="en", question="?", gold=(Gold(doc=f"d{n % 50}.md", evidence=LONG_EN[:80]),))
        for n in range(30_000)
    ]
    found = [passages(*chunks[n % 900 : n % 900 + 10]) for n in range(1000)]
    began = time.process_time()
    scores = score_retrieval(cases, [found[n % 1000] for n in range(30_000)])
    assert scores["all"].case_count == 30_000
    assert time.process_time() - began < 12


def test_graded_ndcg_weighs_the_golds_and_the_plain_one_does_not() -> None:
    golds = (Gold(doc="a.md", grade=3), Gold(doc="b.md"))
    case = Case(id="a", lang="en", question="?", gold=golds)
    first = score_retrieval([case], [passages(chunk("x", "a.md"), chunk("y", "b.md"))])["all"]
    second = score_retrieval([case], [passages(chunk("y", "b.md"), chunk("x", "a.md"))])["all"]
    assert first.ndcg_at_10 == second.ndcg_at_10 == first.graded_ndcg_at_10 == 1
    turned = 1 + 3 / math.log2(3)
    assert second.graded_ndcg_at_10 == pytest.approx(turned / (3 + 1 / math.log2(3)))
