"""Questions while no engine answers: refused, or answered with quotes that say what they are."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from assistant.answering.events import AnswerDone, AnswerText, Question
from assistant.answering.pipeline import Pipeline
from assistant.core.errors import EngineUnavailable
from assistant.core.settings import Settings
from assistant.engine.scripted import ScriptedEngine

EN = "The motor flange bolts of the Q7 take 48 Nm. Tighten them crosswise."
ZH = "T6 的门封条每 10 个月更换一次。更换前请断开电源。"


def pipeline(searcher: Any, *, quotes: bool) -> Pipeline:
    """Return a pipeline whose engine is gone."""
    answer = msgspec.structs.replace(Settings().answer, when_engine_fails="quote" if quotes else "refuse")
    engine = ScriptedEngine()
    engine.close()
    settings = msgspec.structs.replace(Settings(), answer=answer)
    return Pipeline(engine=engine, searcher=searcher, settings=settings, release="rel-1")


@pytest.mark.parametrize(
    ("question", "passage", "quote", "said"),
    [
        ("Which torque do the flange bolts take?", EN, "48 Nm", "cannot be reached"),
        ("T6 的门封条多久更换？", ZH, "10 个月", "无法访问"),
    ],
)
def test_quotes_answer_where_the_settings_say_so(
    listed: Any, question: str, passage: str, quote: str, said: str
) -> None:
    asked = pipeline(listed(passage, "Store the pump dry."), quotes=True)
    *_, text, done = asked.stream(Question(text=question))
    assert isinstance(text, AnswerText)
    assert isinstance(done, AnswerDone)
    for answer in (done.answer, asked.answer(Question(text=question))):
        assert answer.is_extract
        assert not answer.abstained
        assert answer.release == "rel-1"
        assert said in answer.text
        assert quote in answer.citations[0].quote
        for citation in answer.citations:
            assert f"“{citation.quote}” [{citation.number}]" in answer.text


def test_otherwise_the_question_is_refused_at_once(listed: Any) -> None:
    asked = pipeline(listed(EN), quotes=False)
    with pytest.raises(EngineUnavailable):
        list(asked.stream(Question(text="Which torque?")))
    with pytest.raises(EngineUnavailable):
        asked.answer(Question(text="Which torque?"))


def test_without_passages_there_is_nothing_to_quote(listed: Any) -> None:
    with pytest.raises(EngineUnavailable):
        pipeline(listed(EN), quotes=True).answer(Question(text="Which torque?"), "base")


def test_what_the_documents_do_not_cover_needs_no_engine(listed: Any) -> None:
    answer = pipeline(listed(EN, evidence=0.0), quotes=True).answer(Question(text="Who is the king?"))
    assert answer.abstained
    assert not answer.is_extract
