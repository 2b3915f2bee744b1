"""Codes of few digits, and codes set apart from their number."""

from __future__ import annotations

import pytest

from indexing.codes import build_codes

SHORT = {
    "err": [
        "Err 12: Battery empty.",
        "Err 13: Door open.",
        "- Err 14: Motor blocked.",
        "Lamps\nErr 15 | Sensor",
    ],
    "zh": ["故障12：电机过载。", "故障代码 13：门未关好。", "报警14：传感器断线。", "故障１５：风扇不转。"],
    "cells": [
        "Code: 12 · Meaning: Hot",
        "Code: 13 · Meaning: Open",
        "Code: 14 · Meaning: Cold",
        "代码: 15 · 含义: 湿",
    ],
}


@pytest.mark.parametrize("texts", SHORT.values(), ids=SHORT)
@pytest.mark.parametrize(
    ("question", "known", "unknown"),
    [
        ("What does error 12 mean?", {0}, []),
        ("the display says Err12", {0}, []),
        ("ERR-13?", {1}, []),
        ("故障14怎么办", {2}, []),
        ("报警代码：15", {3}, []),
        ("error 99?", set(), ["99"]),
        ("显示故障代码９９", set(), ["99"]),
        ("the error came after 99 hours", set(), []),
        ("error 99 times a day", set(), []),
        ("故障 99 次了", set(), []),
        ("There are 12 errors", set(), []),
        ("warning 12 V", set(), []),
    ],
)
def test_few_digits_are_a_code_behind_what_calls_them_one(
    texts: list[str], question: str, known: set[int], unknown: list[str]
) -> None:
    codes = build_codes((number, "", text) for number, text in enumerate(texts))
    assert set(codes.chunks_of(codes.known(question))) == known
    assert [row.code for row in codes.unknown(question)] == unknown


def test_few_digits_are_none_where_documents_only_mention_them() -> None:
    codes = build_codes([(1, "", "It answers with error 404, error 500 or error 503.")])
    assert codes.known("error 404") == []
    assert codes.unknown("error 502") == ()


@pytest.mark.parametrize(
    ("question", "known", "unknown"),
    [
        ("E38?", {0}, []),
        ("显示 E 39", {1}, []),
        ("error E 77", set(), ["E 77"]),
        ("E 77 V are measured", set(), []),
    ],
)
def test_codes_set_apart_from_their_number_are_codes(
    question: str, known: set[int], unknown: list[str]
) -> None:
    texts = [
        "E 38 Heater failure",
        "E 39: 水泵故障",
        "- E 40 Fan fault",
        "A 12 V supply, USB 30, error EN 501",
    ]
    codes = build_codes((number, "", text) for number, text in enumerate(texts))
    assert set(codes.chunks_of(codes.known(question))) == known
    assert [row.code for row in codes.unknown(question)] == unknown
    assert set(codes.entries) == {"E38", "E39", "E40"}


@pytest.mark.parametrize(
    ("question", "unknown"),
    [
        ("error 0x8099", ["0x8099"]),
        ("显示0x8099", ["0x8099"]),
        ("write 1 to 0x8099", []),
        ("error 0x800A", []),
    ],
)
def test_a_hexadecimal_code_is_unknown_where_it_is_called_a_code(question: str, unknown: list[str]) -> None:
    codes = build_codes([(1, "", "Error 0x8007, error 0x8008 and error 0x800A.")])
    found = codes.unknown(question)
    assert [row.code for row in found] == unknown
    assert all(row.nearest[0] == "0x800A" for row in found)
