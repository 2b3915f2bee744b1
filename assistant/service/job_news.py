"""Watchers of jobs are woken where Redis says that something changed, and look by themselves otherwise."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Generator
from typing import Any

from assistant.core.settings_redis import RedisSettings
from assistant.jobs.news import PAUSE_SECONDS, connection, jobs_channel, redis_module

POLL_SECONDS = 0.25
SELDOM_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Watch:
    """One watcher of one job.

    Args:
        news: that wakes it.
    """

    def __init__(self, news: "JobNews") -> None:
        self._news = news
        self._change = asyncio.Event()

    def wake(self) -> None:
        """Tell that the job changed."""
        self._change.set()

    async def wait(self) -> None:
        """Return once the job may have changed since the last time."""
        seconds = SELDOM_SECONDS if self._news.is_listening else POLL_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._change.wait()
        self._change.clear()


class JobNews:
    """Listens to Redis for all watchers of this process: one connection, however many they are.

    Args:
        settings: ``[redis]``.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self.is_listening = False

    @contextlib.contextmanager
    def watching(self, job_id: str) -> Generator[Watch, None, None]:
        """Give a watcher, which misses nothing from now on."""
        watch = Watch(self)
        self._watches[job_id].add(watch)
        try:
            yield watch
        finally:
            self._watches[job_id].discard(watch)
            if not self._watches[job_id]:
                del self._watches[job_id]

    async def run(self) -> None:
        """Listen until cancelled; connect again where it breaks off."""
        if not self._settings.url:
            return
        redis = redis_module()
        while True:
            try:
                await self._listen()
            except (redis.RedisError, OSError) as error:
                _log.warning("Redis cannot be listened to: %s", type(error).__name__)
            finally:
                self.is_listening = False
                self._wake_all()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self) -> None:
        import redis.asyncio

        client: Any = redis.asyncio.Redis.from_url(self._settings.url, **connection(self._settings))
        try:
            async with client.pubsub() as channel:
                await channel.subscribe(jobs_channel(self._settings))
                self.is_listening = True
                self._wake_all()  # what changed until now was told to nobody
                while True:
                    told = await channel.get_message(ignore_subscribe_messages=True, timeout=1.0)
                    if told is not None:
                        self._wake(str(told["data"]))
        finally:
            await client.aclose()

    def _wake(self, job_id: str) -> None:
        for watch in self._watches.get(job_id, ()):
            watch.wake()

    def _wake_all(self) -> None:
        for job_id in tuple(self._watches):
            self._wake(job_id)
