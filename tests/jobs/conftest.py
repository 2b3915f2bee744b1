"""A queue over a database of its own, with a clock that a test moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from assistant.core.home import Home
from assistant.jobs.job_queue import JobQueue
from assistant.store.database import Database


@pytest.fixture
def clock() -> list[float]:
    """Return the time in its only place; it stands still until a test moves it."""
    return [1_000_000.0]


@pytest.fixture
def queue(home: Home, clock: list[float]) -> Iterator[JobQueue]:
    database = Database(home.database_url)
    yield JobQueue(database, home, lambda: clock[0])
    database.close()
