from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from assistant.answering.pipeline import Pipeline
from assistant.core.errors import InputError
from assistant.core.progress import NoProgress
from assistant.core.records import Answer, Case
from assistant.engine.protocol import Completion, GenerationRequest
from assistant.engine.scripted import ScriptedEngine
from eval.fingerprints import Fingerprint
from eval.stability import (
    STABILITY_FILE,
    StabilityPlan,
    Variant,
    case_stability,
    claim_agreement,
    run_stability,
    stability_lines,
    variants,
)

Opener = Callable[..., Pipeline]
PRINT = Fingerprint(engine="e", index="i", adapter="a")
PLAN = StabilityPlan(wordings=2, seeds=2, orders=2)


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
    ("one", "other", "expected"),
    [
        ("Tighten the bolts to 48 Nm [1].", "Tighten the bolts to 48 Nm [2].", 1),
        ("Tighten the bolts to 48 Nm.", "Tighten the bolts to 84 Nm.", 0),
        # every claim of the first stands in the second, one of two the other way round
        ("Tighten the bolts to 48 Nm.", "Tighten the bolts to 48 Nm. The warranty lasts two years.", 0.75),
        ("拧紧力矩为 48 牛米。", "拧紧力矩是 48 牛米。", 1),
        ("拧紧力矩为 48 牛米。", "保修期为两年。", 0),
        ("Yes.", "Yes.", 1),
        ("Yes.", "No.", 0),
        ("", "", 1),
    ],
)
def test_answers_agree_as_far_as_they_claim_the_same(one: str, other: str, expected: float) -> None:
    assert claim_agreement(answer(one), answer(other)) == expected
    assert claim_agreement(answer(other), answer(one)) == expected


def test_an_abstention_agrees_with_an_abstention_only() -> None:
    silent, other = (
        answer("Not covered.", abstained=True),
        answer("No such thing stands there.", abstained=True),
    )
    assert claim_agreement(silent, other) == 1
    assert claim_agreement(silent, answer("48 Nm")) == 0


def test_each_factor_is_judged_by_pairs_that_differ_in_nothing_else(suite: tuple[Case, ...]) -> None:
    right, wrong = answer("Tighten to 48 Nm."), answer("Tighten to 20 Nm.")
    asked = [
        (Variant(wording=0, seed=0, order=0), right),
        (Variant(wording=1, seed=0, order=0), right),
        (Variant(wording=0, seed=1, order=0), right),
        (Variant(wording=0, seed=0, order=1), wrong),
    ]
    row = case_stability(suite[0], asked)
    assert row.by_factor == {"order": 0, "seed": 1, "wording": 1}
    assert case_stability(suite[0], [*asked, (Variant(wording=0, seed=1, order=1), right)]).by_factor == {
        "order": 0,
        # with order 1 the seeds disagree; what order 1 changes is told of the greedy answers only
        "seed": 0.5,
        "wording": 1,
    }
    # 3 of 6 pairs agree; the answer with the other order is wrong
    assert (row.agreement, row.flips, row.score) == (0.5, 0.25, 0.75)
    assert set(row.least) == {right.text, wrong.text}


def test_a_case_without_paraphrases_or_an_arm_without_documents_has_less_to_vary(
    suite: tuple[Case, ...],
) -> None:
    case = msgspec.structs.replace(suite[0], paraphrases=("How much torque for the Q7?",))
    assert len(variants(case, PLAN, "rag")) == 8
    assert len(variants(case, PLAN, "ft")) == 4
    assert len(variants(suite[0], PLAN, "rag")) == 4
    assert variants(case, PLAN, "rag")[0] == Variant(wording=0, seed=0, order=0)


class Listening(ScriptedEngine):
    """Notes what it was asked; with ``is_moody`` the order of the context decides what it says."""

    def __init__(self, *, is_moody: bool = False) -> None:
        super().__init__()
        self.asked: list[GenerationRequest] = []
        self.is_moody = is_moody

    def complete(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        self.asked += requests
        done = super().complete(requests)
        if not self.is_moody:
            return done
        return [
            msgspec.structs.replace(one, text="拧紧 48 Nm。")
            if request.messages[0].content.index("Q7") > request.messages[0].content.index("除垢液")
            else one
            for one, request in zip(done, requests, strict=True)
        ]


def listening(open_scripted: Opener, *, is_moody: bool = False) -> tuple[Pipeline, Listening]:
    pipeline, engine = open_scripted(), Listening(is_moody=is_moody)
    pipeline.engine = engine
    return pipeline, engine


def test_wordings_seeds_and_orders_reach_the_engine_and_are_kept(
    open_scripted: Opener, suite: tuple[Case, ...], tmp_path: Path
) -> None:
    case = msgspec.structs.replace(suite[0], paraphrases=("What torque do the flange bolts of the Q7 need?",))
    pipeline, engine = listening(open_scripted)
    plan = StabilityPlan(wordings=2, seeds=2, orders=4)
    result = run_stability(pipeline, [case, suite[1]], "rag", plan, tmp_path, PRINT, NoProgress())
    assert result.answer_count == 16 + 8
    assert {(request.seed, request.temperature) for request in engine.asked} == {(None, 0.0), (1, 0.7)}
    questions = {request.messages[-1].content for request in engine.asked}
    assert questions == {case.question, case.paraphrases[0], suite[1].question}
    orders = {
        request.messages[0].content.index("除垢液") > request.messages[0].content.index("48 Nm")
        for request in engine.asked
    }
    assert orders == {True, False}
    assert result.agreement.mean == 1
    assert (result.flips, set(result.by_language)) == (0, {"en", "zh"})
    again, silent = listening(open_scripted)
    assert run_stability(again, [case, suite[1]], "rag", plan, tmp_path, PRINT, NoProgress()) == result
    assert silent.asked == []
    assert len((tmp_path / STABILITY_FILE).read_bytes().splitlines()) == 24


def test_an_engine_that_leans_on_the_order_is_found_out(
    open_scripted: Opener, suite: tuple[Case, ...], tmp_path: Path
) -> None:
    pipeline, _ = listening(open_scripted, is_moody=True)
    plan = StabilityPlan(wordings=1, seeds=2, orders=6)
    result = run_stability(pipeline, [suite[1]], "rag", plan, tmp_path, PRINT, NoProgress())
    assert result.by_factor["seed"].mean == 1
    assert result.by_factor["order"].mean < 1
    assert result.undefined == {"wording": "one wording only"}
    assert [row.case_id for row in result.cases] == ["zh-1"]


def test_greedy_answers_have_no_seed_to_vary(
    open_scripted: Opener, suite: tuple[Case, ...], tmp_path: Path
) -> None:
    pipeline, engine = listening(open_scripted)
    plan = StabilityPlan(wordings=2, seeds=1, orders=2)
    result = run_stability(pipeline, suite, "rag", plan, tmp_path, PRINT, NoProgress())
    assert {(request.temperature, request.seed) for request in engine.asked} == {(0.0, None)}
    assert result.undefined == {
        "wording": "no case has paraphrases",
        "seed": "one seed only: the engine is greedy",
    }
    lines = stability_lines(result)
    assert lines[0].startswith("stability of rag: agreement 1.00 [1.00, 1.00] over 3 questions, 6 answers")
    assert "seed – (one seed only: the engine is greedy)" in lines[1]


@pytest.mark.parametrize(("wordings", "seeds", "orders"), [(1, 1, 1), (0, 2, 2), (2, 0, 1)])
def test_a_plan_that_varies_nothing_is_refused(
    open_scripted: Opener, suite: tuple[Case, ...], tmp_path: Path, wordings: int, seeds: int, orders: int
) -> None:
    plan = StabilityPlan(wordings=wordings, seeds=seeds, orders=orders)
    with pytest.raises(InputError, match="stability needs"):
        run_stability(open_scripted(), suite, "rag", plan, tmp_path, PRINT, NoProgress())
