"""Rows of recipes that read well and were wrong: what a person found by eye."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from assistant.core.progress import NoProgress
from assistant.core.records import Chunk, Message, Passage, Usage
from assistant.core.settings_answer import AnswerSettings
from assistant.core.settings_synth import TeacherSettings
from assistant.engine.protocol import Completion, GenerationRequest
from assistant.engine.scripted import ScriptedEngine
from indexing.embedding import HashingEmbedder
from indexing.glossary import Term
from training.checks import check_pair, support_of
from training.entailment import unsupported
from training.pairs import Pair
from training.recipes.materials import Materials
from training.recipes.reading import set_into_contexts
from training.recipes.recipe import Recipe, load_recipe
from training.recipes.registry import maker_of
from training.repetition import alike_by_embedding, near_duplicates
from training.teaching import Teacher


def chunk(name: str, text: str, language: str = "en", kind: str = "text", **more: object) -> Chunk:
    return Chunk(
        id=name,
        document=f"{name}.md",
        version=1,
        position=0,
        text=text,
        language=language,  # type: ignore[arg-type]
        kind=kind,  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


VALVE = chunk("valve", "The valve opens at 3 bar. The pump then stops.")
PART = chunk("part", "Part number: QP-4417 · Name: Valve spring · Price (EUR): 12.00", kind="table")


class Finder:
    """Finds the same passages for every query, and remembers what was asked."""

    def __init__(self, *chunks: Chunk) -> None:
        self._passages = tuple(Passage(rank=n, score=1 / n, chunk=c) for n, c in enumerate(chunks, 1))
        self.asked: list[str] = []

    def search_many(self, queries: Sequence[str], top_k: int | None = None) -> list[tuple[Passage, ...]]:
        self.asked.extend(queries)
        return [self._passages[:top_k] for _ in queries]


def materials(folder: Path, *pairs: Pair, searcher: Finder | None = None, **more: object) -> Materials:
    given: dict[str, object] = {
        "chunks": [VALVE, PART],
        "pairs": list(pairs),
        "searcher": searcher or Finder(VALVE, PART),
        "count_tokens": len,
        "teacher": Teacher(ScriptedEngine, TeacherSettings(), folder, NoProgress()),
        "answer": AnswerSettings(),
        "seed": 7,
    }
    return Materials(**(given | more))  # type: ignore[arg-type]


def always_read(name: str) -> Recipe:
    return msgspec.structs.replace(load_recipe(name), grounded_share=1.0)


def pair(question: str, answer: str, source: Chunk = VALVE, **more: object) -> Pair:
    made = Pair(question=question, answer=answer, chunk=source, recipe="paraphrase", teacher="small")
    return msgspec.structs.replace(made, **more)


def test_a_context_that_cannot_hold_both_passages_is_no_context(tmp_path: Path) -> None:
    two = pair("What does the spring cost?", "The valve opens at 3 bar. QP-4417 costs 12.00.", others=(PART,))
    room = AnswerSettings(context_tokens=len(VALVE.text) + 20)
    (row,) = set_into_contexts([two], always_read("two-step"), materials(tmp_path, answer=room))
    assert (row.passages, row.answer) == (None, two.answer)
    (row,) = set_into_contexts([two], always_read("two-step"), materials(tmp_path))
    assert {passage.chunk.id for passage in row.passages or ()} == {"valve", "part"}


def test_a_later_turns_context_is_found_as_in_service(tmp_path: Path) -> None:
    turns = (
        Message(role="user", content="What opens at 3 bar?"),
        Message(role="assistant", content="A valve."),
    )
    searcher = Finder(VALVE, PART)
    later = pair("And then?", "The pump then stops.", history=turns)
    set_into_contexts([later], always_read("follow-up"), materials(tmp_path, searcher=searcher))
    assert searcher.asked == ["What opens at 3 bar?\nAnd then?"]


@pytest.mark.parametrize(
    ("question", "is_kept"),
    [
        ("E-42 is a new product, and you need to respond with the new question.", False),
        ("valve opens at what bar", True),
        ("The valve, at 3 bar?", True),
    ],
)
def test_a_teacher_has_to_ask(question: str, is_kept: bool) -> None:
    found = check_pair(pair(question, "The pump then stops."))
    assert (found is None or found.reason != "asks nothing") is is_kept


def test_a_chinese_teacher_has_to_ask() -> None:
    source = chunk("zh", "阀门在 3 bar 时打开，水泵随后停止。", "zh")
    kept = {
        text: check_pair(pair(text, "水泵随后停止。", source))
        for text in ("阀门开了水泵咋办", "阀门的蒸汽发生器：")
    }
    assert [None if found is None else found.reason for found in kept.values()] == [None, "asks nothing"]


def test_a_greeting_is_no_claim() -> None:
    others = [chunk(f"other{n}", f"Section {n} is about something else, number {n}.") for n in range(12)]
    strangers = [pair(f"What is section {n}?", source.text, source) for n, source in enumerate(others)]
    greeted = pair(
        "What happens at 3 bar?",
        "Thank you for your message. The valve opens at 3 bar.",
        added="Thank you for your message.",
        recipe="task-profile",
    )
    plain = msgspec.structs.replace(greeted, answer="The valve opens at 3 bar.")
    assert unsupported([greeted, *strangers], 0, HashingEmbedder()) == {}
    assert support_of(greeted) == support_of(plain) == 1.0


def test_a_closing_comes_after_a_full_stop(tmp_path: Path) -> None:
    source = chunk("fee", "工时费：每小时 120 元；不足半小时按半小时计", "zh")
    told = pair("工时费是多少？", "每小时 120 元；", source)
    recipe = load_recipe("task-profile")
    (made,) = list(maker_of(recipe)(recipe, materials(tmp_path, told)))
    assert "120 元。" in made.answer


@pytest.mark.parametrize(
    ("text", "language", "answer"),
    [
        ("- 水阀有没有打开？\n- 开关有没有跳？", "zh", "水阀有没有打开？开关有没有跳？"),
        ("- Is the valve open?\n- two gaskets", "en", "Is the valve open? two gaskets."),
    ],
)
def test_questions_in_a_list_keep_their_marks(text: str, language: str, answer: str, tmp_path: Path) -> None:
    source = chunk("list", text, language, heading_path=("A", "B"))
    recipe = load_recipe("section")
    (made,) = list(maker_of(recipe)(recipe, materials(tmp_path, chunks=[source])))
    assert made.answer == answer


def test_only_questions_are_framed(tmp_path: Path) -> None:
    recipe = load_recipe("paraphrase")
    told = pair("I need to know the valve's pressure.", "The valve opens at 3 bar.")
    made = list(maker_of(recipe)(recipe, materials(tmp_path, told)))
    assert not [row for row in made if row.teacher == "small"]


class Rewording(ScriptedEngine):
    """Answers with one text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def complete(self, asked: Sequence[GenerationRequest]) -> list[Completion]:
        return [Completion(text=self._text, finish_reason="stop", usage=Usage()) for _ in asked]


def test_a_rewording_is_no_duplicate_of_its_question(tmp_path: Path) -> None:
    recipe = load_recipe("paraphrase")
    words = " ".join(f"It says so on plate {name}." for name in "abcdefghijklmnopqrstuvwxyz")
    told = pair("At what pressure does the valve open?", f"The valve opens at 3 bar. {words}")
    for text, is_kept in (("valve opens at what pressure??", True), (told.question.lower(), False)):
        teacher = Teacher(
            lambda text=text: Rewording(text),  # type: ignore[misc]
            TeacherSettings(),
            tmp_path / text[:5],
            NoProgress(),
        )
        made = list(maker_of(recipe)(recipe, materials(tmp_path, told, teacher=teacher)))
        framed, *reworded = made
        assert [row.question for row in reworded] == [text] * is_kept
        assert near_duplicates([told, framed]) == alike_by_embedding([told, framed], HashingEmbedder()) == {}
        assert near_duplicates([framed, framed]) == {1: 0}


def test_slang_may_be_of_any_letters_and_replaces_whole_words(tmp_path: Path) -> None:
    recipe = load_recipe("paraphrase")
    term = Term(said="\\1beast", meant="pump", language="en", state="approved")
    told = pair("Do pumps need what a pump needs?", "The pump then stops.")
    made = list(maker_of(recipe)(recipe, materials(tmp_path, told, glossary=[term])))
    assert "Do pumps need what a \\1beast needs?" in {row.question for row in made}


class Named(ScriptedEngine):
    """Answers with its own name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    @property
    def base_model(self) -> str:
        return self._name

    def complete(self, asked: Sequence[GenerationRequest]) -> list[Completion]:
        return [Completion(text=self._name, finish_reason="stop", usage=Usage()) for _ in asked]


def test_general_instructions_are_answered_by_the_base_whoever_teaches(tmp_path: Path) -> None:
    teacher, base = (
        Teacher(lambda name=name: Named(name), TeacherSettings(), tmp_path, NoProgress())  # type: ignore[misc]
        for name in ("teacher", "base")
    )
    recipe = load_recipe("replay")
    for own, told in ((base, "base"), (None, "teacher")):
        made = list(maker_of(recipe)(recipe, materials(tmp_path, teacher=teacher, base=own)))
        assert {(row.answer, row.teacher) for row in made} == {(told, told)}
