from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest

from assistant.core.language import Language, detect_language
from assistant.core.prompts import not_covered
from assistant.core.records import Chunk, Passage
from assistant.core.settings_answer import AnswerSettings
from assistant.core.settings_synth import SynthSettings
from training.absent import models_of, part_names, swap_parts
from training.contexts import grounded_examples, mark_sentences
from training.pairs import PEOPLE, Pair

ROWS: dict[Language, list[tuple[str, str, str]]] = {
    "en": [
        (
            f"Model: Q7 · part P-{n}: {n}0 Nm",
            f"What is the torque of part P-{n}?",
            f"Part P-{n} takes {n}0 Nm.",
        )
        for n in range(11, 23)
    ],
    "zh": [
        (f"机型: T6 · 零件 P-{n}: {n}0 N·m", f"零件 P-{n} 的力矩是多少？", f"零件 P-{n} 的力矩是 {n}0 N·m。")
        for n in range(11, 23)
    ],
}


class Neighbours:
    """Returns the chunks in order, beginning with the one the query names."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._pairs = list(pairs)

    def search_many(self, queries: Sequence[str], top_k: int | None = None) -> list[tuple[Passage, ...]]:
        return [self._search(query, top_k or 4) for query in queries]

    def _search(self, query: str, top_k: int) -> tuple[Passage, ...]:
        start = next(place for place, pair in enumerate(self._pairs) if pair.question == query)
        ordered = (self._pairs[start:] + self._pairs[:start])[:top_k]
        return tuple(Passage(rank=n, score=1 / n, chunk=p.chunk) for n, p in enumerate(ordered, 1))


def make_pairs(language: Language) -> list[Pair]:
    pairs = []
    for place, (text, question, answer) in enumerate(ROWS[language]):
        chunk = Chunk(
            id=f"c{place}",
            document="d",
            version=1,
            position=place,
            text=text,
            kind="table",
            language=language,
        )
        pairs.append(Pair(question=question, answer=answer, chunk=chunk, recipe="table"))
    return pairs


@pytest.mark.parametrize("language", ["en", "zh"])
def test_groups_ask_what_the_context_holds_and_what_it_does_not(language: Language) -> None:
    pairs = make_pairs(language)
    synth = SynthSettings(grounded_groups=12, seed=3)
    examples = grounded_examples(pairs, Neighbours(pairs), len, AnswerSettings(), synth)
    by_context = Counter(example.messages[0].content for example in examples)
    assert 8 <= len(by_context) <= 12
    assert min(by_context.values()) >= 1
    refusal = not_covered(language)
    for example in examples:
        system, question, target = (message.content for message in example.messages)
        if example.recipe == "uncovered":
            assert target == refusal
            assert example.chunk_ids == ()
            continue
        number = int(target.split("[")[1].split("]")[0])
        passage = system.split(f"[{number}] ")[1].split("\n\n")[0]
        value = target.split("N")[0].split()[-1]
        assert f"{value} N" in passage
        assert any(question.startswith(pair.question) for pair in pairs)
    recipes = Counter(example.recipe for example in examples)
    assert 0.02 < recipes["uncovered"] / len(examples) < 0.3
    again = grounded_examples(pairs, Neighbours(pairs), len, AnswerSettings(), synth)
    assert [example.id for example in again] == [example.id for example in examples]


def test_a_contexts_questions_are_of_its_language() -> None:
    pairs = [
        msgspec.structs.replace(pair, chunk=msgspec.structs.replace(pair.chunk, document="prices.csv"))
        for language in ("en", "zh")
        for pair in make_pairs(language)
    ]
    room = AnswerSettings(context_passages=10, context_tokens=10_000)
    synth = SynthSettings(grounded_groups=12, seed=3)
    rows = [row for row in grounded_examples(pairs, Neighbours(pairs), len, room, synth) if row.documents]
    assert {row.language for row in rows} == {"en", "zh"}
    assert all(detect_language(row.messages[-2].content) == row.language for row in rows)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_two_things_asked_at_once_are_told_apart(language: Language) -> None:
    pairs = [
        msgspec.structs.replace(pair, question=pair.question.rstrip("?？"), teacher=PEOPLE, recipe="faq")
        for pair in make_pairs(language)
    ]
    room = AnswerSettings(context_passages=4)
    rows = grounded_examples(pairs, Neighbours(pairs), len, room, SynthSettings(grounded_groups=12, seed=3))
    said = [row.messages[-2].content for row in rows]
    both = [text for text in said if sum(pair.question in text for pair in pairs) > 1]
    mark = "？" if language == "zh" else "? "
    assert both
    assert all(f"{mark}{'零件' if language == 'zh' else 'What'}" in text for text in both)


def test_two_passages_that_say_the_same_are_not_asked_together() -> None:
    pairs = [
        msgspec.structs.replace(pair, answer="Part P-1 takes 10 Nm.", teacher=PEOPLE, recipe="faq")
        for pair in make_pairs("en")
    ]
    room = AnswerSettings(context_passages=4)
    rows = grounded_examples(pairs, Neighbours(pairs), len, room, SynthSettings(grounded_groups=12, seed=3))
    assert all(row.messages[-1].content.count("P-1 takes") <= 1 for row in rows)


def test_every_sentence_gets_its_mark() -> None:
    texts = ("Store it dry.", "E-14: blocked rotor. Clean the impeller.", "叶轮卡住，请清洗叶轮")
    context = tuple(
        Passage(rank=1, score=1.0, chunk=Chunk(id=text, document="d", version=1, position=0, text=text))
        for text in texts
    )
    marked = mark_sentences("E-14 is a blocked rotor. Clean the impeller. Call us.", context)
    assert marked == "E-14 is a blocked rotor [2]. Clean the impeller [2]. Call us."
    assert mark_sentences("叶轮卡住。请清洗叶轮", context) == "叶轮卡住[3]。请清洗叶轮[3]"


def test_models_come_from_fields_of_that_name() -> None:
    assert models_of([*make_pairs("en"), *make_pairs("zh")]) == ["Q7", "T6"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_people_asked_stands_in_shared_contexts_and_is_refused_in_others(language: Language) -> None:
    pairs = [
        msgspec.structs.replace(pair, teacher=PEOPLE, recipe="faq", weight=2.0)
        for pair in make_pairs(language)
    ]
    settings = AnswerSettings(context_passages=4)
    examples = grounded_examples(pairs, Neighbours(pairs), len, settings, SynthSettings(grounded_groups=12))
    asked = {pair.question: pair for pair in pairs}
    groups = Counter(example.messages[0].content for example in examples if example.recipe == "grounded")
    assert max(groups.values()) > 1
    refused = [example for example in examples if example.recipe == "uncovered"]
    assert refused
    for example in examples:
        context, question = example.messages[0].content, example.messages[-2].content
        if example.recipe == "uncovered":
            assert example.weight == 1.0
            if question in asked:
                assert asked[question].chunk.text not in context
        else:
            assert example.weight == 2.0


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_was_found_but_left_out_is_refused(language: Language) -> None:
    pairs = make_pairs(language)
    settings = AnswerSettings(context_passages=4)
    few, many = (
        grounded_examples(
            pairs,
            Neighbours(pairs),
            len,
            settings,
            SynthSettings(grounded_groups=12, uncovered_share=0.0, near_misses=count, context_questions=2),
        )
        for count in (0, 2)
    )
    assert not any(example.recipe == "uncovered" for example in few)
    chunks = {pair.question: pair.chunk.text for pair in pairs}
    refused = [example for example in many if example.recipe == "uncovered"]
    assert refused
    for example in refused:
        assert chunks[example.messages[-2].content] not in example.messages[0].content
    assert len(refused) <= 2 * 12
    # two of each context, and one that asks both at once
    assert len(refused) < len(many) - len(refused) <= 3 * 12


def test_people_are_answered_in_their_own_language_only() -> None:
    pairs = [
        msgspec.structs.replace(pair, teacher=PEOPLE, chunk=msgspec.structs.replace(pair.chunk, id=f"{k}{n}"))
        for k in ("en", "zh")
        for n, pair in enumerate(make_pairs("en" if k == "en" else "zh"))
    ]
    pairs = [pair for two in zip(pairs[:12], pairs[12:], strict=True) for pair in two]
    settings = AnswerSettings(context_passages=4)
    examples = grounded_examples(pairs, Neighbours(pairs), len, settings, SynthSettings(grounded_groups=24))
    languages = {pair.question: pair.chunk.language for pair in pairs}
    told = [example for example in examples if example.messages[-2].content in languages]
    assert {example.language for example in told} == {"en", "zh"}
    assert all(languages[example.messages[-2].content] == example.language for example in told)


TORQUES: dict[Language, tuple[str, str]] = {
    "en": (
        "Fastener | Q5 | Q7\nImpeller nut | 9 Nm | 12 Nm\nDrain plug | 4 Nm | 6 Nm",
        "How tight is the drain plug?",
    ),
    "zh": (
        "紧固部位 | T3 | T6\n门铰链螺栓 | 28 N·m | 35 N·m\n接地端子 | 2.8 N·m | 4.6 N·m",
        "门铰链螺栓拧多紧？",
    ),
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_part_that_is_not_there_takes_the_place_of_one_that_is(language: Language) -> None:
    text, question = TORQUES[language]
    chunk = Chunk(id="t", document="d", version=1, position=0, text=text, kind="table", language=language)
    pair = Pair(question=question, answer="…", chunk=chunk, recipe="table")
    parts = part_names([chunk])
    assert len(parts) == 2
    (asked,) = swap_parts([pair], parts, text, language, random.Random(3))
    assert asked != question
    assert not any(part.lower() in asked.lower() for part in parts)
    nameless = msgspec.structs.replace(pair, question="What is it?")
    assert swap_parts([nameless], parts, text, language, random.Random(3)) == []


def test_part_numbers_and_models_are_no_parts() -> None:
    text = "Part number: QP-1107 · Name: Shaft seal · Model: Q5"
    chunk = Chunk(id="t", document="d", version=1, position=0, text=text, kind="table")
    assert part_names([chunk]) == ("Shaft seal",)
