from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from assistant.core.context import beside_each_other, choose_context
from assistant.core.language import Language
from assistant.core.prompts import format_context
from assistant.core.records import Chunk, Passage

PUMP, FAN = ("3 Pump", "3.2 Seals"), ("4 Fan",)
TITLES: dict[Language, tuple[str, ...]] = {"en": PUMP, "zh": ("3 水泵", "3.2 密封圈")}
TEXTS: dict[Language, tuple[str, str]] = {
    "en": ("Take the old seal out.", "Grease the new seal."),
    "zh": ("取出旧密封圈。", "给新密封圈涂抹润滑脂。"),
}


def _passages(
    *rows: tuple[float, str, tuple[str, ...], int], text: str = "four words are here"
) -> list[Passage]:
    return [
        Passage(
            rank=rank,
            score=score,
            chunk=Chunk(
                id=f"{document}{position}",
                document=document,
                version=1,
                position=position,
                text=text,
                heading_path=titles,
            ),
        )
        for rank, (score, document, titles, position) in enumerate(rows, 1)
    ]


def _ids(passages: Sequence[Passage]) -> list[str]:
    return [passage.chunk.id for passage in passages]


def _words(text: str) -> int:
    return len(text.split())


def test_a_leading_passage_brings_those_beside_it_in_its_section() -> None:
    found = _passages(
        (1.0, "a", PUMP, 5), (0.9, "b", PUMP, 6), (0.8, "a", FAN, 7), (0.6, "a", PUMP, 4), (0.4, "a", PUMP, 6)
    )
    assert _ids(beside_each_other(found)) == ["a5", "a6", "a4", "b6", "a7"]
    assert _ids(beside_each_other(found, first=2)) == ["a5", "b6", "a6", "a4", "a7"]
    assert beside_each_other([]) == []


def test_a_neighbour_that_fits_the_question_far_worse_stays_where_it_is() -> None:
    found = _passages((1.0, "a", PUMP, 5), (0.9, "b", PUMP, 1), (0.39, "a", PUMP, 6))
    assert _ids(beside_each_other(found)) == ["a5", "b1", "a6"]


def test_only_the_first_four_bring_others() -> None:
    found = _passages(
        (1.0, "a", PUMP, 1),
        (0.9, "b", PUMP, 1),
        (0.9, "c", PUMP, 1),
        (0.9, "d", PUMP, 1),
        (0.8, "e", PUMP, 1),
        (0.8, "f", PUMP, 1),
    )
    late = _passages((0.7, "e", PUMP, 2), (0.7, "d", PUMP, 2))
    assert _ids(beside_each_other([*found, *late])) == ["a1", "b1", "c1", "d1", "d2", "e1", "f1", "e2"]


def test_a_context_holds_what_stands_together_in_the_order_of_the_documents() -> None:
    found = _passages((1.0, "b", PUMP, 5), (0.9, "a", FAN, 1), (0.8, "c", FAN, 1), (0.7, "b", PUMP, 4))
    chosen = choose_context(found, _words, max_passages=3, max_tokens=1000)
    assert _ids(chosen) == ["a1", "b4", "b5"]
    assert all(passage in found for passage in chosen), "passages are chosen, never changed"


def test_a_context_keeps_its_budget_and_always_takes_the_best_passage() -> None:
    found = _passages((1.0, "a", PUMP, 5), (0.9, "b", FAN, 1), (0.8, "a", PUMP, 6))
    cost = _words("four words are here") + _words(" › ".join(PUMP)) + 8
    for budget, ids in (
        (3 * cost, ["a5", "a6", "b1"]),
        (2 * cost, ["a5", "a6"]),
        (cost, ["a5"]),
        (1, ["a5"]),
    ):
        assert _ids(choose_context(found, _words, max_passages=3, max_tokens=budget)) == ids


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_prompt_holds_both_halves_of_an_explanation(language: Language) -> None:
    one, two = TEXTS[language]
    texts = {"m1": one, "m2": two}
    rows = [
        (1.0, "m", TITLES[language], 1),
        *[(0.9, name, FAN, 1) for name in "bcd"],
        (0.5, "m", TITLES[language], 2),
    ]
    found = [
        msgspec.structs.replace(
            p, chunk=msgspec.structs.replace(p.chunk, text=texts.get(p.chunk.id, p.chunk.text))
        )
        for p in _passages(*rows)
    ]
    chosen = choose_context(found, len, max_passages=3, max_tokens=1000)
    assert _ids(chosen) == ["b1", "m1", "m2"]
    shown = format_context(chosen, language)
    assert shown.index(one) < shown.index(two)
    assert [passage.chunk.id for passage in chosen if passage not in found] == []
