from __future__ import annotations

import pytest

from indexing.analysis import analyze


@pytest.mark.parametrize(
    ("query", "document"),
    [
        ("HQ1204", "spare part HQ-1204, seal"),
        ("hq-1204", "备件 HQ1204 密封圈"),
        ("1204", "HQ-1204"),
        ("E-47", "故障代码E47：风扇"),
        ("Ｅ－４７", "code E-47"),
        ("esp32-s3", "The ESP32-S3 has USB"),
        ("wifi", "Wi-Fi"),
        ("replacing pumps", "replace the pump"),
        ("5 mm", "a gap of 5mm"),
        ("风扇", "请检查散热风扇是否堵塞"),
        ("蓝牙", "ESP32蓝牙双模"),
    ],
)
def test_a_query_meets_the_document(query: str, document: str) -> None:
    assert set(analyze(query)) & set(analyze(document))


def test_a_code_is_kept_whole_and_split() -> None:
    assert {"hq1204", "hq", "1204"} <= set(analyze("HQ-1204"))
    assert "e47" not in analyze("E-48")


def test_terms_hold_no_space_and_marks_are_no_terms() -> None:
    terms = analyze("a (b) 《手册》　第3章 +foo:bar* \t ~2^3 \x00")
    assert all(term and not term.split(" ")[1:] for term in terms)
    assert not {"(", "》", "*", "^"} & set(terms)


def test_an_endless_word_makes_no_endless_term() -> None:
    assert analyze("x" * 100_000) == []
