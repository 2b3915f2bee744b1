"""The service's rows on PostgreSQL by URL; a cluster of its own, where the server is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from assistant.core.errors import NotFoundError
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
from assistant.store.usage import UsageGroup, read_usage

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
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    initdb, control = shutil.which("initdb"), shutil.which("pg_ctl")
    if not initdb or not control:
        pytest.skip("no PostgreSQL server here")
    folder = Path("/tmp") / f"deskmate-postgres-{os.getpid()}"  # noqa: S108 - the server's user must reach it
    folder.mkdir()
    as_user: list[str] = []
    if os.getuid() == 0:  # the server refuses to run as root
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("no user for the PostgreSQL server")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        as_user = ["runuser", "-u", "postgres", "--"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    data, quiet = folder / "data", {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*as_user, initdb, "-D", data, "-A", "trust", "-U", "desk"], check=True, **quiet)
    options = f"-p {port} -k {folder} -h 127.0.0.1"
    start = [*as_user, control, "-D", data, "-o", options, "-l", folder / "log", "-w", "start"]
    subprocess.run(start, check=True, **quiet)
    yield f"postgresql+pg8000://desk@127.0.0.1:{port}/postgres"
    subprocess.run([*as_user, control, "-D", data, "-m", "immediate", "stop"], check=False, **quiet)
    shutil.rmtree(folder, ignore_errors=True)


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
