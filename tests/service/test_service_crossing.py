from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence

import anyio
import pytest

from assistant.service.crossing import MAX_QUEUED, iterate_off_loop


async def test_items_arrive_in_order_and_run_elsewhere() -> None:
    threads = set()

    def numbers() -> Iterator[int]:
        for number in range(1000):
            threads.add(threading.get_ident())
            yield number

    assert [number async for number in iterate_off_loop(numbers, anyio.CapacityLimiter(1))] == list(
        range(1000)
    )
    assert threading.get_ident() not in threads


async def test_an_error_arrives_after_the_items_before_it() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise LookupError("gone")

    items = iterate_off_loop(broken, anyio.CapacityLimiter(1))
    assert await anext(items) == 1
    with pytest.raises(LookupError, match="gone"):
        await anext(items)


async def test_closing_closes_the_iterator_and_frees_the_thread() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    limiter = anyio.CapacityLimiter(1)
    items = iterate_off_loop(endless, limiter)
    await anext(items)
    await items.aclose()
    assert await asyncio.to_thread(closed.wait, 5)
    # the only place is free again
    assert [item async for item in iterate_off_loop(lambda: iter("ab"), limiter)] == ["a", "b"]


async def test_the_thread_is_never_far_ahead_of_a_slow_reader() -> None:
    made = []

    def numbers() -> Iterator[int]:
        for number in range(10 * MAX_QUEUED):
            made.append(number)
            yield number

    items = iterate_off_loop(numbers, anyio.CapacityLimiter(1))
    await anext(items)
    await asyncio.sleep(0.05)
    assert len(made) <= MAX_QUEUED + 2
    await items.aclose()


async def test_closing_while_waiting_for_a_place_never_starts() -> None:
    limiter = anyio.CapacityLimiter(1)
    started = []
    gate = threading.Event()

    def held() -> Iterator[int]:
        yield 1
        gate.wait(5)

    first = iterate_off_loop(held, limiter)
    await anext(first)
    second = iterate_off_loop(lambda: started.append(1) or iter([1]), limiter)
    waiting = asyncio.create_task(anext(second))
    await asyncio.sleep(0.01)
    assert limiter.statistics().tasks_waiting == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    assert [item async for item in first] == []
    await asyncio.sleep(0.01)
    assert started == []


def _joined(pieces: Sequence[str]) -> Sequence[str]:
    return ["".join(pieces)]


async def _pieces(limiter: anyio.CapacityLimiter) -> list[str]:
    def letters() -> Iterator[str]:
        for letter in "abcdefghijklmnopqrst":
            time.sleep(0.002)
            yield letter

    return [piece async for piece in iterate_off_loop(letters, limiter, _joined)]


async def test_under_load_pieces_wait_for_each_other_and_the_first_for_nothing() -> None:
    limiter = anyio.CapacityLimiter(1000)
    for _ in range(200):  # as many answers are under way
        limiter.acquire_on_behalf_of_nowait(object())
    pieces = await _pieces(limiter)
    assert "".join(pieces) == "abcdefghijklmnopqrst"
    assert len(pieces) <= 6
    assert len(pieces[0]) < 4
