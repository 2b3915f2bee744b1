"""What processes share through Redis; a server of its own, where one is installed."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from assistant.core.errors import InputError
from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.core.settings_redis import RedisSettings
from assistant.jobs.job_queue import JobQueue
from assistant.jobs.news import NoNews, make_news
from assistant.service.app import create_app
from assistant.service.job_news import JobNews
from assistant.service.limits import OwnRates
from assistant.service.shared_limits import RedisRates, make_rates
from assistant.store.database import Database
from assistant.store.keys import Keys, NewKey

pytest.importorskip("redis", reason="the extra redis is not installed")


class Server:
    """A Redis on a free port that can be stopped and started again."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.settings = RedisSettings(url=f"redis://127.0.0.1:{self.port}/0")
        self.start()

    def start(self) -> None:
        options = ["--port", str(self.port), "--save", "", "--bind", "127.0.0.1", "--dir", str(self._folder)]
        self._process = subprocess.Popen([self._program, *options], stdout=subprocess.DEVNULL)
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise AssertionError("Redis does not start")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("no Redis server here")
    opened = Server(program, tmp_path)
    yield opened
    opened.stop()


async def test_two_processes_share_one_limit(server: Server) -> None:
    one, other = RedisRates(server.settings), RedisRates(server.settings)
    waits = [await rates.take("key-1", 3) for rates in (one, other, one, other)]
    assert waits[:3] == [0.0, 0.0, 0.0]
    assert 19 < waits[3] <= 20
    assert await one.take("key-2", 3) == 0.0
    await one.close()
    await other.close()


async def test_without_redis_each_process_counts_for_itself(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.service.shared_limits.PAUSE_SECONDS", 0.2)
    rates = RedisRates(server.settings)
    assert await rates.take("key-1", 1) == 0.0
    server.stop()
    began = time.monotonic()
    alone = [await rates.take("key-1", 1) for _ in range(50)]
    assert time.monotonic() - began < 2.0  # one attempt, and then a pause
    assert alone[0] == 0.0
    assert all(wait > 0 for wait in alone[1:])
    server.start()
    await asyncio.sleep(0.3)
    assert await rates.take("key-1", 1) == 0.0  # the new server knows of none
    assert await rates.take("key-1", 1) > 0
    await rates.close()


async def test_a_key_is_held_to_its_limit_over_two_services(
    server: Server, make_pipelines: Callable[..., Any]
) -> None:
    settings = Settings(redis=server.settings)
    database = Database(Home.from_environment().make().database_url)
    with database.write() as session:
        _, secret = Keys(session).create(NewKey(name="slow", role="agent", requests_per_minute=2))
    database.close()
    head = {"Authorization": f"Bearer {secret}"}
    apps = [create_app(settings, pipelines=make_pipelines(settings=settings)) for _ in range(2)]
    async with (
        AsyncTestClient(apps[0], base_url="http://127.0.0.1:8080") as one,
        AsyncTestClient(apps[1], base_url="http://127.0.0.1:8080") as other,
    ):
        statuses = [
            (await client.get("/v1/models", headers=head)).status_code for client in (one, other, one, other)
        ]
    assert statuses == [200, 200, 429, 429]


async def test_watchers_are_woken_by_the_worker(server: Server, home: Home) -> None:
    database = Database(home.database_url)
    queue = JobQueue(database, home, news=make_news(server.settings))
    job = queue.enqueue("index.compact", "pumps", {})
    news = JobNews(server.settings)
    listening = asyncio.create_task(news.run())
    while not news.is_listening:  # noqa: ASYNC110 - what is waited for is another server
        await asyncio.sleep(0.01)
    with news.watching(job.id) as watch, news.watching("job-other") as other:
        await asyncio.to_thread(queue.cancel, job.id)  # before anybody waits: it must not be missed
        began = time.monotonic()
        await watch.wait()
        assert time.monotonic() - began < 1.0
        waiting = asyncio.create_task(other.wait())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        server.stop()
        await asyncio.wait_for(waiting, 3.0)  # from now on each looks by itself
        assert not news.is_listening
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    queue.retry(job.id)  # nobody is told, nothing is lost
    assert queue.get(job.id).state == "queued"
    database.close()


def test_off_by_default() -> None:
    assert isinstance(make_rates(RedisSettings()), OwnRates)
    assert isinstance(make_news(RedisSettings()), NoNews)


@pytest.mark.parametrize("make", [make_rates, make_news])
def test_only_urls_of_redis_are_taken(make: Callable[[RedisSettings], object]) -> None:
    with pytest.raises(InputError, match="redis://"):
        make(RedisSettings(url="http://127.0.0.1:6379"))
