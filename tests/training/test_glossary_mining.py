"""Mining terms: customers' words meet the manuals' words; the manuals' own words are no proposals."""

from __future__ import annotations

import pytest

from assistant.core.language import Language
from assistant.core.records import Chunk
from indexing.embedding import HashingEmbedder
from training.glossary import manual_terms, mine, read_cases

MANUALS: dict[Language, str] = {
    "en": "Code: E-38 · Meaning: Shaft seal leaks · Cause: Worn\n"
    "Code: E-14 · Meaning: Rotor blocked · Cause: Scale",
    "zh": "代码: F05 · 含义: 腔体超温 · 原因: 触点粘连\n代码: F12 · 含义: 风机停转 · 原因: 电容失效",
}
TICKETS: dict[Language, list[tuple[str, str]]] = {
    "en": [
        ("there is a puddle below", "The shaft seal leaks."),
        ("puddle again", "The shaft seal leaks again."),
        ("a puddle, help", "The shaft seal leaks."),
        *[("humming only", "The rotor is blocked.")] * 60,
    ],
    "zh": [
        ("设备趴窝了", "风机停转，换电容。"),
        ("又趴窝", "风机停转。"),
        ("趴窝", "风机停转。"),
        *[("烫得吓人", "腔体超温。")] * 60,
    ],
}


def chunks(language: Language, cases: list[tuple[str, str]] | None = None) -> list[Chunk]:
    manual = Chunk(
        id="m", document="m", version=1, position=0, text=MANUALS[language], kind="table", language=language
    )
    tickets = [
        Chunk(
            id=f"t{n}",
            document="t",
            version=1,
            position=n,
            text=f"id: R-{n}\nquestion: {said}\nresolution: {meant}",
            kind="ticket",
            language=language,
        )
        for n, (said, meant) in enumerate(cases or TICKETS[language])
    ]
    return [manual, *tickets]


@pytest.mark.parametrize(
    ("language", "said", "meant"), [("en", "puddle", "shaft seal leaks"), ("zh", "趴窝", "风机停转")]
)
def test_a_word_that_comes_with_a_term_is_proposed_for_it(language: Language, said: str, meant: str) -> None:
    terms = {term.said: term for term in mine(chunks(language), HashingEmbedder())}
    assert terms[said].meant == meant
    assert terms[said].sources == ("R-0", "R-1", "R-2")
    assert terms[said].state == "proposed"
    assert not {"rotor", "leaks", "风机", "超温"} & set(terms)


def test_an_outcome_behind_a_verb_is_no_word_of_a_thing() -> None:
    cases = [("洗到一半", "腔体超温。"), ("油得吓人", "触点粘连。"), ("插上就叫", "电容失效。")]
    others = [("嗡嗡响", "风机停转。")] * 60
    proposed = {term.said for term in mine(chunks("zh", [*cases * 3, *others]), HashingEmbedder())}
    assert "吓人" in proposed
    assert not {"洗到", "油得", "插上"} & proposed


def test_nothing_without_tickets_or_without_manuals() -> None:
    assert mine(chunks("en")[:1], HashingEmbedder()) == []
    assert mine(chunks("zh")[1:], HashingEmbedder()) == []


def test_terms_are_short_and_no_codes() -> None:
    assert manual_terms(chunks("zh")[:1], "zh") == ("腔体超温", "触点粘连", "风机停转", "电容失效")
    assert "E-38" not in manual_terms(chunks("en")[:1], "en")


def test_a_dialogue_is_a_case_of_both_sides() -> None:
    text = "客户：趴窝了\n客服：风机停转了\nresolution: 换电容"
    chunk = Chunk(id="d", document="d", version=1, position=3, text=text, kind="dialogue", language="zh")
    (case,) = read_cases(chunk)
    assert (case.name, case.said, case.meant) == ("d#3", "趴窝了", "风机停转了\n换电容")
