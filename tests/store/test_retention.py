from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from assistant.core.errors import DeskmateError
from assistant.core.home import Home
from assistant.core.moments import to_moment
from assistant.core.records import Answer
from assistant.store.answers import Answers, Lineage
from assistant.store.audit import AuditLog
from assistant.store.database import Database
from assistant.store.feedback import Conversations, Feedbacks, Handovers
from assistant.store.idempotency import Idempotency
from assistant.store.retention import Expired, count_expired, expire
from assistant.store.service_tables import AnswerRow, ConversationRow, FeedbackRow, HandoverRow

OLD, NOW = 1_700_000_000.0, 1_800_000_000.0
BEFORE = 1_750_000_000.0
KILLED = """
import os, sys
from sqlalchemy import event
from sqlalchemy.orm import Session
from assistant.store.database import Database
from assistant.store.retention import expire
commits = []
def count(session):
    commits.append(1)
    if len(commits) == 3:
        os.kill(os.getpid(), 9)
database = Database(sys.argv[1])
event.listen(Session, sys.argv[2], count)
expire(database, 1_750_000_000.0, per_transaction=2)
"""


@pytest.fixture
def database(home: Home) -> Iterator[Database]:
    opened = Database(home.database_url)
    yield opened
    opened.close()


def ask(
    database: Database, name: str, asked: float, conversation: str | None = None, *, is_told: bool = True
) -> None:
    """Store an answer with feedback and a hand-over, as they were made at a moment."""
    answer = Answer(
        id=f"ans-{name}",
        question=f"{name}: 泵坏了吗?",
        text="水",
        abstained=False,
        citations=(),
        passages=(),
        arm="rag",
        language="zh",
        timings={"total": 0.5},
    )
    with database.write() as session:
        Answers(session).save(
            answer, key_id="k", collection="pumps", lineage=Lineage(), conversation_id=conversation
        )
        if is_told:
            Feedbacks(session).add(answer.id, "k", "pumps", comment=f"said of {name}")
            Handovers(session).open(
                "k",
                "pumps",
                note=f"noted {name}",
                summary={"question": f"meant by {name}"},
                answer_id=answer.id,
            )
        moment = to_moment(asked)
        for table, of in (
            (AnswerRow, AnswerRow.id == answer.id),
            (FeedbackRow, FeedbackRow.answer_id == answer.id),
            (HandoverRow, HandoverRow.answer_id == answer.id),
        ):
            session.execute(update(table).where(of).values(created=moment))


def talk(database: Database, begun: float, title: str) -> str:
    with database.write() as session:
        name = Conversations(session).begin("k", "pumps", title).id
        session.execute(
            update(ConversationRow).where(ConversationRow.id == name).values(created=to_moment(begun))
        )
    return name


def left(database: Database) -> dict[str, Any]:
    with database.read() as session:
        handovers = session.scalars(select(HandoverRow)).all()
        return {
            "answers": set(session.scalars(select(AnswerRow.id))),
            "judged": set(session.scalars(select(FeedbackRow.answer_id))),
            "conversations": set(session.scalars(select(ConversationRow.title))),
            "told": {row.answer_id for row in handovers if row.summary or row.note},
            "handovers": len(handovers),
        }


def test_what_is_too_old_goes_with_all_that_hangs_on_it(database: Database) -> None:
    ended, lasting = talk(database, OLD, "ended 结束"), talk(database, OLD, "lasting")
    talk(database, NOW, "empty and new")
    ask(database, "old", OLD, ended)
    ask(database, "old-turn", OLD, lasting)
    ask(database, "new-turn", NOW, lasting)
    with database.read() as session:
        expected = count_expired(session, BEFORE)
    assert left(database)["answers"] == {"ans-old", "ans-old-turn", "ans-new-turn"}

    found = expire(database, BEFORE)
    assert found == expected == Expired(answers=2, feedback=2, conversations=1, handovers=2)
    assert left(database) == {
        "answers": {"ans-new-turn"},
        "judged": {"ans-new-turn"},
        "conversations": {"lasting", "empty and new"},
        "told": {"ans-new-turn"},
        "handovers": 3,
    }
    assert expire(database, BEFORE) == Expired()
    with database.read() as session:
        (entry,) = AuditLog(session).all()
        assert AuditLog(session).verify().broken_at is None
    assert entry.action == "expireAnswers"
    assert "2 answers" in entry.target
    assert "泵" not in entry.target


def test_what_was_said_since_of_something_old_goes_too(database: Database) -> None:
    """Feedback and hand-overs are younger than their answer, and go with it all the same."""
    talked = talk(database, OLD, "t")
    ask(database, "old", OLD, talked, is_told=False)
    with database.write() as session:
        Feedbacks(session).add("ans-old", "k", "pumps", comment="late")
        Handovers(session).open("k", "pumps", note="迟", summary={"a": 1}, conversation_id=talked)
    assert expire(database, BEFORE) == Expired(answers=1, feedback=1, conversations=1, handovers=1)
    with database.read() as session:
        (handover,) = Handovers(session).listed()
    assert (handover.summary, handover.note, handover.state) == ({}, "", "open")
    with database.write() as session:  # work on it goes on
        Handovers(session).change(handover.id, state="taken", assignee="安娜", note="called back")
    assert expire(database, BEFORE) == Expired()


def test_what_lost_its_answer_before_goes_by_its_own_age(database: Database) -> None:
    ask(database, "old", OLD)
    ask(database, "new", NOW)
    with database.write() as session:
        session.execute(text("DELETE FROM answers"))
    assert expire(database, BEFORE) == Expired(feedback=1, handovers=1)
    assert left(database)["judged"] == {"ans-new"}


def test_kept_replies_of_requests_are_forgotten(database: Database) -> None:
    with database.write() as session:
        for begun, name in ((OLD, "old"), (NOW, "new")):
            Idempotency(session, begun).begin(name, "f", NOW)
            Idempotency(session, begun).finish(name, 201, (), "答案".encode())
    expire(database, BEFORE)
    with database.write() as session:
        assert Idempotency(session, NOW).begin("old", "f", NOW) is None
        assert Idempotency(session, NOW).begin("new", "f", NOW) is not None


@pytest.mark.parametrize("moment", ["after_commit", "before_commit"])
def test_killed_it_leaves_nothing_in_half(database: Database, moment: str) -> None:
    for number in range(9):
        ask(database, str(number), OLD + number, talk(database, OLD, f"c{number}"))
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, database.url, moment], check=False, cwd=Path.cwd(), timeout=60
    )
    assert ended.returncode == -9
    rows = left(database)
    gone = 6 if moment == "after_commit" else 4
    assert rows["answers"] == rows["judged"] == rows["told"] == {f"ans-{n}" for n in range(gone, 9)}
    assert rows["conversations"] == {f"c{n}" for n in range(gone, 9)}
    assert expire(database, BEFORE).answers == 9 - gone
    assert not left(database)["answers"]
    with database.read() as session:
        assert AuditLog(session).verify().broken_at is None


@pytest.mark.sqlite
def test_what_cannot_be_noted_is_not_deleted(database: Database) -> None:
    ask(database, "old", OLD)
    with database.write() as session:
        refuse = "BEGIN SELECT RAISE(ABORT, 'no'); END"
        session.execute(text(f"CREATE TRIGGER refuse BEFORE INSERT ON audit_log {refuse}"))
    with pytest.raises(DeskmateError, match="no"):
        expire(database, BEFORE)
    assert left(database)["answers"] == left(database)["judged"] == left(database)["told"] == {"ans-old"}


@pytest.mark.sqlite
def test_it_leaves_the_disk(database: Database, home: Home) -> None:
    for number in range(40):
        ask(database, str(number), OLD)
    expire(database, BEFORE)
    files = [path.read_bytes() for path in home.root.glob("deskmate.sqlite3*")]
    assert files
    words = ["泵坏了吗".encode(), b"said of", b"meant by", b"noted "]
    assert not any(word in content for content in files for word in words)
