"""Blocking generators off the event loop: a worker thread runs one, its items cross a bounded queue."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import TypeVar

import anyio.to_thread

T = TypeVar("T")
MAX_QUEUED = 64


async def iterate_off_loop(
    make: Callable[[], Iterator[T]], limiter: anyio.CapacityLimiter
) -> AsyncGenerator[T, None]:
    """Yield what a blocking iterator yields, run in a worker thread.

    The thread is at most ``MAX_QUEUED`` items ahead. When this generator is closed, the thread ends at
    its next item and closes the iterator there, which frees what the iterator holds.

    Args:
        make: returns the iterator; called in the thread.
        limiter: of the threads at work; further calls wait.

    Raises:
        Exception: whatever the iterator raised.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[T | _End] = asyncio.Queue()
    slots = threading.Semaphore(MAX_QUEUED)
    closed = threading.Event()
    started = threading.Event()

    def put(item: T | _End) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody reads any more
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def work() -> None:
        started.set()
        try:
            with _closing(make()) as items:
                for item in items:
                    slots.acquire()
                    if closed.is_set():
                        return
                    put(item)
        finally:
            put(_END)

    task = asyncio.create_task(anyio.to_thread.run_sync(work, limiter=limiter))
    task.add_done_callback(_mark_seen)
    try:
        while not isinstance(item := await queue.get(), _End):
            slots.release()
            yield item
        await task
    finally:
        closed.set()
        slots.release()
        if not started.is_set():
            task.cancel()


class _End:
    """Marks the end of the items."""


_END = _End()


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
