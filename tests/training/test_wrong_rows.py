"""What rules must not make of tables: wrong units, empty cells, contradictions, twins in two splits."""

from __future__ import annotations

import random

import pytest

from assistant.core.language import Language
from assistant.core.records import Chunk
from assistant.core.settings_synth import SynthSettings
from training.assembling import finish_examples
from training.cells import with_unit
from training.filtering import PairFilter
from training.pairs import Pair, table_pairs
from training.recipes.facts import _larger
from training.repetition import contradictions
from training.tables import read_rows
from training.twins import stand_ins, with_twins


def table(text: str, language: Language = "en", document: str = "a.md") -> Chunk:
    return Chunk(
        id=f"{document} {text[:12]}",
        document=document,
        version=1,
        position=0,
        text=text,
        kind="table",
        language=language,
    )


@pytest.mark.parametrize(
    ("header", "value", "said"),
    [
        ("Price (EUR)", "5.60", ("Price", "5.60 EUR")),
        ("Torque (N·m)", "12", ("Torque", "12 N·m")),
        ("温度（℃）", "60", ("温度", "60 ℃")),
        ("供货（天）", "3", ("供货", "3 天")),
        ("Drying time (min)", "20", ("Drying time", "20 min")),
        ("Height (min)", "20", ("Height (min)", "20")),
        ("Load (max)", "20", ("Load (max)", "20")),
        ("Weight (1)", "20", ("Weight (1)", "20")),
        ("CPU（最低要求）", "8", ("CPU（最低要求）", "8")),
    ],
)
def test_only_units_go_behind_a_number(header: str, value: str, said: tuple[str, str]) -> None:
    assert with_unit(header, value) == said


@pytest.mark.parametrize("nothing", ["–", "-", "N/A", "无"])
def test_an_empty_cell_is_no_answer(nothing: str) -> None:
    pairs = list(table_pairs(table(f"Model: Q5 · Weight: {nothing} · Colour: red"), random.Random(1), 2))
    assert pairs
    assert all(nothing not in pair.answer and "red" in pair.answer for pair in pairs)


@pytest.mark.parametrize(
    ("one", "other", "larger"),
    [
        ("5 kg", "3 kg", True),
        ("1,200 W", "900 W", True),
        ("-20 °C", "-5 °C", False),
        ("1,5 kg", "2 kg", None),
        ("A4", "A3", None),
        ("M8", "M6", None),
        ("IP65", "IP67", None),
        ("60 min", "2 h", None),
    ],
)
def test_only_quantities_of_one_unit_are_compared(one: str, other: str, larger: bool | None) -> None:
    assert _larger(one, other) is larger


def test_a_grid_without_a_header_names_no_columns() -> None:
    assert read_rows(table("E01 | Too hot | Cool it\nE02 | Open | Close it\nE03 | Wet | Dry it")) == []
    (row,) = read_rows(table("Size | Q5 | Q7\nWidth | 30 | 40"))
    assert row.cells == (("Q5", "30"), ("Q7", "40"))


@pytest.mark.parametrize(
    ("one", "other", "is_contradiction"),
    [
        ("8 cores", "16 cores", True),
        ("8 核", "16 核", True),
        ("red", "blue", False),
        ("8 cores", "8 cores", False),
    ],
)
def test_a_question_with_two_answers_is_learnt_with_neither(
    one: str, other: str, *, is_contradiction: bool
) -> None:
    pairs = [
        Pair(question="The CPU of TiDB?", answer=answer, chunk=table(answer, document=name), recipe="table")
        for answer, name in ((one, "a.md"), (other, "b.md"))
    ]
    assert set(contradictions(pairs)) == ({0, 1} if is_contradiction else set())


def test_twins_share_a_split() -> None:
    texts = [f"Section {number} of the pump." for number in range(4)]
    names = ["en/pump.md", "zh/pump.md", "oven_EN.pdf", "oven_中文版.pdf", "other.md"]
    chunks = [table(f"{name} alone", document=name) for name in names]
    chunks += [table(text, document=name) for name in ("v1/fan.pdf", "v2/fan new.pdf") for text in texts]
    chunks += [table("The same notice.", document=name) for name in names]
    twins = stand_ins(chunks)
    assert twins["zh/pump.md"] == twins["en/pump.md"] != twins["oven_EN.pdf"] == twins["oven_中文版.pdf"]
    assert twins["v2/fan new.pdf"] == "v1/fan.pdf"
    assert twins["other.md"] == "other.md"


def test_a_translation_is_validated_on_where_its_original_is() -> None:
    synth = SynthSettings(valid_share=0.5, seed=1)
    chunks = [
        table(f"Row {number}", document=f"{number}.{tag}.md") for number in range(12) for tag in ("en", "zh")
    ]
    pairs = [
        Pair(question=f"What is {chunk.document}?", answer=chunk.text, chunk=chunk, recipe="real-pair")
        for chunk in chunks
    ]
    rows = finish_examples([], pairs, synth, PairFilter(), twins=stand_ins(chunks))
    splits = {row.documents[0]: row.split for row in rows}
    assert set(splits.values()) == {"train", "valid"}
    assert all(splits[f"{number}.en.md"] == splits[f"{number}.zh.md"] for number in range(12))


def test_the_twins_of_held_out_documents_are_left_alone_too() -> None:
    names = ("en/pump.md", "zh/pump.md", "en/oven.md")
    chunks = [table(f"{name} alone", document=name) for name in names]
    assert with_twins({"zh/pump.md"}, chunks) == {"en/pump.md", "zh/pump.md"}
    assert with_twins({"gone.md"}, chunks) == {"gone.md"}
    assert with_twins(set(), chunks) == frozenset()
