from __future__ import annotations

import pytest

from eval.normalisation import answer_tokens, gram_length, grams, squeeze, tokens


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("48 Nm", "48Nm"),
        ("48 N·m", "４８ Ｎｍ"),
        ("1,250 rpm", "1250 rpm"),
        ("1\u00a0250 rpm", "1250rpm"),
        ("EUR 46.70, 132.00.", "EUR 46.7, 132"),
        ("E-05", "E05"),
        ("M8 × 40", "M8x40"),
        ("3–5 min", "3-5 min"),
        ("3～5分钟", "3 - 5 分钟"),
        ("−5 °C", "-5℃"),
        ("关闭阀门，然后断电。", "关闭阀门然后断电"),
        ("Drain the filters [1][2, 3].", "drain the filter"),
        ("温度为 90 度【1】", "温度为90度"),
    ],
)
def test_spellings_of_one_thing_have_the_same_tokens(one: str, other: str) -> None:
    assert tokens(one) == tokens(other) != []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("48.5 and 10:30", ["48.5", "and", "10:30"]),
        ("故障E05：48 Nm", ["故", "障", "e05", "48", "nm"]),
        ("步骤3：5分钟", ["步", "骤", "3", "5", "分", "钟"]),
        ("3.4.0 and 10.0.0.1, 100, 1.05", ["3.4.0", "and", "10.0.0.1", "100", "1.05"]),
        ("1,234,567 but 2024,100", ["1234567", "but", "2024", "100"]),
        ("20%、３０％", ["20", "%", "30", "%"]),
        ("press the gas", ["press", "the", "gas"]),
        ("", []),
        ("—…？！", []),
    ],
)
def test_tokens_of_numbers_codes_and_chinese(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_articles_do_not_count_in_whole_answers() -> None:
    assert answer_tokens("The pump is a Q7") == ["pump", "is", "q7"]


def test_squeezed_text_survives_markdown_tables_and_line_breaks() -> None:
    assert squeeze("See `http_get` at https://example.org/a(b), <b>tight-\nened</b> | 48") == squeeze(
        "see http_get at , tightened 48"
    )
    assert squeeze("below 5 < 6 bar > 3") == "below56bar3"


def test_grams_are_shorter_for_chinese_and_whole_for_short_texts() -> None:
    assert gram_length(squeeze("电机法兰螺栓48Nm")) == 3
    assert gram_length(squeeze("Motor flange bolts")) == 5
    assert grams("abcdef", 5) == {"abcde": 1, "bcdef": 1}
    assert grams("ab", 5) == {"ab": 1}
    assert grams("", 5) == {}
