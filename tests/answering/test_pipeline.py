from __future__ import annotations

import re
from typing import Any

import pytest

from assistant.answering.events import AnswerDone, AnswerText, PassagesFound, Question
from assistant.answering.pipeline import Pipeline
from assistant.core.errors import InputError, NotFoundError
from assistant.core.prompts import not_covered
from assistant.core.records import Message
from assistant.core.settings import Settings
from assistant.engine.scripted import ScriptedEngine
from indexing.codes import UnknownCode

TORQUE = "The motor flange bolts of the Q7 take 48 Nm."
ZH = "更换门封条：T6 每 10 个月一次。"


def _pipeline(searcher: Any, adapter: str | None = None) -> Pipeline:
    return Pipeline(engine=ScriptedEngine(), searcher=searcher, settings=Settings(), adapter=adapter)


def test_events_come_in_order_and_end_checked(listed: Any) -> None:
    pipeline = _pipeline(listed(TORQUE, "Store the pump dry."))
    events = list(pipeline.stream(Question(text="Which torque do the motor flange bolts of the Q7 take?")))
    found, *texts, done = events
    assert isinstance(found, PassagesFound)
    assert [citation.number for citation in found.citations] == [1, 2]
    assert all(isinstance(event, AnswerText) for event in texts)
    assert isinstance(done, AnswerDone)
    answer = done.answer
    assert "48 Nm" in answer.text
    assert not answer.abstained
    assert answer.citations[0].quote in TORQUE
    assert (answer.arm, answer.language) == ("rag", "en")
    assert {"retrieve", "first_token", "total"} <= set(answer.timings)


def test_a_chinese_question_gets_a_chinese_answer(listed: Any) -> None:
    answer = _pipeline(listed(ZH)).answer(Question(text="T6 的门封条多久更换一次？"))
    assert answer.language == "zh"
    assert "10 个月" in answer.text
    assert answer.citations[0].quote in ZH


@pytest.mark.parametrize(
    ("question", "language"), [("Why is the sky blue?", "en"), ("天空为什么是蓝的？", "zh")]
)
def test_too_little_evidence_abstains_without_the_engine(listed: Any, question: str, language: Any) -> None:
    answer = _pipeline(listed(TORQUE, evidence=0.01)).answer(Question(text=question))
    assert answer.abstained
    head, tail = re.split(r"(?<=[.。])", not_covered(language), maxsplit=1)
    assert answer.text.startswith(head)
    assert answer.text.endswith(tail.strip())
    assert "manual.pdf › Torques" in answer.text
    assert (answer.route.name, answer.route.reason) == ("hand_over", "no_evidence")
    assert answer.nearest[0].chunk_id == "c0"
    assert answer.missing == (("sky", "blue") if language == "en" else ("天空",))
    assert answer.citations == ()
    assert answer.usage.completion_tokens == 0


def test_an_unknown_code_is_said_to_be_unknown(listed: Any) -> None:
    searcher = listed(TORQUE, unknown=(UnknownCode(code="E-47", nearest=("E-45", "E-42")),))
    answer = _pipeline(searcher).answer(Question(text="What does E-47 mean?"))
    assert answer.abstained
    assert "E-47" in answer.text
    assert "E-45" in answer.text
    filtered = Question(text="What does E-47 mean?", filters={"product": "Q7"})
    assert "E-45" not in _pipeline(searcher).answer(filtered).text


def test_history_is_searched_with_and_bounded(listed: Any) -> None:
    searcher = listed(TORQUE)
    turns = [("user", "about the Q7"), ("assistant", "yes?")] * 9
    history = tuple(Message(role=role, content=text) for role, text in turns)  # type: ignore[arg-type]
    answer = _pipeline(searcher).answer(Question(text="and its bolts?", history=history))
    assert searcher.queries == ["about the Q7\nand its bolts?"]
    assert answer.searched == "about the Q7\nand its bolts?"


@pytest.mark.parametrize("text", ["", "  \n", "x" * 4001, "\x00\x01binary", "broken \ufffd"])
def test_what_is_no_question_is_refused(listed: Any, text: str) -> None:
    with pytest.raises(InputError, match="question"):
        _pipeline(listed(TORQUE)).answer(Question(text=text))


def test_an_arm_needs_its_parts(listed: Any) -> None:
    with pytest.raises(NotFoundError, match="adapter"):
        _pipeline(listed(TORQUE)).answer(Question(text="Which torque?"), "rag+ft")
    with pytest.raises(NotFoundError, match="index"):
        _pipeline(None).answer(Question(text="Which torque?"), "rag")


def test_many_answers_keep_their_order(listed: Any) -> None:
    pipeline = _pipeline(listed(TORQUE, ZH))
    questions = ["Which torque do the bolts take?", "门封条多久更换？", "motor flange?"]
    answers = pipeline.answer_many([Question(text=text) for text in questions])
    assert [answer.question for answer in answers] == questions
    assert [answer.language for answer in answers] == ["en", "zh", "en"]


def test_each_question_is_searched_with_its_own_filters(listed: Any) -> None:
    searcher = listed(TORQUE)
    filters = [{"product": "Q7"}, {"product": "Q7"}, {}, {"product": "Q7"}]
    questions = [Question(text=f"Which torque {place}?", filters=row) for place, row in enumerate(filters)]
    answers = _pipeline(searcher).answer_many(questions)
    assert [answer.question for answer in answers] == [question.text for question in questions]
    assert searcher.queries == [question.text for question in questions]
    assert searcher.filters == [{"product": "Q7"}, {}, {"product": "Q7"}]
