"""Missing topics: which questions belong together, what is counted and what is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from assistant.answering.topics import Section, find_topics, group
from assistant.core.home import Home
from assistant.core.records import Answer, Chunk, Passage
from assistant.store.answers import Answers, Lineage
from assistant.store.database import Database
from assistant.store.feedback import Feedbacks, Handovers
from assistant.store.unanswered import Unanswered, read_unanswered

SUBJECTS = {"lift": 0, "电梯": 0, "cable": 1, "电缆": 1}


class Subjects:
    """Knows what two subjects are called in both languages."""

    def embed_queries(self, texts: Sequence[str]) -> Any:
        vectors = np.zeros((len(texts), 3), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            found = [place for word, place in SUBJECTS.items() if word in text.lower()]
            row[found[0] if found else 2] = 1.0
        return vectors


class Sections:
    """Finds one document, two chunks of one section of it first."""

    def search(self, query: str, top_k: int | None = None) -> tuple[Passage, ...]:
        headings = (("Doors",), ("Doors",), ("Roof",))
        return tuple(
            Passage(
                rank=rank,
                score=1 / rank,
                chunk=Chunk(
                    id=f"c{rank}",
                    document="house.pdf",
                    version=1,
                    position=rank,
                    text=query,
                    heading_path=heading,
                    page=rank,
                ),
            )
            for rank, heading in enumerate(headings, 1)
        )[:top_k]


def asked(question: str, **values: Any) -> Unanswered:
    given = {"language": "zh" if question > "z" else "en", "day": "2026-11-20", "abstained": True}
    return Unanswered(**({"question": question, "handed_over": False, "disliked": False} | given | values))


def test_questions_of_one_subject_in_both_languages_are_one_topic() -> None:
    rows = [
        asked("Where is the lift?"),
        asked("Where  is the lift?", day="2026-11-22", handed_over=True),
        asked("电梯在哪里？我的电话是 13812345678", day="2026-11-19"),
        asked("Which cable?", abstained=False, disliked=True),
    ]
    first, second = find_topics(rows, Subjects(), Sections())
    assert (first.count, first.abstained, first.handed_over, first.disliked) == (3, 3, 1, 0)
    assert first.languages == {"en": 2, "zh": 1}
    assert (first.first_day, first.last_day) == ("2026-11-19", "2026-11-22")
    assert set(first.examples) == {"Where is the lift?", "电梯在哪里？我的电话是 [电话]"}
    assert first.nearest == (
        Section(document="house.pdf", version=1, heading_path=("Doors",), page=1),
        Section(document="house.pdf", version=1, heading_path=("Roof",), page=3),
    )
    assert (second.question, second.count, second.disliked) == ("Which cable?", 1, 1)


def test_the_question_in_the_middle_stands_for_its_topic() -> None:
    class Near:
        def embed_queries(self, texts: Sequence[str]) -> Any:
            if len(texts) > 3:  # the everyday questions
                return np.zeros((len(texts), 2), np.float32)
            angles = np.array([0.0, 0.1, 0.25])
            return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    (topic,) = find_topics([asked("edge"), asked("middle"), asked("other edge")], Near(), Sections())
    assert (topic.question, len(topic.examples)) == ("middle", 3)


@pytest.mark.parametrize("count", [0, 1])
def test_few_questions(count: int) -> None:
    rows = [asked("lift?")] * count
    assert [topic.count for topic in find_topics(rows, Subjects(), Sections())] == [1] * count


def test_a_language_of_its_own_direction_does_not_divide_a_topic() -> None:
    """Both languages lie apart, as embedders put them; what is asked is a small part of each vector."""

    class Apart(Subjects):
        def embed_queries(self, texts: Sequence[str]) -> Any:
            subject = super().embed_queries(texts)
            side = np.array([[4.0, 0.0] if text < "z" else [0.0, 4.0] for text in texts])
            vectors = np.concatenate([subject, side], axis=1)
            return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    rows = [asked(text) for text in ("lift?", "电梯？", "cable?", "电缆？", "roof?", "屋顶？")]
    found = find_topics(rows, Apart(), Sections())
    assert [topic.languages for topic in found] == [{"en": 1, "zh": 1}] * 3
    assert {frozenset(topic.examples) for topic in found} == {
        frozenset(pair) for pair in (("lift?", "电梯？"), ("cable?", "电缆？"), ("roof?", "屋顶？"))
    }


def test_a_chain_of_neighbours_is_not_one_topic() -> None:
    angles = np.linspace(0, np.pi / 2, 12)
    groups = group(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32), 0.9)
    assert len(groups) > 1
    assert sorted(place for places in groups for place in places) == list(range(12))


def test_what_counts_as_unanswered(home: Home) -> None:
    database = Database(home.database_url)
    with database.write() as session:
        for number, (question, abstained, collection) in enumerate(
            [
                ("covered", False, "pumps"),
                ("not covered", True, "pumps"),
                ("passed on", False, "pumps"),
                ("called bad", False, "pumps"),
                ("not settled", False, "pumps"),
                ("called good", False, "pumps"),
                ("elsewhere", True, "ovens"),
                ("an attack", True, "pumps"),
            ]
        ):
            answer = Answer(
                id=f"ans-{number}",
                question=question,
                text="x",
                abstained=abstained,
                citations=(),
                passages=(),
                arm="rag",
                language="en",
                timings={},
            )
            lineage = Lineage(reason="orders_only" if question == "an attack" else "no_evidence")
            Answers(session).save(answer, key_id="k", collection=collection, lineage=lineage)
        Handovers(session).open("k", "pumps", note="", summary={}, answer_id="ans-2")
        Feedbacks(session).add("ans-3", "k", "pumps", rating="down")
        Feedbacks(session).add("ans-3", "k", "pumps", rating="down")
        Feedbacks(session).add("ans-4", "k", "pumps", is_resolved=False)
        Feedbacks(session).add("ans-5", "k", "pumps", rating="up", is_resolved=True)
    with database.read() as session:
        found = read_unanswered(session, "pumps")
        limited = read_unanswered(session, "pumps", limit=1)
        today = found[0].day
        assert read_unanswered(session, "pumps", first_day=today, last_day=today) == found
        assert read_unanswered(session, "pumps", last_day="2020-01-01") == []
        assert read_unanswered(session, "pumps", first_day="2099-01-01") == []
    database.close()
    assert {row.question: (row.abstained, row.handed_over, row.disliked) for row in found} == {
        "not covered": (True, False, False),
        "passed on": (False, True, False),
        "called bad": (False, False, True),
        "not settled": (False, False, True),
    }
    assert [row.question for row in limited] == ["not settled"]
