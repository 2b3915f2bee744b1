from __future__ import annotations

import math
import random

import msgspec
import pytest

from assistant.core.records import Answer, Case, Chunk, Citation, Passage
from eval.calibration import aurc, calibrate, expected_calibration_error, risk_coverage, signals
from eval.citations import CitationCounts
from eval.runner import Outcome


def made(place: int, *, lead: float, is_cited: bool, score: float, abstained: bool = False) -> Outcome:
    chunks = [Chunk(id=f"c{n}", document="m.md", version=1, position=n, text="text") for n in range(2)]
    citation = Citation(
        number=1,
        document="m.md",
        version=1,
        page=None,
        quote="text",
        heading_path=(),
        chunk_id="c0" if is_cited else "c1",
        start=0,
        end=4,
    )
    case = Case(
        id=str(place), lang="zh" if place % 2 else "en", question=f"{place}?", answerable=place % 5 != 0
    )
    answer = Answer(
        id=f"ans-{place}",
        question=case.question,
        text="text",
        abstained=abstained,
        citations=(citation,),
        passages=(
            Passage(rank=1, score=0.5 + lead, chunk=chunks[0], dense=0.8),
            Passage(rank=2, score=0.5, chunk=chunks[1], dense=0.9),
        ),
        arm="rag",
        language=case.lang,
        timings={},
    )
    counts = CitationCounts(cited=1, verbatim=1, right=0)
    return Outcome(case=case, answer=answer, seconds=1, score=score, citations=counts)


def told_apart(count: int, seed: int = 1) -> list[Outcome]:
    """Return outcomes of which those with a lead and the right citation are right nine times in ten."""
    source = random.Random(seed)
    rows = []
    for place in range(count):
        is_sure = source.random() < 0.5
        score = float(source.random() < (0.9 if is_sure else 0.2))
        lead = source.uniform(0.2, 0.4) if is_sure else source.uniform(0.0, 0.2)
        rows.append(made(place, lead=lead, is_cited=is_sure, score=score, abstained=source.random() < 0.1))
    return rows


def test_risk_and_coverage_worked_out_by_hand() -> None:
    points = risk_coverage([0.9, 0.5, 0.9, 0.1], [1.0, 0.0, 0.5, 0.0], case_count=5)
    assert [(p.coverage, p.risk, p.threshold) for p in points] == [
        (2 / 5, 0.25, 0.9),
        (3 / 5, pytest.approx(0.5), 0.5),
        (4 / 5, pytest.approx(2.5 / 4), 0.1),
    ]


def test_aurc_is_the_mean_of_the_risks_and_least_for_the_right_order() -> None:
    # losses 0, 0, 1, 1: risks 0, 0, 1/3, 1/2
    assert aurc([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0]) == pytest.approx((1 / 3 + 1 / 2) / 4)
    # the other way round: risks 1, 1, 2/3, 1/2
    assert aurc([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0]) == pytest.approx((2 + 2 / 3 + 1 / 2) / 4)
    # one confidence for all: the mean loss, whatever the order
    assert aurc([0.5] * 4, [1, 0, 1, 0]) == aurc([0.5] * 4, [0, 1, 0, 1]) == pytest.approx(0.5)


def test_the_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    # bin .9: mean confidence .95, score 1/2; bin .1: confidence .1, score 0
    assert expected_calibration_error([0.92, 0.98, 0.1], [1, 0, 0]) == pytest.approx(
        (2 * abs(0.95 - 0.5) + 1 * 0.1) / 3
    )
    assert expected_calibration_error([1.0, 0.0], [1, 0]) == 0


def test_signals_are_seen_in_answers_from_passages_only() -> None:
    row = made(1, lead=0.25, is_cited=True, score=1).answer
    route = msgspec.structs.replace(row.route, evidence=0.4)
    row = msgspec.structs.replace(row, route=route, question="Why does the Bluetooth bracket rattle?")
    assert signals(row) == pytest.approx((0.25, 1.0, 0.9, 0.4, 1.0))
    uncited = msgspec.structs.replace(row, citations=(), question="Why?")
    assert signals(uncited) == pytest.approx((0.25, 0.0, 0.9, 0.4, 1.0))
    assert signals(msgspec.structs.replace(row, abstained=True)) is None
    assert signals(msgspec.structs.replace(row, passages=())) is None


def test_the_threshold_lowers_the_risk_on_questions_that_it_was_not_chosen_on() -> None:
    found = calibrate(told_apart(400), seed=7, target_risk=0.2).calibration
    assert found is not None
    assert found.risk_before is not None
    assert found.risk is not None
    assert found.risk < 0.3 < found.risk_before
    assert 0.3 < found.coverage < found.coverage_before
    assert found.aurc < found.risk_before - 0.1
    assert found.ece < 0.15
    assert found.case_count == 400


def test_where_the_signals_say_nothing_the_shown_risk_is_that_without_a_threshold() -> None:
    source = random.Random(3)
    gaps, orders = [], []
    for seed in range(30):
        rows = [
            made(n, lead=source.random(), is_cited=source.random() < 0.5, score=float(source.random() < 0.5))
            for n in range(60)
        ]
        found = calibrate(rows, seed=seed, target_risk=0.4).calibration
        assert found is not None
        assert found.risk_before is not None
        if found.risk is not None:
            gaps.append(found.risk_before - found.risk)
        orders.append(found.risk_before - found.aurc)
    # fitted and shown on the same questions, both would be clearly above 0
    assert abs(math.fsum(gaps) / len(gaps)) < 0.05
    assert abs(math.fsum(orders) / len(orders)) < 0.05


def test_the_same_seed_gives_the_same_halves_and_all_questions_are_shown() -> None:
    first, second, other = (calibrate(told_apart(200), seed=seed) for seed in (7, 7, 8))
    assert first == second != other
    assert first.calibration is not None
    assert other.calibration is not None
    assert first.calibration.case_count == 200
    assert first.curve[0].coverage < first.curve[-1].coverage == first.calibration.coverage_before
    # what is to be used hangs on no halves
    assert first.calibration.threshold == other.calibration.threshold
    assert first.calibration.weights == other.calibration.weights


@pytest.mark.parametrize(("score", "is_reached"), [(1.0, True), (0.0, False)])
def test_where_all_or_none_are_right_the_threshold_lets_all_or_none_through(
    score: float, *, is_reached: bool
) -> None:
    rows = [made(n, lead=0.01 * n, is_cited=n % 2 == 0, score=score) for n in range(60)]
    found = calibrate(rows, seed=7).calibration
    assert found is not None
    assert found.coverage == float(is_reached)
    assert found.risk == (0 if is_reached else None)


def test_too_few_answers_are_said_to_be_too_few() -> None:
    found = calibrate(told_apart(12), seed=7)
    assert found.calibration is None
    assert found.curve == ()
    assert "fewer than 10 answers" in found.undefined
