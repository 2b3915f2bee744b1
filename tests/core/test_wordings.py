from __future__ import annotations

import pytest

from assistant.core.errors import InputError
from assistant.core.moments import read_moment
from assistant.core.wordings import fold_wording, particulars


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What does E07 mean?", "  what does “E07” mean "),
        ("Ｗｈａｔ is the warranty?", "What is the warranty?!"),
        ("保修期 是 多久？", "保修期是多久"),
        ("T6 显示 F03 是什么故障？", "t6显示F03是什么故障"),
        ("Why doesn't it start", "why doesnt it start."),
        ("Torque of 1.5 Nm?", "torque of 1.5 nm"),
    ],
)
def test_the_same_words_fold_to_the_same(one: str, other: str) -> None:
    assert fold_wording(one) == fold_wording(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Torque of 1.5 Nm?", "Torque of 15 Nm?"),
        ("store at -5 °C", "store at 5 °C"),
        ("HQ-1204", "HQ 1204"),
        ("20 % load", "20 load"),
        ("?", "what"),
    ],
)
def test_what_carries_meaning_is_kept(one: str, other: str) -> None:
    assert fold_wording(one) != fold_wording(other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("what is e07", "what does e07 mean", True),
        ("what is e-07", "what does e07 mean", True),
        ("what is e07", "what is e08", False),
        ("is it covered", "is it not covered", False),
        ("可以清洗吗", "不可以清洗吗", False),
        ("温度是多少", "温度多少", True),
    ],
)
def test_particulars_tell_near_questions_apart(one: str, other: str, same: bool) -> None:
    assert (particulars(fold_wording(one)) == particulars(fold_wording(other))) is same


def test_moments_are_read_in_one_form() -> None:
    assert read_moment("2027-01-31", "x") == "2027-01-31T00:00:00+00:00"
    assert read_moment("2027-01-31", "x", is_end=True) == "2027-02-01T00:00:00+00:00"
    assert read_moment("2027-01-31T12:00+02:00", "x", is_end=True) == "2027-01-31T10:00:00+00:00"
    for bad in ("soon", "2027-13-01", "9999-12-31T23:59-12:00", ""):
        with pytest.raises(InputError, match="is no time"):
            read_moment(bad, "x", is_end=True)
