"""The teacher: kept answers, limits, failures that keep what was done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import eval as evaluation
from assistant.core.errors import EngineError
from assistant.core.language import Language
from assistant.core.progress import NoProgress
from assistant.core.records import Message, Usage
from assistant.core.settings_synth import TeacherSettings
from assistant.engine.protocol import Completion, GenerationRequest
from assistant.engine.scripted import ScriptedEngine
from training.decontamination import grams, jaccard
from training.teaching import CACHE, Teacher
from training.wording import read_instructions

GENERAL = Path(evaluation.__path__[0], "general.jsonl")


def requests(*texts: str) -> list[GenerationRequest]:
    return [GenerationRequest(messages=(Message(role="user", content=text),)) for text in texts]


class Failing(ScriptedEngine):
    """Answers with the question; fails at every call whose number is named, and cuts off "long"."""

    def __init__(self, *failing: int) -> None:
        super().__init__()
        self.failing = set(failing)
        self.calls: list[int] = []

    def complete(self, asked: Sequence[GenerationRequest]) -> list[Completion]:
        self.calls.append(len(asked))
        if len(self.calls) in self.failing:
            raise EngineError("the server hung up")
        return [
            Completion(
                text=request.messages[-1].content,
                finish_reason="length" if request.messages[-1].content == "long" else "stop",
                usage=Usage(),
            )
            for request in asked
        ]


def make(engine: Failing, folder: Path, **settings: object) -> tuple[Teacher, list[float]]:
    waits: list[float] = []
    given = TeacherSettings(batch_size=2, **settings)  # type: ignore[arg-type]
    return Teacher(lambda: engine, given, folder, NoProgress(), clock=lambda: 0.0, sleep=waits.append), waits


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    engine = Failing()
    teacher, _ = make(engine, tmp_path)
    assert teacher.ask(requests("a", "b", "a", "long"), "s") == ["a", "b", "a", ""]
    again, _ = make(engine, tmp_path)
    assert again.ask(requests("b", "c"), "s") == ["b", "c"]
    assert engine.calls == [2, 1, 1]
    assert teacher.counts["cut off"] == 1


def test_a_teacher_that_dies_keeps_its_answers(tmp_path: Path) -> None:
    engine = Failing(2, 3, 4)
    teacher, waits = make(engine, tmp_path, attempts=3)
    with pytest.raises(EngineError, match=r"failed after 2 of 5 questions: the server hung up; .* is kept"):
        teacher.ask(requests("a", "b", "c", "d", "e"), "s")
    assert waits == [2.0, 4.0]
    later, _ = make(engine, tmp_path)
    assert later.ask(requests("a", "b", "c", "d", "e"), "s") == ["a", "b", "c", "d", "e"]
    assert engine.calls == [2, 2, 2, 2, 2, 1]


def test_a_short_failure_is_asked_again(tmp_path: Path) -> None:
    teacher, waits = make(Failing(1), tmp_path)
    assert teacher.ask(requests("a"), "s") == ["a"]
    assert waits == [2.0]
    assert teacher.counts["asked again"] == 1


def test_it_keeps_to_the_requests_a_minute(tmp_path: Path) -> None:
    teacher, waits = make(Failing(), tmp_path, requests_per_minute=60)
    teacher.ask(requests("a", "b", "c", "d", "e"), "s")
    assert waits == [2.0, 4.0]


@pytest.mark.parametrize("torn", [b'{"key":"k","te', b"not json\n"])
def test_a_damaged_cache_is_no_hindrance(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / CACHE).write_bytes(torn)
    teacher, _ = make(Failing(), tmp_path)
    assert teacher.ask(requests("a"), "s") == ["a"]
    again, _ = make(Failing(), tmp_path)
    assert again.ask(requests("a"), "s") == ["a"]
    assert again.counts["kept from before"] == 1


def test_a_damaged_line_costs_no_other_answers(tmp_path: Path) -> None:
    teacher, _ = make(Failing(), tmp_path)
    teacher.ask(requests("a", "b"), "s")
    kept = (tmp_path / CACHE).read_bytes().splitlines(keepends=True)
    (tmp_path / CACHE).write_bytes(kept[0] + b'{"broken\n\xff\xfe\n' + kept[1])
    engine = Failing()
    again, _ = make(engine, tmp_path)
    assert again.ask(requests("a", "b"), "s") == ["a", "b"]
    assert engine.calls == []
    assert (tmp_path / CACHE).read_bytes() == b"".join(kept)


def test_who_said_nothing_is_asked_again_the_next_time(tmp_path: Path) -> None:
    engine = Failing()
    teacher, _ = make(engine, tmp_path)
    assert teacher.ask(requests(" ", "long"), "s") == ["", ""]
    assert (teacher.counts["said nothing"], teacher.counts["cut off"]) == (1, 1)
    again, _ = make(engine, tmp_path)
    again.ask(requests(" ", "long"), "s")
    assert engine.calls == [2, 1]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<think>\nThe user wants…\n</think>\n\nHow heavy is it?", "How heavy is it?"),
        ("<think></think>它有多重？", "它有多重？"),
        ("<think>", ""),
        ("</think>", ""),
        ("why " * 100_000 + "?", ""),
    ],
)
def test_thoughts_and_floods_are_no_answers(text: str, kept: str, tmp_path: Path) -> None:
    teacher, _ = make(Failing(), tmp_path)
    assert teacher.ask(requests(text), "s") == [kept]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_replayed_is_not_what_measures_forgetting(language: Language) -> None:
    tasks = [json.loads(row)["prompt"] for row in GENERAL.read_text("utf-8").splitlines()]
    lines = [line for line, _ in read_instructions("replay", language)]
    assert len(lines) == len(set(lines)) == 48
    nearest = {line: max(jaccard(grams(line), grams(task)) for task in tasks) for line in lines}
    assert [line for line, value in nearest.items() if value >= 0.3] == []
