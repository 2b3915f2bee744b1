from __future__ import annotations

import random
from pathlib import Path

import pytest

from assistant.core.language import Language
from assistant.core.progress import NoProgress
from assistant.core.records import Case, Chunk, ChunkKind
from assistant.core.settings_synth import TeacherSettings
from assistant.engine.scripted import ScriptedEngine
from training.cells import called_by, cell_form, told_of, with_unit
from training.decontamination import grams
from training.filtering import PairFilter
from training.pairs import Pair, load_patterns, rule_pairs, table_pairs, table_rows
from training.teacher import choose_sentences, teacher_pairs
from training.teaching import Teacher

FAULTS = (
    "Table 6: Fault codes\n"
    "Code: E-14 · Meaning: Rotor blocked · Cause: Limescale · Remedy: Clean the impeller · Reset: OK for 5 s"
)
PRICES = "Part number: QP-1109 · Name: Impeller · Model: Q7 · Price (EUR): 97.80 · Delivery (days): 3"
TORQUES = "表 3：拧紧力矩\n紧固部位: 接地端子 · T3: 2.8 N·m · T6: 4.6 N·m"
TICKET = (
    "id: R-1\nquestion: the thing just died\nresolution: E-14 means that the rotor is blocked.\ncode: E-14"
)


def chunk(text: str, kind: ChunkKind = "table", language: Language = "en") -> Chunk:
    return Chunk(id=text[:12], document="d", version=1, position=0, text=text, kind=kind, language=language)


def test_rows_are_read_without_the_caption() -> None:
    (row,) = table_rows(FAULTS)
    assert row[0] == ("Code", "E-14")
    assert row[-1] == ("Reset", "OK for 5 s")


CELLS = [
    ("Impeller", "Wear part", "no", "no"),
    ("门封条", "易损件", "是", "yes"),
    ("Rattling", "What to do", "Bleed the pump", "told"),
    ("LINK", "What it does", "Starts pairing", "told"),
    ("Rattling", "What is to be done", "Bleed the pump", "asked"),
    ("漏水", "怎么处理", "更换密封圈", "asked"),
    ("Eco", "Best suited to", "Mild days", "open"),
    ("Weight", "Q5", "9.8 kg", "model"),
    ("Motor flange bolts", "Q7", "48 Nm", "models"),
    ("Replace the seal", "Q7", "every 14,000 hours", "task"),
    ("更换轴封", "T6", "每 4000 小时", "task"),
    ("Padlock", "Meaning", "The buttons are locked", "stated"),
    ("QP-1109", "Price", "97.80 EUR", "price"),
    ("HT-2036", "供货天数", "2", "delivery"),
]


@pytest.mark.parametrize(
    ("key", "header", "value", "form"), [*CELLS, ("S-4", "Factory setting", "0.00 bar", "value")]
)
def test_a_cell_is_worded_by_its_form(key: str, header: str, value: str, form: str) -> None:
    assert cell_form(key, header, value) == form


@pytest.mark.parametrize(
    ("header", "name", "told"),
    [
        ("What it does", "LINK", 'what "LINK" does'),
        ("What you can do", "E-14", "what I can do in the case of E-14"),
        ("When to call your dealer", "Noise", 'when to call my dealer in the case of "Noise"'),
    ],
)
def test_a_header_that_is_a_clause_is_asked_for_as_people_do(header: str, name: str, told: str) -> None:
    assert told_of(header, name) == told


def test_a_key_of_one_letter_is_called_by_its_column() -> None:
    (pair,) = table_pairs(chunk("Priority: A · First answer: 4 hours"), random.Random(0), 1)
    assert "priority A" in pair.question.replace("Priority A", "priority A")
    assert pair.answer == "The first answer of priority A is 4 hours."
    assert called_by("等级", "A", "zh") == "等级A"
    assert called_by("", "A", "zh") == "A"


def test_a_unit_in_the_header_stands_behind_the_number() -> None:
    assert with_unit("Price (EUR)", "5.60") == ("Price", "5.60 EUR")
    assert with_unit("价格（元）", "142.50") == ("价格", "142.50 元")
    assert with_unit("Price (EUR)", "on request") == ("Price (EUR)", "on request")
    assert with_unit("Torque", "5") == ("Torque", "5")


@pytest.mark.parametrize(
    ("text", "language", "answer"),
    [
        ("Button: LINK · What it does: Starts pairing", "en", "LINK: Starts pairing."),
        ("Part: Impeller · Wear part: no", "en", "No, Impeller is not a wear part."),
        ("品名: 门封条 · 易损件: 否", "zh", "不是，门封条不是易损件。"),
        ("Task: Check the air filter · Q5: monthly", "en", "Check the air filter, Q5: monthly."),
        ("Mode: Eco · Best suited to: mild days", "en", "Eco is best suited to: mild days."),
        (
            "Symbol: Padlock · Meaning: The buttons are locked",
            "en",
            "Padlock, meaning: The buttons are locked.",
        ),
    ],
)
def test_answers_from_rows_are_whole_sentences(text: str, language: Language, answer: str) -> None:
    pairs = list(table_pairs(chunk(text, language=language), random.Random(0), 3))
    assert {pair.answer for pair in pairs} == {answer}


def test_a_fault_code_gives_a_pair_for_each_column_and_one_for_the_row() -> None:
    pairs = list(table_pairs(chunk(FAULTS), random.Random(0), 1))
    answers = [pair.answer for pair in pairs]
    assert "E-14 means: Rotor blocked." in answers
    assert "Remedy for E-14: Clean the impeller." in answers
    assert "E-14 is reset like this: OK for 5 s." in answers
    assert any("Limescale" in answer and "Clean the impeller" in answer for answer in answers)
    assert all("E-14" in pair.question for pair in pairs)


def test_a_part_is_asked_for_by_its_name() -> None:
    pairs = list(table_pairs(chunk(PRICES), random.Random(0), 3))
    assert any("Impeller (Q7)" in pair.question and "97.80" in pair.answer for pair in pairs)
    assert not any(pair.answer.endswith("is Q7.") for pair in pairs)
    assert "The price of the Impeller QP-1109 (Q7) is 97.80 EUR." in [pair.answer for pair in pairs]


def test_chinese_rows_with_models_as_columns() -> None:
    pairs = list(table_pairs(chunk(TORQUES, language="zh"), random.Random(0), 1))
    assert {pair.answer for pair in pairs} == {"T3的接地端子是2.8 N·m。", "T6的接地端子是4.6 N·m。"}


def test_tickets_are_pairs_as_they_are() -> None:
    (pair,) = rule_pairs([chunk(TICKET, "ticket")], seed=1)
    assert pair.question == "the thing just died"
    assert pair.answer == "E-14 means that the rotor is blocked."
    assert pair.teacher == "tickets"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_patterns_cover_the_same_kinds(language: Language) -> None:
    kinds = {pattern.kind for pattern in load_patterns(language)}
    codes = {"code", "meaning", "cause", "remedy", "reset"}
    assert kinds == codes | {*(form for *_, form in CELLS), "value"}


def _pair(question: str, answer: str, text: str = FAULTS, recipe: str = "table") -> Pair:
    return Pair(question=question, answer=answer, chunk=chunk(text), recipe=recipe)


def test_filters_say_why() -> None:
    held_out = Case(id="1", lang="en", question="What should I do when E-14 lights up on the display?")
    pair_filter = PairFilter([held_out])
    good = _pair("How do I fix E-14?", "Remedy for E-14: Clean the impeller.")
    kept = pair_filter.keep(
        [
            good,
            _pair("How do I fix E-14??", "Remedy for E-14: Clean the impeller."),
            _pair("How do I fix E-14?", "Remedy for E-14: wait 15 s."),
            _pair("E-14 怎么处理呢？", "Clean the impeller"),
            _pair("What should I do when E-14 lights up on the display, please?", "Clean the impeller."),
            _pair("Which oil does it take?", "Use the mineral oil of the second bottle.", recipe="sentence"),
        ]
    )
    assert kept == [good]
    assert dict(pair_filter.rejected) == {
        "near duplicate": 1,
        "number not in the chunk": 1,
        "question in another language": 1,
        "held-out question": 1,
        "answer not grounded": 1,
    }


def test_grams_ignore_white_space_and_case() -> None:
    assert grams("E-14 Error") == grams("e-14\terror")


def _teacher(answer: str, folder: Path) -> Teacher:
    return Teacher(lambda: ScriptedEngine([("Bleed", answer)]), TeacherSettings(), folder, NoProgress())


def test_the_teacher_words_questions_for_sentences_that_stand_in_the_text(tmp_path: Path) -> None:
    text = "Bleed the pump after filling it with at least 1.3 bar.\n\n排气后压力应保持在 1.3 bar 以上。"
    source = chunk(text, "text")
    chosen = choose_sentences([source, chunk(FAULTS)], 5, seed=1)
    assert [sentence for _, sentence in chosen] == ["Bleed the pump after filling it with at least 1.3 bar."]
    (pair,) = teacher_pairs(chosen, _teacher("Question: When is the pump bled?\nmore", tmp_path / "a"))
    assert (pair.question, pair.answer) == ("When is the pump bled?", chosen[0][1])
    useless = _teacher("I cannot do that.", tmp_path / "b")
    assert teacher_pairs(chosen, useless) == []
    assert useless.counts["no question"] == 1


def test_a_row_of_several_with_its_key_gives_no_single_answer() -> None:
    parts = (
        "型号: M3 · 配件: 滤芯 · 价格: 68 · 保修: 12 个月\n型号: M3 · 配件: 密封圈 · 价格: 12 · 保修: 12 个月"
    )
    pairs = list(table_pairs(chunk(parts, language="zh"), random.Random(0), 3))
    assert pairs
    assert all("12 个月" in pair.answer for pair in pairs)
    codes = "Code: E-14 · Cause: Loose plug\nCode: E-14 · Cause: Wet sensor\nCode: E-15 · Cause: No water"
    told = list(table_pairs(chunk(codes), random.Random(0), 3))
    assert told
    assert all("E-15" in pair.question for pair in told)
