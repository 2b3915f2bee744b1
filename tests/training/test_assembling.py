"""Rows of a dataset: a recipe's weight wins, splits part documents, coverage counts codes and tables."""

from __future__ import annotations

import msgspec

from assistant.core.language import Language
from assistant.core.prompts import answer_messages
from assistant.core.records import Case, Chunk, Example
from assistant.core.settings_synth import SynthSettings
from training.assembling import finish_examples, make_row, measure_coverage
from training.dataset import dataset_id, make_example
from training.filtering import PairFilter
from training.pairs import Pair
from training.synthesis import choose_pairs

LANGUAGES: tuple[Language, ...] = ("en", "zh")


def chunk(name: str, text: str = "E-14 means that the rotor is blocked.") -> Chunk:
    kind = "table" if ":" in text else "text"
    return Chunk(id=name, document=f"{name}.md", version=3, position=0, text=text, kind=kind)  # type: ignore[arg-type]


def core(source: Chunk) -> Example:
    return make_example(
        recipe="closed-book ticket",
        language="en",
        messages=answer_messages("What is E-14?", "en"),
        answer="A blocked rotor.",
        chunks=(source,),
    )


def pair(*sources: Chunk, weight: float = 2.0) -> Pair:
    return Pair(
        question="What is E-14?" if sources[0].id == "a" else f"What does {sources[0].id} call E-14?",
        answer="A blocked rotor.",
        chunk=sources[0],
        others=sources[1:],
        recipe="real-pair",
        recipe_version=4,
        weight=weight,
    )


def test_a_row_says_where_it_comes_from() -> None:
    row = make_row(pair(chunk("a"), chunk("b")))
    assert (row.documents, row.versions, row.chunk_ids) == (("a.md", "b.md"), (3, 3), ("a", "b"))
    assert (row.recipe, row.recipe_version, row.weight, row.access) == ("real-pair", 4, 2.0, ())
    assert 0.5 < row.scores["support"] <= 1


def test_a_recipe_takes_the_place_of_the_same_core_row() -> None:
    rows = finish_examples([core(chunk("a"))], [pair(chunk("a"))], SynthSettings(), PairFilter())
    assert [(row.recipe, row.weight) for row in rows] == [("real-pair", 2.0)]


def test_rows_across_splits_are_left_out_and_counted() -> None:
    chosen = PairFilter()
    synth = SynthSettings(valid_share=0.5, seed=1)
    names = [chunk(name) for name in "abcdefgh"]
    alone = finish_examples([], [pair(name) for name in names], synth, chosen)
    splits = {row.documents[0]: row.split for row in alone}
    assert set(splits.values()) == {"train", "valid"}
    first = next(name for name in names if splits[name.document] == "train")
    second = next(name for name in names if splits[name.document] == "valid")
    assert finish_examples([], [pair(first, second)], synth, chosen) == []
    assert chosen.rejected == {"documents of two splits": 1}
    assert chosen.rejects[0].document == first.document
    twice = make_row(pair(first, second))
    core_row = msgspec.structs.replace(twice, id="of the core", recipe="grounded")
    assert finish_examples([core_row], [], synth, chosen) == []
    assert chosen.table["grounded (rows)"] == {"made": 1, "documents of two splits": 1}


def test_rows_near_held_out_questions_are_counted_with_an_example() -> None:
    case = Case(id="c", lang="en", question="What does the code E-14 mean on the pump?")
    chosen = PairFilter([case])
    rows = [core(chunk("a")), make_row(pair(chunk("b")))]
    near = tuple(
        msgspec.structs.replace(turn, content=case.question) if turn.role == "user" else turn
        for turn in rows[0].messages
    )
    kept = chosen.without_leaks([msgspec.structs.replace(rows[0], messages=near), rows[1]])
    assert kept == rows[1:]
    assert chosen.rejected == {"held-out question": 1}
    assert (chosen.rejects[0].question, chosen.rejects[0].document) == (case.question, "a.md")


def test_a_dataset_is_named_by_all_that_is_trained_on() -> None:
    plain, heavy = make_row(pair(chunk("a"), weight=1.0)), make_row(pair(chunk("a")))
    assert plain.id == heavy.id
    assert dataset_id([plain]) != dataset_id([heavy])


def test_coverage_counts_codes_and_tables() -> None:
    table = chunk("t", "Code: E-14 · Meaning: Rotor blocked\nCode: E-17 · Meaning: Too hot")
    coverage = measure_coverage([table, chunk("a"), chunk("b")], [core(chunk("a"))])
    assert (coverage.chunks, coverage.codes, coverage.tables) == ((1, 3), (1, 2), (0, 1))


def test_few_real_questions_are_drawn_from_all_of_them() -> None:
    """They come document by document: the first of them would all be of one language."""
    asked = [
        Pair(
            question=f"{language} {number}",
            answer="a",
            chunk=Chunk(id=str(language), document="d", version=1, position=0, text="t", language=language),
            recipe="ticket",
            teacher="tickets",
        )
        for language in LANGUAGES
        for number in range(20)
    ]
    chosen = choose_pairs(asked, SynthSettings(closed_book=10))
    assert len({pair.question for pair in chosen}) == 10
    assert {pair.chunk.language for pair in chosen} == {"en", "zh"}
    assert sorted(pair.question for pair in choose_pairs(asked[:3], SynthSettings(closed_book=10))) == [
        "en 0",
        "en 1",
        "en 2",
    ]
