from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import closing

import pytest
from sqlalchemy import update

from assistant.core.errors import DeskmateError, InputError, NotFoundError
from assistant.core.home import Home
from assistant.core.settings_jobs import JobsSettings
from assistant.jobs.job_queue import LEASE_SECONDS, LOST_ATTEMPTS, JobQueue
from assistant.jobs.records import Job, JobError, JobStage, Outcome
from assistant.store.database import Database
from assistant.store.tables import JobRow

DONE = Outcome(result={"added": ["泵.md"]})


def add(queue: JobQueue, collection: str = "pumps") -> Job:
    return queue.enqueue("index.add", collection, {"paths": ["/文件/a.md"]}, {"embedder.model": "hashing"})


def claimed(queue: JobQueue, worker: str = "one") -> Job:
    job = queue.claim(worker)
    assert job is not None
    return job


def test_a_job_goes_from_queued_to_succeeded(queue: JobQueue) -> None:
    job = add(queue)
    assert (job.state, job.attempts, job.started, job.id[:4]) == ("queued", 0, None, "job-")
    running = claimed(queue)
    assert (running.id, running.state, running.attempts, running.worker) == (job.id, "running", 1, "one")
    assert running.arguments == {"paths": ["/文件/a.md"]}
    assert running.settings == {"embedder.model": "hashing"}
    stage = JobStage(name="reading files", done=3, total=9, seconds=1.5, speed=2.0, current="泵.md")
    assert queue.keep(running, [stage]) == "running"
    assert queue.get(job.id).stages == (stage,)
    assert queue.finish(running, DONE, [stage])
    ended = queue.get(job.id)
    assert (ended.state, ended.result, ended.error) == ("succeeded", {"added": ["泵.md"]}, None)
    assert ended.created <= (ended.started or "") <= (ended.finished or "")
    assert queue.claim("one") is None


def test_jobs_of_one_collection_run_in_order_and_of_two_side_by_side(queue: JobQueue) -> None:
    first, second, other = add(queue), add(queue), add(queue, "烤箱")
    one = claimed(queue)
    assert (one.id, claimed(queue, "two").id, queue.claim("three")) == (first.id, other.id, None)
    queue.finish(one, DONE, [])
    assert claimed(queue, "three").id == second.id


def test_the_database_itself_refuses_a_second_running_job(queue: JobQueue, home: Home) -> None:
    first, second = add(queue), add(queue)
    claimed(queue)
    claim = update(JobRow).where(JobRow.id == second.id).values(state="running")
    with (
        closing(Database(home.database_url)) as database,
        pytest.raises(DeskmateError, match=r"(?i)unique"),
        database.write() as session,
    ):
        session.execute(claim)
    assert queue.get(first.id).state == "running"


def test_a_job_ends_as_what_came_out(queue: JobQueue) -> None:
    error = JobError(slug="file-refused", message="1 of 2 files cannot be indexed")
    for outcome, state in (
        (Outcome(result={}, error=error, is_partial=True), "partly_failed"),
        (Outcome(result={}, error=error), "failed"),
        (None, "cancelled"),
    ):
        job = add(queue)
        queue.finish(claimed(queue), outcome, [])
        assert (queue.get(job.id).state, queue.get(job.id).error) == (state, outcome and error)


def test_cancelling_is_at_once_for_a_queued_job_and_a_request_for_a_running_one(queue: JobQueue) -> None:
    with queue.presence.enter() as worker:
        running, waiting = add(queue), add(queue)
        mine = claimed(queue, worker)
        assert queue.cancel(waiting.id).state == "cancelled"
        asked = queue.cancel(running.id)
        assert (asked.state, asked.is_cancelling) == ("running", True)
        assert queue.keep(mine, []) == "cancelling"
        queue.finish(mine, None, [])
        assert queue.get(running.id).state == "cancelled"
        with pytest.raises(InputError, match="ended already: cancelled"):
            queue.cancel(running.id)
        assert queue.claim(worker) is None


def test_retrying_queues_what_failed_and_nothing_else(queue: JobQueue) -> None:
    job = add(queue)
    with pytest.raises(InputError, match="is queued"):
        queue.retry(job.id)
    error = JobError(slug="bad-input", message="none")
    queue.finish(claimed(queue), Outcome(result={"refused": []}, error=error), [JobStage(name="x")])
    again = queue.retry(job.id)
    assert (again.state, again.result, again.error, again.stages, again.finished) == (
        "queued",
        None,
        None,
        (),
        None,
    )
    second = claimed(queue)
    assert (second.id, second.attempts) == (job.id, 2)
    queue.finish(second, DONE, [])
    with pytest.raises(InputError, match="is succeeded"):
        queue.retry(job.id)


def test_a_job_that_is_not_there_is_named(queue: JobQueue) -> None:
    for ask in (queue.get, queue.cancel, queue.retry):
        with pytest.raises(NotFoundError, match=r"'job-no'.*jobs list"):
            ask("job-no")
    with pytest.raises(InputError, match="no collection name"):
        add(queue, "../outside")


def test_listing_is_newest_first_and_by_collection_and_state(queue: JobQueue) -> None:
    first, second, other = add(queue), add(queue), add(queue, "烤箱")
    claimed(queue)
    assert [job.id for job in queue.jobs()] == [other.id, second.id, first.id]
    assert [job.id for job in queue.jobs("烤箱")] == [other.id]
    assert [job.id for job in queue.jobs(state="running")] == [first.id]
    assert len(queue.jobs(limit=2)) == 2


def test_a_job_of_a_worker_elsewhere_is_taken_over_after_its_lease(
    queue: JobQueue, clock: list[float]
) -> None:
    job = add(queue)
    lost = claimed(queue, "elsewhere")
    clock[0] += LEASE_SECONDS - 1
    assert queue.claim("two") is None
    queue.keep(lost, [])
    clock[0] += LEASE_SECONDS - 1
    assert queue.claim("two") is None  # the lease was renewed
    clock[0] += 2
    mine = claimed(queue, "two")
    assert (mine.id, mine.attempts) == (job.id, 2)
    # the first one comes back: it is told, and what it says is not taken
    assert queue.keep(lost, [JobStage(name="ghost")]) == "lost"
    assert not queue.finish(lost, DONE, [])
    assert queue.get(job.id).state == "running"


def test_a_worker_that_holds_its_lock_is_alive_however_late(queue: JobQueue, clock: list[float]) -> None:
    add(queue)
    with queue.presence.enter() as busy:
        claimed(queue, busy)
        clock[0] += 100 * LEASE_SECONDS
        assert queue.claim("two") is None
        assert queue.presence.has_worker()
    assert not queue.presence.has_worker()


def test_a_worker_that_asks_again_does_not_run_what_it_left(queue: JobQueue) -> None:
    job = add(queue)
    with queue.presence.enter() as worker:
        claimed(queue, worker)
        again = claimed(queue, worker)
        assert (again.id, again.attempts) == (job.id, 2)


def test_a_job_that_kills_every_worker_fails_in_the_end(queue: JobQueue) -> None:
    job = add(queue)
    for _ in range(LOST_ATTEMPTS):
        claimed(queue)
    assert queue.claim("one") is None
    ended = queue.get(job.id)
    assert ended.state == "failed"
    assert ended.error is not None
    assert ended.error.slug == "worker-lost"
    queue.retry(job.id)
    assert claimed(queue).attempts == LOST_ATTEMPTS + 1


def test_a_job_whose_worker_died_need_not_be_retried(queue: JobQueue, clock: list[float]) -> None:
    job = add(queue)
    claimed(queue, "elsewhere")
    with pytest.raises(InputError, match="is running"):
        queue.retry(job.id)
    clock[0] += LEASE_SECONDS + 1
    with pytest.raises(InputError, match="is queued"):
        queue.retry(job.id)


def test_a_cancelled_job_of_a_dead_worker_is_not_begun_again(queue: JobQueue, clock: list[float]) -> None:
    job = add(queue)
    claimed(queue, "elsewhere")
    queue.cancel(job.id)
    clock[0] += LEASE_SECONDS + 1
    assert queue.claim("two") is None
    assert queue.get(job.id).state == "cancelled"


def test_a_released_job_waits_as_long_as_it_was_told(queue: JobQueue, clock: list[float]) -> None:
    job = add(queue)
    queue.release(claimed(queue), wait_seconds=2.0)
    assert queue.claim("one") is None
    clock[0] += 2.5
    again = claimed(queue)
    assert (again.id, again.attempts) == (job.id, 1)


def test_racing_workers_run_every_job_once_and_no_two_of_a_collection(home: Home) -> None:
    collections = ["a", "b", "c"]
    with closing(Database(home.database_url)) as database:
        queue = JobQueue(database, home)
        ids = [add(queue, collections[number % 3]).id for number in range(24)]
    ran: list[str] = []
    at_once: Counter[str] = Counter()
    most: Counter[str] = Counter()
    problems: list[Exception] = []

    def work() -> None:
        try:
            with closing(Database(home.database_url)) as own:
                queue = JobQueue(own, home)
                with queue.presence.enter() as name:
                    while len(ran) < len(ids):
                        job = queue.claim(name)
                        if job is None:
                            time.sleep(0.002)
                            continue
                        at_once[job.collection] += 1
                        most[job.collection] = max(most[job.collection], at_once[job.collection])
                        time.sleep(0.004)
                        at_once[job.collection] -= 1
                        ran.append(job.id)
                        assert queue.finish(job, DONE, [])
        except Exception as error:  # noqa: BLE001 - a thread's error is the test's
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert sorted(ran) == sorted(ids)
    assert dict(most) == {"a": 1, "b": 1, "c": 1}


def test_ended_jobs_are_forgotten_when_too_many_or_too_old_and_others_never(
    home: Home, clock: list[float]
) -> None:
    with closing(Database(home.database_url)) as database:
        queue = JobQueue(database, home, lambda: clock[0], JobsSettings(kept=2, kept_days=10))
        ended = []
        for _ in range(4):
            ended.append(add(queue).id)
            queue.cancel(ended[-1])
        waiting = add(queue)
        assert [job.id for job in queue.jobs()] == [waiting.id, ended[3], ended[2]]
        with pytest.raises(NotFoundError, match="newest 2 of 10 days"):
            queue.get(ended[0])
        clock[0] += 10 * 86_400 + 1
        running = claimed(queue)
        assert queue.prune() == 2
        assert [job.id for job in queue.jobs()] == [running.id]
        assert queue.prune() == 0
