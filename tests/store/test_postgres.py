"""The service's rows on PostgreSQL by URL; a cluster of its own, where the server is installed."""

from __future__ import annotations

import gc
import json
import socket
import sqlite3
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import JSON, Boolean, Connection, Engine, MetaData, create_engine, null, select, text
from sqlalchemy import Table as SqlTable

from assistant.core.errors import DatabaseAway, NotFoundError
from assistant.core.home import Home
from assistant.core.records import Answer
from assistant.jobs.job_queue import JobQueue
from assistant.jobs.listing import count_waiting, note_origin, origin, page_of_jobs
from assistant.store.answers import Answers, Lineage
from assistant.store.audit import AuditEvent, AuditLog
from assistant.store.database import Database
from assistant.store.documents import Documents
from assistant.store.feedback import Conversations, Feedbacks, Handovers
from assistant.store.idempotency import Idempotency
from assistant.store.keys import Keys, NewKey, key_digest
from assistant.store.locking import locked
from assistant.store.migrations import BASELINE
from assistant.store.sessions import Sessions, session_digest
from assistant.store.tables import SCHEMA_VERSION, JobRow
from assistant.store.tables import Table as Base
from assistant.store.unanswered import read_unanswered
from assistant.store.usage import UsageGroup, read_usage
from assistant.store.webhooks import Webhooks

pytestmark = pytest.mark.slow
ANSWER = Answer(
    id="ans-1",
    question="泵?",
    text="水",
    abstained=False,
    citations=(),
    passages=(),
    arm="rag",
    language="zh",
    timings={"total": 0.5},
)


@pytest.fixture(scope="module")
def url(postgres: Any) -> str:
    return str(postgres.new_database())


def test_keys_audit_and_idempotency(url: str) -> None:
    database = Database(url)
    with database.write() as session:
        key, secret = Keys(session).create(NewKey(name="值班", filters={"customer": ("红",)}))
        for target in "abc":
            AuditLog(session).append(
                AuditEvent(actor=key.id, role="agent", action="x", target=target, status=200, request_id="r")
            )
        assert Idempotency(session, 1e9).begin("n", "f", 60) is None
        Idempotency(session, 1e9).finish("n", 201, (("location", "/x"),), b"\x00body")
    with database.write() as session:
        session.execute(text("DELETE FROM audit_log"))
        session.execute(text("UPDATE audit_log SET status = 500"))
    with database.write() as session:
        caller = Keys(session).caller(key_digest(secret.encode()))
        report = AuditLog(session).verify()
        replay = Idempotency(session, 1e9).begin("n", "f", 60)
    with database.write() as session:
        log = AuditLog(session)
        log.prune(log.older("9999"))
    with database.write() as session:
        session.execute(text("DELETE FROM audit_log"))
        pruned = AuditLog(session).verify()
    assert (pruned.pruned, pruned.count, pruned.broken_at) == (3, 1, None)
    assert caller is not None
    assert caller.filters == {"customer": ("红",)}
    assert (report.count, report.broken_at) == (3, None)
    assert replay is not None
    assert (replay.status, replay.body) == (201, b"\x00body")
    database.close()


@pytest.mark.parametrize("by", ["day", "collection", "language", "arm", "key", None])
def test_answers_and_what_people_make_of_them(url: str, by: UsageGroup | None) -> None:
    database = Database(url)
    with database.write() as session:
        conversation = Conversations(session).begin("key-1", "pumps", "报修")
        stored = Answers(session).save(
            ANSWER, key_id="key-1", collection="pumps", lineage=Lineage(), conversation_id=conversation.id
        )
        Feedbacks(session).add(stored.id, "key-1", "pumps", rating="up", is_resolved=True)
        Handovers(session).open("key-1", "pumps", note="", summary={"q": "泵"}, answer_id=stored.id)
        (line,) = read_usage(session, by=by, first_day="2026-01-01", collections=["pumps"])
        assert (line.answers, line.up, line.resolved, line.handovers) == (1, 1, 1, 1)
        Conversations(session).delete(conversation.id, "key-1")
        assert Answers(session).find(stored.id) is None
        session.execute(text("DELETE FROM handovers"))
    database.close()


def test_jobs_page_by_page(url: str, tmp_path: Path) -> None:
    database = Database(url)
    queue = JobQueue(database, Home(tmp_path, url))
    with database.write() as session:
        Documents(session).make_collection("pumps")
    jobs = [queue.enqueue("index.rebuild", "pumps", {}) for _ in range(3)]
    with database.write() as session:
        note_origin(session, jobs[0].id, "key-1")
        page = page_of_jobs(session, limit=2)
        rest = page_of_jobs(session, before=page[-1][0], collections=["pumps"])
        assert [job.id for _, job in [*page, *rest]] == [job.id for job in reversed(jobs)]
        assert [job.id for _, job in page_of_jobs(session, key_id="key-1")] == [jobs[0].id]
        assert (origin(session, jobs[0].id), origin(session, jobs[1].id)) == ("key-1", None)
        assert count_waiting(session) == {"queued": 3, "running": 0}
    with pytest.raises(NotFoundError):
        queue.get("job-0")
    database.close()


@pytest.fixture
def engine(postgres: Any) -> Iterator[Engine]:
    made = create_engine(postgres.new_database())
    yield made
    made.dispose()


def test_a_database_of_the_release_before_goes_forward_and_back(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    database = Database(url)
    database.downgrade(BASELINE)
    database.close()
    stored = _stored()
    before = MetaData()
    before.reflect(engine)
    with engine.begin() as connection:
        connection.execute(before.tables["meta"].delete())
        for table in before.sorted_tables:
            if table.name in stored:
                connection.execute(table.insert(), [_typed(table, row) for row in stored[table.name]])
        was = _all(connection, before)
    assert {name for name, rows in was.items() if not rows} <= {"alembic_version"}
    for _ in range(2):
        database = Database(url)
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
            now = _all(connection, before)
        assert {name: rows for name, rows in now.items() if name not in {"meta", "alembic_version"}} == {
            name: rows for name, rows in was.items() if name not in {"meta", "alembic_version"}
        }
        assert database.downgrade(BASELINE) == SCHEMA_VERSION
        database.close()
        with engine.connect() as connection:
            assert _all(connection, before) == was


def _stored() -> dict[str, list[dict[str, Any]]]:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    script = Path(__file__).parent / "data" / f"schema_{BASELINE}.sql"
    connection.executescript(script.read_text("utf-8"))
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {
        name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')]  # noqa: S608
        for name in names
    }
    connection.close()
    return found


def _typed(table: SqlTable, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the other database takes it: JSON as values, truth as truth."""

    def value(name: str, given: Any) -> Any:
        kind = table.c[name].type
        if isinstance(kind, JSON):
            return null() if given is None else json.loads(given)
        return bool(given) if given is not None and isinstance(kind, Boolean) else given

    return {name: value(name, given) for name, given in row.items()}


def _all(connection: Connection, tables: MetaData) -> dict[str, list[str]]:
    return {
        table.name: sorted(repr(tuple(row)) for row in connection.execute(table.select()))
        for table in tables.sorted_tables
    }


def test_several_that_start_at_once_make_the_tables_once(postgres: Any) -> None:
    url = postgres.new_database()
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: Database(url), range(4)))
    with opened[0].read() as session:
        assert session.scalar(text("SELECT count(*) FROM meta WHERE name = 'schema_version'")) == 1
    for database in opened:
        database.close()


def test_a_server_that_was_restarted_is_used_on(postgres: Any) -> None:
    database = Database(postgres.new_database())
    postgres.stop()
    with pytest.raises(DatabaseAway, match="cannot be reached"), database.read() as session:
        session.execute(text("SELECT 1"))
    postgres.start_again()
    with database.write() as session:
        Documents(session).make_collection("pumps")
    database.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_server_that_closes_while_one_connects_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def close_at_once() -> None:
            connection, _ = server.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # by a reset
            connection.recv(1)
            connection.close()

        with ThreadPoolExecutor(1) as pool:
            closing = pool.submit(close_at_once)
            with pytest.raises(DatabaseAway, match="cannot be reached"):
                Database(f"postgresql+pg8000://desk@127.0.0.1:{server.getsockname()[1]}/desk")
            closing.result()
    gc.collect()  # the driver leaves the socket open


def test_a_read_is_not_broken_off_by_what_changes_meanwhile(url: str, tmp_path: Path) -> None:
    database = Database(url)
    queue = JobQueue(database, Home(tmp_path).make())
    queued = queue.enqueue("index.add", "pumps", {})
    with database.write() as session:
        key = Keys(session).create(NewKey(name="a"))[0]
        opened = Handovers(session).open("key-1", "pumps", note="", summary={})
        hook = Webhooks(session).add("local", "https://a.example", ["handover.opened"], None)[0]
    with database.read() as session:
        session.execute(text("SELECT 1"))
        with database.write() as other:
            for table in ("jobs", "api_keys", "handovers", "webhook_endpoints"):
                other.execute(text(f"UPDATE {table} SET id = id"))  # noqa: S608 - names of ours
        found = [
            Keys(session).get(key.id),
            Handovers(session).find(opened.id),
            Webhooks(session).get(hook.id),
        ]
        seen = session.scalar(locked(session, select(JobRow).where(JobRow.id == queued.id)))
    assert [row.id for row in found if row] == [key.id, opened.id, hook.id]
    assert seen is not None
    database.close()


def test_two_processes_share_the_outbox_and_a_session_ends(postgres: Any) -> None:
    url = postgres.new_database()  # of its own: the other tests leave webhooks behind
    one, other = Database(url), Database(url)
    with one.write() as session:
        webhooks = Webhooks(session)
        ends = [
            webhooks.add("local", f"https://{name}.example", ["handover.opened"], None)[0] for name in "ab"
        ]
        for _ in range(2):
            Handovers(session).open("key-1", "pumps", note="", summary={})
    with one.write() as first, other.write() as second:
        assert Webhooks(first).is_due(10.0)
        mine = Webhooks(first).claim(10.0, 100.0, limit=1)
        theirs = Webhooks(second).claim(10.0, 100.0)
    assert (len(mine), {due.endpoint_id for due in theirs}) == (1, {ends[1].id})
    with one.write() as session:
        Webhooks(session).succeed(mine[0], 204)
        Webhooks(session).fail(theirs[0], 500, "HTTP 500", again_at=50.0, disable_after=1)
        assert Webhooks(session).get(ends[1].id).state == "disabled"
        assert [due.endpoint_id for due in Webhooks(session).claim(20.0, 100.0, (ends[1].id,))] == [
            ends[0].id
        ]
        assert [row.state for row in Webhooks(session).deliveries(ends[0].id)] == ["pending", "delivered"]
        Webhooks(session).prune(-1)
        for end in ends:
            Webhooks(session).remove(end.id)
        token = Sessions(session, lambda: 10.0).begin("user-1", "安娜", "agent", ["pumps"], 5.0)
        found = Sessions(session, lambda: 14.0).find(session_digest(token))
        assert Sessions(session, lambda: 15.0).find(session_digest(token)) is None
        assert read_unanswered(session, "pumps") == []
    assert found is not None
    assert (found.caller.name, found.caller.collections) == ("安娜", ("pumps",))
    one.close()
    other.close()
