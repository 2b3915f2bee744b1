from __future__ import annotations

import pytest

from assistant.core.language import detect_language
from assistant.core.sentences import numbers, split_sentences, support, terms


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Which torque does the Q7 take?", "en"),
        ("ESP32 支持 Wi-Fi 吗", "zh"),
        ("the 海沃恩 T6 oven does not start", "en"),
        ("泵嗡嗡响就是不转", "zh"),
        ("E-47", "en"),
        ("", "en"),
    ],
)
def test_language(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_sentences_keep_their_offsets() -> None:
    text = "Tighten to 3.5 bar. Then wait!\n\n水温过高。请断电；等十分钟。"
    spans = split_sentences(text)
    assert [span.text for span in spans] == [
        "Tighten to 3.5 bar.",
        "Then wait!",
        "水温过高。",
        "请断电；",
        "等十分钟。",
    ]
    assert all(text[span.start : span.end] == span.text for span in spans)


def test_terms_of_both_languages() -> None:
    assert terms("The E-47 fault of the Q7") == {"e-47", "fault", "q7"}
    assert terms("更换门封条") == {"更换", "换门", "门封", "封条"}


def test_a_wrong_number_is_hardly_supported() -> None:
    passage = "Motor flange bolts: tighten to 48 Nm on the Q7."
    assert support("Tighten the motor flange bolts of the Q7 to 48 Nm.", passage) > 0.9
    assert support("Tighten the motor flange bolts of the Q7 to 84 Nm.", passage) < 0.8
    assert support("", passage) == 0.0
    assert numbers("1,850 rpm at 62 %") == {"1850", "62"}


def test_a_temperature_below_zero_is_a_number_and_a_code_is_none() -> None:
    assert numbers("-20 °C") == numbers("−20 °C") == numbers("－20 ℃") == {"20"}
    assert numbers("E-47 and HQ-1204") == set()
    assert support("At -20 °C the pump stops.", "At −20 °C the pump stops.") == 1.0
