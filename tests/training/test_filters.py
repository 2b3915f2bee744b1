"""Filters: each reason is found, counted and explained; good pairs pass."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from assistant.core.records import Case, Chunk, Message, Passage
from indexing.embedding import HashingEmbedder
from training.balancing import choose_balanced, split_of
from training.checks import check_pair
from training.cooking import lost_pairs
from training.dataset import DatasetManifest, make_example
from training.decontamination import LEAK, HeldOut
from training.filtering import KEPT, MADE, PairFilter
from training.pairs import NO_CHUNK, Pair
from training.recipes.conversations import no_chunk
from training.repetition import alike_by_embedding, near_duplicates
from training.synth_page import render_page

CHUNK = Chunk(
    id="c",
    document="d.md",
    version=1,
    position=0,
    text="E-14 means that the rotor is blocked. Tighten the impeller nut of the Q5 to 14 Nm after 5 s.",
)
CHUNK_ZH = Chunk(
    id="z",
    document="z.md",
    version=1,
    position=0,
    text="F05 表示腔体超温，超过 305 °C 时断电冷却。",
    language="zh",
)


def pair(question: str, answer: str, chunk: Chunk = CHUNK, **more: object) -> Pair:
    return Pair(question=question, answer=answer, chunk=chunk, recipe="section", **more)  # type: ignore[arg-type]


def reason(found: Pair) -> str | None:
    verdict = check_pair(found)
    return verdict.reason if verdict else None


@pytest.mark.parametrize(
    ("question", "answer", "is_right"),
    [
        (
            "What is the purpose of the drain plug?",
            "Open the drain plug slowly and collect the water.",
            False,
        ),
        ("What is the purpose of the drain plug?", "The drain plug lets the water out.", True),
        ("What is the difference between Q5 and Q7?", "The manual covers the Q5 and the Q7 [1].", False),
        ("What is the difference between Q5 and Q7?", "The Q7 is heavier than the Q5.", True),
        ("What was the effect of the policy?", "The policy took effect on 1 March 2025.", False),
        ("What is the warranty period of a pump?", "The warranty begins on the day of delivery [2].", False),
        ("What is the part number of the seal?", "The seal is QP-2208.", True),
        ("How long does the pump stand still?", "The pump stands still until the update is done.", True),
        ("排水阀的作用是什么？", "慢慢打开排水阀，接好水。", False),
        ("排水阀的作用是什么？", "排水阀用来放掉残水。", True),
        ("整机保修多少个月？", "整机保修自交货之日起算。", False),
        ("整机保修多少个月？", "整机保修十八个月。", True),
    ],
)
def test_a_teachers_question_is_of_what_the_answer_tells(question: str, answer: str, is_right: bool) -> None:
    row = msgspec.structs.replace(CHUNK, text=answer, language="zh" if question[-1] == "？" else "en")
    found = msgspec.structs.replace(pair(question, answer, row), recipe="sentence", teacher="small-model")
    assert reason(found) == (None if is_right else "answer beside the question")
    assert reason(msgspec.structs.replace(found, teacher="rules")) is None
    assert reason(msgspec.structs.replace(found, is_reworded=True)) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("E-21 means: Undervoltage.", None), ("E-21 means: Blocked rotor, limescale.", "answer not grounded")],
)
def test_a_rules_own_word_is_no_claim(answer: str, expected: str | None) -> None:
    row = msgspec.structs.replace(CHUNK, text="- Code: E-21 · Meaning: Undervoltage")
    found = msgspec.structs.replace(pair("What does E-21 mean?", answer, row), recipe="table")
    assert reason(found) == expected


@pytest.mark.parametrize(
    ("question", "answer", "chunk", "expected"),
    [
        ("What does E-14 mean?", "E-14 means that the rotor is blocked.", CHUNK, None),
        ("F05是什么意思？", "F05 表示腔体超温。", CHUNK_ZH, None),
        ("E-14?", "E-14 means that the rotor is blocked.", CHUNK, None),
        ("Huh?", "E-14 means that the rotor is blocked.", CHUNK, "question too short or too long"),
        ("What does E-14 mean?", "E-14 means that 16 rotors are blocked.", CHUNK, "number not in the chunk"),
        ("How tight is the nut?", "The impeller nut of the Q5: 14 bar.", CHUNK, "quantity not in the chunk"),
        ("How tight is the nut?", "Impeller nut, part QP-1: 14 Nm.", CHUNK, "code not in the chunk"),
        ("F05 超过多少度？", "超过 305 °C，请更换 HT-4051。", CHUNK_ZH, "code not in the chunk"),
        ("Who made it then?", "A company from Orbury makes all pumps there.", CHUNK, "answer not grounded"),
        ("叶轮螺母拧多紧？", "Tighten the impeller nut to 14 Nm.", CHUNK, "question in another language"),
        ("What does it mean then?", "That the rotor is blocked.", CHUNK, "question not self-contained"),
        ("这个是什么意思？", "F05 表示腔体超温。", CHUNK_ZH, "question not self-contained"),
        ("What does E-14 mean?", "", CHUNK, "answer empty or too long"),
    ],
)
def test_one_pair_by_itself(question: str, answer: str, chunk: Chunk, expected: str | None) -> None:
    assert reason(pair(question, answer, chunk)) == expected


@pytest.mark.parametrize(
    ("question", "answer", "chunk", "expected"),
    [
        ("Does E-14 mean that the rotor is blocked?", "E-14 means that the rotor is blocked.", CHUNK, True),
        ("Is the impeller nut of the Q5 tightened to 14 Nm?", "Impeller nut of the Q5: 14 Nm.", CHUNK, True),
        ("How tight is the impeller nut of the Q5?", "Impeller nut of the Q5: 14 Nm.", CHUNK, False),
        ("What is the sign of a blocked rotor?", "E-14 means that the rotor is blocked.", CHUNK, False),
        ("F05 是表示腔体超温吗？", "F05 表示腔体超温。", CHUNK_ZH, True),
        ("F05 超过多少度时断电冷却？", "超过 305 °C 时断电冷却。", CHUNK_ZH, False),
    ],
)
def test_a_teachers_question_must_not_hold_its_answer(
    question: str, answer: str, chunk: Chunk, *, expected: bool
) -> None:
    given_away = "question holds its own answer"
    assert (reason(pair(question, answer, chunk, teacher="qwen")) == given_away) is expected
    assert reason(pair(question, answer, chunk, teacher="people")) != given_away
    assert reason(pair(question, answer, chunk)) != given_away


def test_a_later_turn_may_lean_on_earlier_ones() -> None:
    before = (Message(role="user", content="E-14?"), Message(role="assistant", content="Blocked."))
    assert reason(pair("What does it mean then?", "That the rotor is blocked.", history=before)) is None


def test_marks_and_added_words_need_no_support() -> None:
    marked = pair("What does E-14 mean?", "E-14 means that the rotor is blocked [3].")
    assert reason(marked) is None
    polite = pair(
        "What does E-14 mean?",
        "Warm greetings from our friendly support desk today! The rotor is blocked.",
        added="Warm greetings from our friendly support desk today!",
    )
    assert reason(polite) is None
    assert reason(msgspec.structs.replace(polite, added="")) == "answer not grounded"


def test_everything_is_counted_with_an_example() -> None:
    chosen = PairFilter([Case(id="1", lang="en", question="What is the meaning of fault code E-14?")], "mask")
    pairs = [
        pair("What does E-14 mean?", "E-14 means that the rotor is blocked."),
        pair("what does  E-14 mean?", "E-14 means that the rotor is blocked."),
        pair("What does E-14 mean?", "The rotor is blocked."),
        pair("So, what is the meaning of fault code E-14?", "The rotor is blocked."),
        pair("Whom do I call about E-14?", "The rotor is blocked. jo@acme.example.org"),
        pair("How many rotors?", "16 rotors."),
    ]
    assert chosen.keep(pairs) == pairs[:1]
    assert dict(chosen.rejected) == {
        "exact duplicate": 1,
        "same question, other answer": 1,
        "held-out question": 1,
        "personal data": 1,
        "number not in the chunk": 1,
    }
    assert chosen.table["section"][MADE] == 6
    assert chosen.table["section"][KEPT] == 1
    personal = next(row for row in chosen.rejects if row.reason == "personal data")
    assert (personal.question, personal.answer, personal.detail) == ("", "", "")
    leaked = next(row for row in chosen.rejects if row.reason == "held-out question")
    assert "What is the meaning of fault code E-14?" in leaked.detail


def test_people_answer_in_the_questions_language_too() -> None:
    bare = pair(
        "K3 水壶能煮多少水？", "The K3 holds at most 1.7 litres of cold water, never more.", no_chunk("zh")
    )
    given = msgspec.structs.replace(bare, recipe="correction", teacher="people")
    assert reason(given) == "answer in another language"
    asked = msgspec.structs.replace(bare, recipe="replay", teacher="base")
    assert reason(asked) is None


def test_a_long_reject_is_shown_short() -> None:
    chosen = PairFilter()
    chosen.keep([pair("why " * 5000 + "?", "x")])
    example = make_example(
        recipe="r", language="en", messages=(Message(role="user", content="q"),), answer="a"
    )
    manifest = DatasetManifest(
        id="i",
        collection="c",
        snapshot="s",
        example_count=1,
        recipes={},
        languages={},
        rejected={},
        covered_chunk_share=0.0,
        key="k",
    )
    assert len(render_page(manifest, [example], chosen.rejects)) < 10_000


def test_general_instructions_need_no_chunk() -> None:
    assert reason(pair("Name three colours.", "Red, green and blue.", NO_CHUNK)) is None


def test_held_out_questions_inside_longer_ones_are_found() -> None:
    held = HeldOut(
        [Case(id="1", lang="zh", question="T6 的门封条多久更换一次？", paraphrases=("门封条几个月换？",))]
    )
    assert held.nearest("师傅，T6的门封条多久更换一次？谢谢，急")[0] >= LEAK
    assert held.nearest("门封条几个月换？")[0] >= LEAK
    assert held.nearest("T3 的软水滤芯多久更换一次？")[0] < LEAK
    assert held.nearest("完全无关的问题")[0] < 0.2


class _Alike(HashingEmbedder):
    """Gives all texts that begin alike the same embedding."""

    def embed_queries(self, texts: Sequence[str]) -> np.typing.NDArray[np.float32]:
        return super().embed_queries([text[:12] for text in texts])


def test_likeness_by_words_and_by_embedding_spares_other_facts() -> None:
    one = "How tight is the impeller nut of the Q5 when I put it back on after the repair?"
    pairs = [
        pair(one, "To 14 Nm, as the table of torques in the manual says."),
        pair(one + " Thanks", "To 14 Nm, as the table of torques in the manual says."),
        pair(one.replace("Q5", "Q7"), "To 42 Nm, as the table of torques in the manual says."),
    ]
    assert near_duplicates(pairs) == {1: 0}
    assert near_duplicates(pairs[:1]) == {}
    assert set(alike_by_embedding(pairs, _Alike())) == {1}
    held = HeldOut([Case(id="1", lang="en", question="How tight is a Q5?")])
    asked = [one, one.replace("Q5", "Q7"), "Who made the Q5?"]
    assert set(held.alike(asked, _Alike())) == {0}


def test_documents_and_languages_take_turns() -> None:
    chunks = [
        Chunk(id=f"{doc}{n}", document=doc, version=1, position=n, text="x", language=language)
        for doc, count, language in (("big", 60, "en"), ("small", 6, "en"), ("zh", 6, "zh"))
        for n in range(count)
    ]
    pairs = [pair(f"q{chunk.id}", "a", chunk) for chunk in chunks]
    chosen = [pairs[place].chunk for place in choose_balanced(pairs, 16, 0.5, random.Random(1))]
    counts = {name: sum(chunk.document == name for chunk in chosen) for name in ("big", "small", "zh")}
    assert counts == {"big": 5, "small": 5, "zh": 6}
    limited = choose_balanced(pairs, 30, 0.3, random.Random(1))
    assert sum(pairs[place].chunk.document == "big" for place in limited) == 9
    assert len(choose_balanced(pairs[:5], 16, 0.1, random.Random(1))) == 5


def test_a_document_stands_in_one_split() -> None:
    splits = {name: split_of((name,), 0.2, 0.2, 7) for name in map(str, range(200))}
    assert {
        split: list(splits.values()).count(split) for split in ("train", "valid", "test")
    } == pytest.approx({"train": 120, "valid": 40, "test": 40}, abs=15)
    assert all(split_of((name,), 0.2, 0.2, 7) == split for name, split in splits.items())
    assert split_of((), 0.5, 0.5, 7) == "train"


class _Finds:
    """Finds the one chunk, whatever is asked."""

    def search_many(self, queries: Sequence[str], top_k: int) -> list[tuple[Passage, ...]]:
        return [(Passage(rank=1, score=1.0, chunk=CHUNK),)[:top_k] for _ in queries]


def test_a_question_must_lead_the_search_back_to_its_chunk() -> None:
    pairs = [
        pair("What does E-14 mean?", "The rotor is blocked."),
        pair("F05是什么意思？", "腔体超温。", CHUNK_ZH),
        pair("Is E-19 known?", "No.", CHUNK_ZH, is_covered=False),
        pair("Name three colours.", "Red, green and blue.", NO_CHUNK),
    ]
    lost = lost_pairs(pairs, 0, _Finds())
    assert {place: verdict.reason for place, verdict in lost.items()} == {1: "search does not find the chunk"}
    assert lost_pairs(pairs, 2, _Finds()) == {}
