from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from assistant.cli.app import root
from assistant.cli.context import Context
from assistant.cli.jobs import _follow
from assistant.cli.worker import KINDS, _function
from assistant.core.errors import DeskmateError
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.jobs.job_queue import JobQueue
from assistant.jobs.records import Job, JobKind
from assistant.store.database import Database
from assistant.store.documents import Documents

HASHING = ["--set", "embedder.model=hashing"]
START = [sys.executable, "-c", "from assistant.cli import main; main()"]


def deskmate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(root, [str(word) for word in arguments], catch_exceptions=True)


def answer(*arguments: str | Path) -> Any:
    result = deskmate(*arguments, "--json")
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def error(result: Result) -> DeskmateError:
    assert isinstance(result.exception, DeskmateError), result.exception
    return result.exception


@pytest.fixture(autouse=True)
def data(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DESKMATE_HOME", str(home.root))
    return home


@pytest.fixture
def queue(home: Home) -> Iterator[JobQueue]:
    with closing(Database(home.database_url)) as database:
        yield JobQueue(database, home)


def test_every_kind_has_its_function() -> None:
    assert set(KINDS) == set(get_args(JobKind))
    assert all(callable(_function(kind)) for kind in KINDS)


def test_a_background_add_is_queued_with_its_settings_and_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "文件").mkdir()
    monkeypatch.setenv("DESKMATE__SERVICE__PORT", "9000")
    job = answer(*HASHING, "index", "add", "文件", "--collection", "泵", "--background")
    assert (job["kind"], job["collection"], job["state"]) == ("index.add", "泵", "queued")
    assert job["arguments"]["paths"] == [str(tmp_path / "文件")]
    assert job["settings"] == {"embedder.model": "hashing"}
    assert answer("jobs", "list", "--collection", "泵")["jobs"] == [job]
    assert answer("jobs", "list", "--state", "running")["jobs"] == []
    said = deskmate("jobs", "retry", job["id"])
    assert "only a failed or cancelled one" in error(said).message
    told = deskmate(*HASHING, "index", "rebuild", "--background").stdout
    assert "next: deskmate worker\nnext: deskmate jobs watch job-" in told


def test_syncing_rebuilding_and_compacting_run_as_jobs_too(tmp_path: Path) -> None:
    folder = tmp_path / "文件"
    folder.mkdir()
    (folder / "pump.txt").write_text("Call +49 30 555018600 about fault code E-47.\n", "utf-8")
    (folder / "gone.txt").write_text("门封条每天用温水擦净。\n", "utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    sync = ("index", "sync", folder, "--collection", "泵")
    first = answer(*HASHING, *sync, "--meta", "plant=Graz", "--background")
    assert (first["kind"], first["arguments"]["folder"]) == ("index.sync", str(folder))
    assert deskmate("worker", "--once").exit_code == 0
    ended = answer("jobs", "show", first["id"])
    assert (ended["state"], ended["error"]["message"]) == ("partly_failed", "1 of 3 files cannot be indexed")
    assert ended["result"]["personal_data"] == {"pump.txt": {"phone": 1}}
    (folder / "gone.txt").unlink()
    jobs = [
        answer(*HASHING, *sync, "--yes", "--background"),
        answer("index", "rebuild", "--collection", "泵", "--background"),
        answer("index", "compact", "--collection", "泵", "--background"),
    ]
    assert deskmate("worker", "--once").exit_code == 0
    synced, rebuilt, compacted = (answer("jobs", "show", job["id"]) for job in jobs)
    assert (synced["result"]["removed"], synced["result"]["unchanged"]) == (["gone.txt"], ["pump.txt"])
    assert (rebuilt["state"], rebuilt["result"]["document_count"]) == ("succeeded", 1)
    assert (compacted["state"], compacted["result"]["snapshot"]) == ("succeeded", "000004")
    assert compacted["result"]["freed_bytes"] > 0
    both = deskmate(*HASHING, *sync, "--dry-run", "--background")
    assert (both.exit_code, "either --dry-run or --background" in both.stderr) == (2, True)


def test_earlier_states_come_back_as_jobs_too(tmp_path: Path) -> None:
    file = tmp_path / "门封.txt"
    for text in ("The seal is HQ-1204.\n", "门封条每天用温水擦净。\n"):
        file.write_text(text, "utf-8")
        answer(*HASHING, "index", "add", file)
    jobs = [
        answer("index", "restore", "门封.txt", "--version", "1", "--background"),
        answer("index", "rollback", "2", "--background"),
        answer("index", "rollback", "9", "--background"),
    ]
    assert [job["kind"] for job in jobs] == ["index.restore", "index.rollback", "index.rollback"]
    deskmate("worker", "--once")
    restored, rolled_back, unknown = (answer("jobs", "show", job["id"]) for job in jobs)
    assert (restored["state"], restored["result"]["snapshot"]) == ("succeeded", "000003")
    assert (rolled_back["state"], rolled_back["result"]["target"]) == ("succeeded", "000002")
    assert (unknown["state"], "no snapshot" in unknown["error"]["message"]) == ("failed", True)


def test_what_is_removed_while_its_job_waits_stays_away(tmp_path: Path) -> None:
    file = tmp_path / "泵.txt"
    file.write_text("密封圈每两年更换一次。\n", "utf-8")
    answer(*HASHING, "index", "add", file)
    file.write_text("密封圈每三年更换一次。\n", "utf-8")
    job = answer(*HASHING, "index", "add", file, "--background")
    assert deskmate("index", "remove", "泵.txt").exit_code == 0
    assert deskmate("worker", "--once").exit_code == 0
    assert answer("jobs", "show", job["id"])["result"]["held"] == ["泵.txt"]
    assert answer("index", "status")["collections"][0]["document_count"] == 0


def test_listing_tells_how_long_ended_jobs_are_kept(queue: JobQueue) -> None:
    for _ in range(3):
        queue.cancel(queue.enqueue("index.rebuild", "泵", {}).id)
    two = ("--set", "jobs.kept=2")
    listed = answer(*two, "jobs", "list")
    assert (len(listed["jobs"]), listed["kept"], listed["kept_days"]) == (2, 2, 30)
    assert "kept: the newest 2 ended jobs, for 30 days" in deskmate(*two, "jobs", "list").stdout


def test_a_worker_runs_each_job_with_its_own_settings_and_none_stops_the_next(tmp_path: Path) -> None:
    absent, empty = tmp_path / "absent", tmp_path / "空.txt"
    empty.touch()
    rebuild = answer(*HASHING, "index", "rebuild", "--background")
    # the worker's own settings name a model that is not there
    without = answer("index", "rebuild", "--collection", "other", "--background")
    refused = answer(*HASHING, "index", "add", absent, empty, "--background")
    train = answer("train", "--background")
    assert deskmate("worker", "--once").exit_code == 0
    ended = {job["id"]: job for job in answer("jobs", "list")["jobs"]}
    assert {job["state"] for job in ended.values()} == {"failed"}
    slugs = [ended[job["id"]]["error"]["slug"] for job in (rebuild, without, refused, train)]
    assert slugs == ["not-found", "model-broken", "file-refused", "not-found"]
    listed = ended[refused["id"]]["result"]["refused"]
    assert [Path(row["path"]).name for row in listed] == ["absent", "空.txt"]
    shown = deskmate("jobs", "show", refused["id"]).stdout
    assert f"refused: {absent}: does not exist" in shown
    assert "error: 2 of 2 files cannot be indexed" in shown


def test_a_kind_that_the_worker_does_not_know_fails_alone(queue: JobQueue) -> None:
    job = queue.enqueue("from.tomorrow", "pumps", {})  # type: ignore[arg-type]
    deskmate("worker", "--once")
    told = queue.get(job.id).error
    assert told is not None
    assert "'from.tomorrow'" in told.message


def test_cancel_retry_and_watch_tell_what_became_of_a_job(queue: JobQueue) -> None:
    job = queue.enqueue("index.rebuild", "泵", {}, {"embedder.model": "hashing"})
    assert f"{job.id} is cancelled" in deskmate("jobs", "cancel", job.id).stdout
    assert "cancelled" in error(deskmate("jobs", "watch", job.id)).message
    assert f"{job.id} is queued" in deskmate("jobs", "retry", job.id).stdout
    running = queue.claim("elsewhere")
    assert running is not None
    assert "will end at its next step" in deskmate("jobs", "cancel", job.id).stdout
    assert "cancelling" in deskmate("jobs", "list").stdout
    queue.finish(running, None, [])
    watched = error(deskmate("jobs", "watch", job.id))
    assert (watched.exit_code, watched.next_command) == (1, f"deskmate jobs show {job.id}")
    assert error(deskmate("jobs", "show", "job-x")).exit_code == 3


_CLAIM = """
import sys, time
from pathlib import Path
from assistant.jobs.presence import Presence
with Presence(Path(sys.argv[1])).enter() as name:
    print(name, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def lost(home: Home, queue: JobQueue) -> Job:
    """A job as its worker's claim left it; the worker was killed since."""
    queue.enqueue("index.rebuild", "泵", {})
    command = [sys.executable, "-c", _CLAIM, str(home.workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        job = queue.claim(worker.stdout.readline().strip())
        os.kill(worker.pid, signal.SIGKILL)
    assert job is not None
    assert queue.get(job.id).state == "running"
    return job


@pytest.mark.parametrize("command", ["show", "list", "retry"])
def test_a_job_whose_worker_died_is_queued_for_who_looks(lost: Job, command: str) -> None:
    if command == "list":
        assert answer("jobs", "list", "--state", "queued")["jobs"][0]["id"] == lost.id
    elif command == "show":
        assert answer("jobs", "show", lost.id)["state"] == "queued"
    else:
        assert "is queued" in error(deskmate("jobs", "retry", lost.id)).message


def test_who_watches_is_told_that_the_worker_died(lost: Job, queue: JobQueue) -> None:
    context = Context((), {}, {}, NoProgress())
    context.console = Console(file=io.StringIO())

    def cancel_when_told() -> None:
        until = time.monotonic() + 10
        while "worker" not in told() and time.monotonic() < until:
            time.sleep(0.01)
        queue.cancel(lost.id)

    def told() -> str:
        return context.console.file.getvalue()  # type: ignore[attr-defined, no-any-return]

    teller = threading.Thread(target=cancel_when_told)
    teller.start()
    assert _follow(context, queue, lost).state == "cancelled"
    teller.join()
    assert told() == "its worker is gone; start one with: deskmate worker\n"


def stored(home: Home) -> int:
    """Return how many documents are in collection 泵."""
    with closing(Database(home.database_url)) as database, database.read() as session:
        found = Documents(session).find_collection("泵")
        return len(Documents(session).live_versions(found.id)) if found else 0


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_a_batch_loses_nothing(
    home: Home, queue: JobQueue, tmp_path: Path
) -> None:
    files = tmp_path / "文件"
    files.mkdir()
    for number in range(60):
        (files / f"{number:03}.txt").write_text(f"Pump {number}: fault E-{number}.\n\n水泵 {number} 漏水。\n")
    (files / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    queued = answer(*HASHING, "index", "add", files, "--collection", "泵", "--background")
    first = subprocess.Popen([*START, "worker"], stderr=subprocess.PIPE, text=True)
    _wait(first, lambda: stored(home) >= 10)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    left = stored(home)
    assert 10 <= left < 60
    assert queue.get(queued["id"]).state == "running"
    second = subprocess.Popen([*START, "worker"], stderr=subprocess.PIPE, text=True)
    _wait(second, lambda: queue.get(queued["id"]).has_ended)
    job: Job = queue.get(queued["id"])
    assert (job.state, job.attempts) == ("partly_failed", 2)
    assert job.result is not None
    assert (len(job.result["added"]), len(job.result["unchanged"])) == (60 - left, left)  # type: ignore[arg-type]
    assert [Path(row["path"]).name for row in job.result["refused"]] == ["broken.pdf"]  # type: ignore[attr-defined]
    assert job.stages[0].total == 61 - left  # what was stored is not read again
    found = answer(*HASHING, "search", "E-17 漏水", "--collection", "泵", "--top-k", "1")["passages"]
    assert found[0]["document"] == "017.txt"
    # the idle worker leaves at the first word
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=10) == 0
    second.communicate()


def _wait(process: subprocess.Popen[str], is_there: Any) -> None:
    until = time.monotonic() + 180
    while not is_there():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
def test_synthesis_and_evaluation_run_as_jobs_too(tmp_path: Path) -> None:
    (tmp_path / "pump.md").write_text("# Faults\n\nFault code E-47: the fan is blocked. Clean the fan.\n")
    case = {"id": "a", "lang": "en", "question": "What is E-47?", "answers": ["The fan is blocked."]}
    case["gold"] = [{"doc": "pump.md", "evidence": "the fan is blocked"}]
    suite = tmp_path / "suite.jsonl"
    suite.write_text(json.dumps(case) + "\n")
    dry = [*HASHING, "--set", "engine.kind=scripted"]
    answer(*dry, "index", "add", tmp_path / "pump.md", "--background")
    answer(*dry, "synth", "--held-out", suite, "--background")
    answer(*dry, "eval", "--suite", suite, "--arms", "rag", "--background")
    answer(*dry, "eval", "--suite", suite, "--retrieval-only", "--background")
    assert deskmate("worker", "--once").exit_code == 0
    retrieval, arms, synth, index = answer("jobs", "list")["jobs"]
    assert [job["state"] for job in (index, synth, arms, retrieval)] == ["succeeded"] * 4, synth["error"]
    assert retrieval["result"]["retrieval"]["en"]["hit_at_1"] == 1.0
    assert [row["arm"] for row in arms["result"]["arms"]] == ["rag"]
    assert synth["result"]["is_new"]
    assert "page: " in deskmate("jobs", "watch", arms["id"]).stdout
