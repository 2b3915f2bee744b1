from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from assistant.core.language import Language
from assistant.core.prompts import not_covered
from assistant.core.records import Chunk, Passage
from assistant.core.settings_answer import AnswerSettings
from assistant.core.settings_synth import SynthSettings
from training.contexts import grounded_examples, mark_sentences, models_of
from training.pairs import Pair

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
