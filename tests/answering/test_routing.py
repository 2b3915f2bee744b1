"""Which way a question goes, and how sure that is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from assistant.answering.confidence import SIGNALS
from assistant.answering.events import AnswerDone, PassagesFound, Question
from assistant.answering.pipeline import Pipeline
from assistant.answering.routing import CuratedFound
from assistant.core.records import Citation, Filters, Message
from assistant.core.settings import Settings
from assistant.core.settings_answer import CalibrationSettings
from assistant.engine.scripted import ScriptedEngine
from indexing.codes import UnknownCode

TORQUE = "The motor flange bolts of the Q7 take 48 Nm."
CITED = Citation(
    number=1,
    document="m.pdf",
    version=1,
    page=2,
    quote="48 Nm",
    heading_path=(),
    chunk_id="c",
    start=0,
    end=5,
)


class Written:
    """One curated answer for a question."""

    def match(self, question: str, filters: Filters) -> CuratedFound | None:
        if filters or "warranty" not in question:
            return None
        return CuratedFound(text="Two years [1].", citations=(CITED,), likeness=0.97, id="cur-1")


def pipeline(searcher: Any, **changes: Any) -> Pipeline:
    answer = msgspec.structs.replace(Settings().answer, **changes)
    settings = msgspec.structs.replace(Settings(), answer=answer)
    return Pipeline(engine=ScriptedEngine(), searcher=searcher, settings=settings, curated=Written())


def test_a_curated_answer_is_given_without_search_and_engine(listed: Any) -> None:
    searcher = listed(TORQUE)
    found, _, done = pipeline(searcher).stream(Question(text="How long is the warranty of a new pump?"))
    assert isinstance(found, PassagesFound)
    assert isinstance(done, AnswerDone)
    answer = done.answer
    assert (answer.text, answer.citations, answer.abstained) == ("Two years [1].", (CITED,), False)
    assert (answer.route.name, answer.route.confidence, answer.route.curated_id) == ("curated", 0.97, "cur-1")
    assert searcher.queries == []
    assert answer.usage.completion_tokens == 0


@pytest.mark.parametrize(
    "question",
    [
        Question(text="How long is the warranty of a new pump?", filters={"product": "Q7"}),
        Question(text="And its warranty?", history=(Message(role="user", content="About the Q7"),)),
    ],
    ids=["filtered away", "leans on another"],
)
def test_it_is_not_given_where_it_does_not_belong(listed: Any, question: Question) -> None:
    assert pipeline(listed(TORQUE)).answer(question).route.name != "curated"


def test_each_way_has_its_confidence(listed: Any) -> None:
    question = Question(text="Which torque do the flange bolts of the Q7 take?")
    retrieved = pipeline(listed(TORQUE)).answer(question)
    assert retrieved.route.name == "retrieval"
    assert retrieved.route.evidence == 1.0
    assert 0 < (retrieved.route.confidence or 0) < 1
    coded = listed(TORQUE)
    coded.passages = tuple(msgspec.structs.replace(row, is_code_match=True) for row in coded.passages)
    assert pipeline(coded).answer(question).route.name == "code"
    lost = pipeline(listed(TORQUE, evidence=0.1)).answer(question)
    assert (lost.route.name, lost.route.reason) == ("hand_over", "no_evidence")
    named = listed(TORQUE, unknown=(UnknownCode(code="Q9", nearest=("Q7", "Q5"), is_name=True),))
    unknown = pipeline(named).answer(question)
    assert unknown.route.reason == "unknown_code"
    assert unknown.text.startswith("Q9 is not in the documents; the nearest known ones are Q7, Q5.")
    assert pipeline(listed(TORQUE)).answer(question, "base").route.name == "closed_book"


def test_an_answer_below_the_collections_threshold_is_handed_over(listed: Any) -> None:
    question = Question(text="Which torque do the flange bolts of the Q7 take?")
    weights = (0.0,) * (len(SIGNALS) + 1)
    own = CalibrationSettings(arm="rag", weights=weights, threshold=0.6)
    answer = pipeline(listed(TORQUE), calibration=own).answer(question)
    assert answer.abstained
    assert (answer.route.reason, answer.route.confidence) == ("unsure", 0.5)
    assert answer.nearest
    for other in (msgspec.structs.replace(own, threshold=0.4), msgspec.structs.replace(own, arm="rag+ft")):
        assert not pipeline(listed(TORQUE), calibration=other).answer(question).abstained
