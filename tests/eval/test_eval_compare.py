from __future__ import annotations

import random
import statistics

import pytest

from eval.compare import mean_intervals, paired_difference, ratio_differences, ratio_intervals


def test_the_interval_agrees_with_a_plain_bootstrap() -> None:
    source = random.Random(1)
    ours = [float(source.random() < 0.7) for _ in range(60)]
    theirs = [float(source.random() < 0.4) for _ in range(60)]
    gaps = [a - b for a, b in zip(ours, theirs, strict=True)]
    means = sorted(statistics.fmean(source.choices(gaps, k=60)) for _ in range(4000))
    found = paired_difference(ours, theirs, samples=4000, seed=7)
    assert found.mean == pytest.approx(statistics.fmean(gaps))
    assert found.low == pytest.approx(means[100], abs=0.02)
    assert found.high == pytest.approx(means[3900], abs=0.02)
    assert found.case_count == 60
    assert found.is_clear


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    scores = [n / 7 for n in range(8)] * 4
    others = scores[::-1][:16] + scores[:16]
    first, again, other = (paired_difference(scores, others, samples=500, seed=seed) for seed in (7, 7, 8))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_pairing_sees_what_two_separate_intervals_would_not() -> None:
    theirs = [0.0, 0.2, 0.4, 0.6, 0.8] * 8
    ours = [score + 0.1 for score in theirs]
    difference = paired_difference(ours, theirs, samples=500, seed=7)
    a, b = mean_intervals([ours, theirs], samples=500, seed=7)
    assert difference.low == pytest.approx(0.1)
    assert difference.is_clear
    assert a.low < b.high


@pytest.mark.parametrize(("value", "count"), [(0.0, 1), (1.0, 1), (0.5, 40), (1.0, 20_000)])
def test_equal_scores_have_an_interval_of_no_width(value: float, count: int) -> None:
    (interval,) = mean_intervals([[value] * count], samples=200, seed=7)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((value, value, value))
    assert not paired_difference([value] * count, [value] * count, samples=200, seed=7).is_clear


def test_large_suites_get_the_interval_that_the_bootstrap_converges_to() -> None:
    source = random.Random(2)
    scores = [float(source.random() < 0.3) for _ in range(5001)]
    (normal,) = mean_intervals([scores], samples=2000, seed=7)
    (resampled,) = mean_intervals([scores[:5000]], samples=2000, seed=7)
    assert normal.low == pytest.approx(resampled.low, abs=0.002)
    assert normal.high == pytest.approx(resampled.high, abs=0.002)
    assert normal.low != resampled.low


def f1_parts(source: random.Random, count: int, share: float) -> list[tuple[float, float]]:
    """Return what cases add to an F1: hits twice above; what is wanted and what is found below."""
    rows = []
    for _ in range(count):
        is_wanted, is_found = source.random() < 0.4, source.random() < share
        rows.append((2.0 * (is_wanted and is_found), float(is_wanted) + float(is_found)))
    return rows


def ratio(rows: list[tuple[float, float]]) -> float:
    return sum(above for above, _ in rows) / sum(below for _, below in rows)


def test_the_interval_of_a_ratio_agrees_with_a_plain_bootstrap() -> None:
    source = random.Random(4)
    ours, theirs = f1_parts(source, 80, 0.6), f1_parts(source, 80, 0.3)
    places = [source.choices(range(80), k=80) for _ in range(4000)]
    ratios = sorted(ratio([ours[n] for n in own]) for own in places)
    gaps = sorted(ratio([ours[n] for n in own]) - ratio([theirs[n] for n in own]) for own in places)
    (found,) = ratio_intervals([ours], samples=4000, seed=7)
    (gap,) = ratio_differences([(ours, theirs)], samples=4000, seed=7)
    assert found is not None
    assert gap is not None
    assert found.mean == pytest.approx(ratio(ours))
    assert (found.low, found.high) == pytest.approx((ratios[100], ratios[3900]), abs=0.02)
    assert gap.mean == pytest.approx(ratio(ours) - ratio(theirs))
    assert (gap.low, gap.high) == pytest.approx((gaps[100], gaps[3900]), abs=0.02)
    assert found.case_count == sum(below > 0 for _, below in ours)


def test_what_is_undefined_has_no_interval_and_never_nan() -> None:
    nothing = [(0.0, 0.0)] * 12
    # most resamples miss the only case that it concerns
    rare = [(1.0, 1.0), *[(0.0, 0.0)] * 11]
    found, other = ratio_intervals([nothing, rare], samples=300, seed=7)
    assert found is None
    assert other is not None
    assert (other.mean, other.low, other.high, other.case_count) == (1, 1, 1, 1)
    assert ratio_differences([(rare, nothing), (nothing, rare)], samples=300, seed=7) == [None, None]
    assert ratio_intervals([], samples=300, seed=7) == []


def test_the_normal_interval_of_a_ratio_is_what_the_bootstrap_converges_to() -> None:
    source = random.Random(5)
    ours, theirs = f1_parts(source, 5001, 0.6), f1_parts(source, 5001, 0.5)
    (normal,) = ratio_differences([(ours, theirs)], samples=2000, seed=7)
    (resampled,) = ratio_differences([(ours[:5000], theirs[:5000])], samples=2000, seed=7)
    assert normal is not None
    assert resampled is not None
    assert (normal.low, normal.high) == pytest.approx((resampled.low, resampled.high), abs=0.002)
