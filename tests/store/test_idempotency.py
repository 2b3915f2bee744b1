from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from assistant.store.answers import Answers
from assistant.store.database import Database
from assistant.store.idempotency import Idempotency


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    database = Database(f"sqlite:///{tmp_path / 'desk.sqlite3'}")
    with database.write() as session:
        yield session
    database.close()


def test_answers_are_not_replayed_once_something_was_deleted(session: Session) -> None:
    kept = Idempotency(session, now=0.0)
    for name, header in (
        ("answer", ("location", "/v1/answers/ans-1")),
        ("stream", ("content-type", "text/event-stream")),
        ("job", ("location", "/v1/jobs/job-1")),
    ):
        assert kept.begin(name, "f", 60.0) is None
        kept.finish(name, 201, (header,), b"quote")
    Answers(session).delete_conversation("conv-1")
    again = {name: kept.begin(name, "f", 60.0) for name in ("answer", "stream", "job")}
    assert again["answer"] is None
    assert again["stream"] is None
    assert again["job"] is not None
    assert again["job"].body == b"quote"


def test_an_answer_is_not_kept_where_something_was_deleted_meanwhile(session: Session) -> None:
    kept = Idempotency(session, now=0.0)
    for name in ("answer", "stream", "job"):
        assert kept.begin(name, "f", 60.0) is None
    Idempotency.forget_answers(session)
    running = kept.begin("answer", "f", 60.0)
    assert running is not None
    assert running.status is None
    kept.finish("answer", 201, (("location", "/v1/answers/ans-1"),), b"quote")
    kept.finish("stream", 200, (("content-type", "text/event-stream; charset=utf-8"),), b"quote")
    kept.finish("job", 202, (("location", "/v1/jobs/job-1"),), b"queued")
    session.flush()
    again = {name: kept.begin(name, "f", 60.0) for name in ("answer", "stream", "job")}
    assert (again["answer"], again["stream"]) == (None, None)
    assert again["job"] is not None
    assert again["job"].body == b"queued"
    assert again["job"].headers == (("location", "/v1/jobs/job-1"),)


@pytest.mark.parametrize("hours", [1, -1])
def test_what_began_at_another_time_is_not_waited_for(session: Session, hours: int) -> None:
    assert Idempotency(session, now=1e9).begin("answer", "f", 1e6) is None
    again = Idempotency(session, now=1e9 + 3600 * hours)  # the clock was set back, or the process died
    assert again.begin("answer", "g", 1e6) is None
