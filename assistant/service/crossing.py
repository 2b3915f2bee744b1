"""Blocking generators off the event loop: a worker thread runs one, its items cross a bounded queue."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from typing import Generic, TypeVar

import anyio.to_thread

T = TypeVar("T")
MAX_QUEUED = 64
# for each answer under way, items wait so long for each other: 200 streams of 50 tokens a second then make
# 2,000 events a second and not 10,000, which is more than one core sends; a single one waits for nothing
PAUSE_SECONDS = 0.0005


def _as_they_are(items: Sequence[T]) -> Sequence[T]:
    return items


async def iterate_off_loop(
    make: Callable[[], Iterator[T]],
    limiter: anyio.CapacityLimiter,
    join: Callable[[Sequence[T]], Sequence[T]] = _as_they_are,
) -> AsyncGenerator[T, None]:
    """Yield what a blocking iterator yields, run in a worker thread.

    The thread is at most ``MAX_QUEUED`` items ahead. When this generator is closed, the thread ends at
    its next item and closes the iterator there, which frees what the iterator holds.

    Args:
        make: returns the iterator; called in the thread.
        limiter: of the threads at work; further calls wait.
        join: makes fewer items of those that came together, so that a busy service does less.

    Raises:
        Exception: whatever the iterator raised.
    """
    crossing = _Crossing[T](asyncio.get_running_loop(), lambda: PAUSE_SECONDS * (limiter.borrowed_tokens - 1))
    started = threading.Event()

    def work() -> None:
        started.set()
        try:
            with _closing(make()) as items:
                for item in items:
                    if not crossing.put(item):
                        return
        finally:
            crossing.end()

    task = asyncio.create_task(anyio.to_thread.run_sync(work, limiter=limiter))
    task.add_done_callback(_mark_seen)
    try:
        while came := await crossing.take():
            for item in join(came):
                yield item
        await task
    finally:
        crossing.close()
        if not started.is_set():
            task.cancel()


class _Crossing(Generic[T]):
    """Items on their way to the loop. It is woken once for all that come before it looks.

    Args:
        loop: where they are taken.
        pause: returns the least time between two takings, seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, pause: Callable[[], float]) -> None:
        self._loop = loop
        self._pause = pause
        self._taken = 0.0
        self._items: list[T] = []
        self._unread = 0  # of those taken last
        self._has_room = threading.Event()
        self._is_closed = False
        self._has_ended = False
        self._is_woken = False
        self._lock = threading.Lock()
        self._here = asyncio.Event()

    def put(self, item: T) -> bool:
        """Send an item, and wait while too many are under way; called in the thread.

        Returns:
            Whether more are wanted.
        """
        with self._lock:
            self._items.append(item)
            wakes, self._is_woken = not self._is_woken, True
            is_full = len(self._items) + self._unread >= MAX_QUEUED
            if is_full:
                self._has_room.clear()
        if wakes:
            self._call(self._wake)
        if is_full and not self._is_closed:
            self._has_room.wait()
        return not self._is_closed

    def close(self) -> None:
        """Want no more."""
        self._is_closed = True
        self._has_room.set()

    def end(self) -> None:
        """Say that no item comes any more; called in the thread."""
        with self._lock:
            self._has_ended = True
        self._call(self._here.set)

    async def take(self) -> Sequence[T]:
        """Return what has come, at least one item; nothing once all have been taken.

        What was returned before has been read by then.
        """
        while True:
            with self._lock:
                items, self._items = self._items, []
                self._unread = len(items)
                self._is_woken = False
                has_ended = self._has_ended
                self._has_room.set()
            if items or has_ended:
                self._taken = self._loop.time()
                return items
            await self._here.wait()
            self._here.clear()

    def _wake(self) -> None:
        wait = self._taken + self._pause() - self._loop.time()
        if wait > 0:
            self._loop.call_later(wait, self._here.set)
        else:
            self._here.set()

    def _call(self, work: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody reads any more
            self._loop.call_soon_threadsafe(work)


@contextlib.contextmanager
def _closing(items: Iterator[T]) -> Generator[Iterator[T], None, None]:
    try:
        yield items
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _mark_seen(task: asyncio.Task[None]) -> None:
    """Take a finished task's exception, which nobody awaits once the reader has gone."""
    if not task.cancelled():
        task.exception()
