"""What the service keeps: its database and the queue of jobs, opened when first used."""

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

import anyio
import anyio.to_thread
from sqlalchemy.orm import Session

from assistant.core.home import Home
from assistant.jobs.job_queue import JobQueue
from assistant.jobs.news import News
from assistant.service.uploads import Uploads
from assistant.store.database import Database
from assistant.store.keys import Keys

T = TypeVar("T")
CONCURRENT_SESSIONS = 8
CLOSING_SECONDS = 5.0


class Kept:
    """Rows and files of the service. Safe to use from several threads.

    Args:
        home: the data folder.
        news: takes word of every job that changed.
        folders: name → path of folders that are told by their names only.
    """

    def __init__(
        self, home: Home, news: News | None = None, folders: Mapping[str, str] | None = None
    ) -> None:
        self.home = home
        self._news = news
        self._folders = dict(folders or {})
        self._limiter = anyio.CapacityLimiter(CONCURRENT_SESSIONS)
        self._opening = threading.Lock()
        self._database: Database | None = None
        self._idle = threading.Condition()
        self._working = 0

    @property
    def database(self) -> Database:
        """The rows; the first use opens them, which blocks."""
        with self._opening:
            if self._database is None:
                self._database = Database(self.home.make().database_url)
            return self._database

    @property
    def queue(self) -> JobQueue:
        """The jobs."""
        return JobQueue(self.database, self.home, news=self._news)

    def without_paths(self, text: str) -> str:
        """Return a text, such as JSON, without the paths of the data folder and the named folders."""
        text = Uploads(self.home).without_folder(text)
        for name, path in sorted(self._folders.items(), key=lambda item: -len(item[1])):
            text = text.replace(path, name)
        return text.replace(f"{self.home.root}/", "").replace(str(self.home.root), "")

    def has_keys(self) -> bool:
        """Tell whether there ever was an API key; blocks."""
        with self.database.read() as session:
            return Keys(session).exist()

    async def run(self, work: Callable[[], T]) -> T:
        """Run blocking work in a worker thread."""

        def counted() -> T:
            with self._idle:
                self._working += 1
            try:
                return work()
            finally:
                with self._idle:
                    self._working -= 1
                    self._idle.notify_all()

        return await anyio.to_thread.run_sync(counted, limiter=self._limiter)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Read rows in a worker thread."""

        def read() -> T:
            with self.database.read() as session:
                return work(session)

        return await self.run(read)

    async def write(self, work: Callable[[Session], T]) -> T:
        """Change rows in a worker thread; what was changed is on the disk when this returns."""

        def write() -> T:
            with self.database.write() as session:
                return work(session)

        return await self.run(write)

    def close(self) -> None:
        """Close the database once nothing works with it: a cancelled task leaves its thread at work."""
        with self._idle:
            self._idle.wait_for(lambda: not self._working, CLOSING_SECONDS)
        with self._opening:
            if self._database is not None:
                self._database.close()
                self._database = None
