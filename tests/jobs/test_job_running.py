from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from assistant.core.errors import CollectionBusy, DatabaseAway, NotFoundError, ResourceError
from assistant.core.home import Home
from assistant.jobs.job_queue import JobQueue
from assistant.jobs.progress import JobProgress
from assistant.jobs.records import Job, JobStage, Outcome
from assistant.jobs.running import BUSY_SECONDS, Work, run_job
from assistant.store.database import Database

NEVER = threading.Event()


def run(queue: JobQueue, work: Work, stop: threading.Event = NEVER) -> Job:
    job = queue.enqueue("index.add", "泵", {"paths": []})
    with queue.presence.enter() as name:
        claimed = queue.claim(name)
        assert claimed is not None
        run_job(queue, claimed, work, stop)
    return queue.get(job.id)


def test_what_the_work_returns_and_its_stages_are_kept(queue: JobQueue) -> None:
    def work(job: Job, progress: JobProgress) -> Outcome:
        progress.start("reading files", 2)
        progress.advance(2, "泵.md")
        return Outcome(result={"collection": job.collection})

    ended = run(queue, work)
    assert (ended.state, ended.result) == ("succeeded", {"collection": "泵"})
    assert [(stage.name, stage.done, stage.has_ended) for stage in ended.stages] == [
        ("reading files", 2, True)
    ]


def test_what_the_work_raises_ends_the_job_and_nothing_else(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(job: Job, progress: JobProgress) -> Outcome:
        raise NotFoundError("no index", next_command="deskmate index add PATH")

    def stumble(job: Job, progress: JobProgress) -> Outcome:
        progress.start("x")
        raise ZeroDivisionError("by zero")

    refused, stumbled = run(queue, refuse), run(queue, stumble)
    assert (refused.state, stumbled.state) == ("failed", "failed")
    assert refused.error is not None
    assert (refused.error.slug, refused.error.message, refused.error.next_command) == (
        "not-found",
        "no index",
        "deskmate index add PATH",
    )
    assert stumbled.error is not None
    assert (stumbled.error.slug, stumbled.error.message) == ("internal-error", "ZeroDivisionError: by zero")
    assert stumbled.id in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        CollectionBusy("another process changes collection 'pumps' now"),
        DatabaseAway("database postgresql://host/rows cannot be reached: it is starting up"),
    ],
    ids=["collection in use", "database away"],
)
def test_what_passes_is_waited_for(queue: JobQueue, clock: list[float], error: ResourceError) -> None:
    def work(job: Job, progress: JobProgress) -> Outcome:
        raise error

    waiting = run(queue, work)
    assert (waiting.state, waiting.error) == ("queued", None)
    assert queue.claim("one") is None
    clock[0] += BUSY_SECONDS
    assert queue.claim("one") is not None


class RestartingQueue(JobQueue):
    """A queue whose database is away when a job ends, once."""

    is_away = True

    def finish(self, job: Job, outcome: Outcome | None, stages: Sequence[JobStage]) -> bool:
        if self.is_away:
            self.is_away = False
            raise ResourceError("database postgresql://host/rows: it is starting up")
        return super().finish(job, outcome, stages)


def test_a_database_that_is_away_at_the_end_is_waited_for(home: Home) -> None:
    with closing(Database(home.database_url)) as database:
        ended = run(RestartingQueue(database, home), lambda job, progress: Outcome(result={"done": True}))
    assert (ended.state, ended.attempts, ended.result) == ("succeeded", 1, {"done": True})


@pytest.mark.parametrize(("how", "state"), [("cancel", "cancelled"), ("stop", "queued")])
def test_a_running_job_is_seen_and_ends_within_a_second(queue: JobQueue, how: str, state: str) -> None:
    stop, asked, seen = threading.Event(), [0.0], [""]

    def steer(job: Job) -> None:
        while not queue.get(job.id).stages:
            time.sleep(0.01)
        seen[0] = queue.get(job.id).stages[0].current
        asked[0] = time.monotonic()
        if how == "cancel":
            queue.cancel(job.id)
        else:
            stop.set()

    def work(job: Job, progress: JobProgress) -> Outcome:
        threading.Thread(target=steer, args=[job]).start()
        progress.start("reading files", 4000)
        for number in range(4000):
            time.sleep(0.005)
            progress.advance(1, f"{number}.md")
        return Outcome(result={})

    ended = run(queue, work, stop)
    assert time.monotonic() - asked[0] < 1.5
    assert (ended.state, ended.result, ended.error) == (state, None, None)
    assert 0 < ended.stages[0].done < 4000
    assert seen[0].endswith(".md")


_WORKER = """
import sys, time
from pathlib import Path
from threading import Event
from assistant.core.home import Home
from assistant.jobs.job_queue import JobQueue
from assistant.jobs.records import Outcome
from assistant.jobs.running import run_job
from assistant.store.database import Database

home, log = Home(Path(sys.argv[1]), sys.argv[2]), Path(sys.argv[3])

def work(job, progress):
    done = len(log.read_text().splitlines()) if log.exists() else 0
    progress.start("steps", 30 - done)
    for number in range(done, 30):
        with log.open("a") as file:
            file.write(f"{number}\\n")
        time.sleep(float(sys.argv[4]))
        progress.advance()
    return Outcome(result={"from": done})

queue = JobQueue(Database(home.database_url), home)
with queue.presence.enter() as name:
    run_job(queue, queue.claim(name), work, Event())
"""


def test_a_killed_workers_job_is_finished_by_the_next_at_once(home: Home, tmp_path: Path) -> None:
    database = Database(home.database_url)
    queue, log = JobQueue(database, home), tmp_path / "log"
    job = queue.enqueue("index.add", "pumps", {})
    command = [sys.executable, "-c", _WORKER, str(home.root), home.database_url, str(log)]
    first = subprocess.Popen([*command, "0.05"])
    while not log.exists() or len(log.read_text().splitlines()) < 3:
        assert first.poll() is None
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    left = queue.get(job.id)
    assert (left.state, left.worker and queue.presence.life(left.worker)) == ("running", "dead")
    subprocess.run([*command, "0"], check=True)
    ended = queue.get(job.id)
    assert (ended.state, ended.attempts) == ("succeeded", 2)
    assert ended.result is not None
    assert 3 <= int(str(ended.result["from"])) < 30
    assert log.read_text().splitlines() == [str(number) for number in range(30)]
    assert list(home.workers.iterdir()) == []
    database.close()
