"""What Deskmate adds to the first token, before an engine of a steady pace that costs next to nothing.

Run ``python -m eval.paced_bench``. The same questions go to the engine itself and through the service, by
turns, in the arm ``base``, so that no search is part of it. Askers come in three ways: each asks again when
it was answered, as people at work do (``steady``); whenever chance has it, as many at once on average
(``arrivals``); all in the same moment (``burst``), where processor time queues whatever is done.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from assistant.core.environment import prepare_environment
from assistant.core.home import Home
from assistant.core.records import Record
from eval.paced_engine import MODEL
from eval.serving_bench import prompts
from eval.stand import Stand

_COLLECTION = "pumps"
_TIMEOUT_SECONDS = 60.0
_TEXT = re.compile(rb'"content": ?"(?!")')
_SEED = 7
WAYS = ("engine", "deskmate")


class Pace(Record, frozen=True, kw_only=True):
    """What the engine does, and for how long it is asked.

    Attributes:
        first_seconds: until its first token.
        token_seconds: between two tokens.
        tokens: of an answer, on average.
        seconds: of a turn.
        rounds: turns each way.
    """

    first_seconds: float
    token_seconds: float
    tokens: int
    seconds: float
    rounds: int

    @property
    def answer_seconds(self) -> float:
        """How long the engine takes for an answer, on average."""
        return self.first_seconds + self.tokens * self.token_seconds


class Turn(Record, frozen=True, kw_only=True):
    """What was asked one way in one turn.

    Attributes:
        way: of ``WAYS``.
        firsts: seconds to the first text of each answer.
        seconds: that the turn took.
        cpu_seconds: of the service.
    """

    way: str
    firsts: tuple[float, ...]
    seconds: float
    cpu_seconds: float


Ask = Callable[[], Awaitable[float]]
Arrive = Callable[[Ask, int, Pace], Coroutine[None, None, list[float]]]


async def steady(ask: Ask, concurrent: int, pace: Pace) -> list[float]:
    """Let so many askers each ask again once they were answered; the first ask does not count."""
    until = time.perf_counter() + pace.seconds

    async def work(place: int) -> list[float]:
        await asyncio.sleep(place / concurrent * pace.answer_seconds)
        await ask()
        answers = [await ask()]
        while time.perf_counter() < until:
            answers.append(await ask())
        return answers

    return _joined(await asyncio.gather(*(work(place) for place in range(concurrent))))


async def arrivals(ask: Ask, concurrent: int, pace: Pace) -> list[float]:
    """Let askers come by chance, as often as keeps so many waiting on average."""
    until, chance = time.perf_counter() + pace.seconds, random.Random(_SEED)
    asked = [asyncio.ensure_future(ask())]
    while time.perf_counter() < until:
        await asyncio.sleep(chance.expovariate(1.0) * pace.answer_seconds / concurrent)
        asked.append(asyncio.ensure_future(ask()))
    return list(await asyncio.gather(*asked))


async def burst(ask: Ask, concurrent: int, pace: Pace) -> list[float]:
    """Let so many ask in the same moment, and again once all were answered."""
    until, answers = time.perf_counter() + pace.seconds, [await ask()]
    while time.perf_counter() < until:
        answers += await asyncio.gather(*(ask() for _ in range(concurrent)))
    return answers


ARRIVALS: dict[str, Arrive] = {"steady": steady, "arrivals": arrivals, "burst": burst}


def _joined(rows: Sequence[Sequence[float]]) -> list[float]:
    return list(itertools.chain.from_iterable(rows))


class Asker:
    """Asks one way.

    Args:
        http: of the server.
        model: to name.
        questions: asked one after the other.
    """

    def __init__(self, http: httpx.AsyncClient, model: str, questions: Iterator[str]) -> None:
        self._http = http
        self._model = model
        self._questions = questions

    async def ask(self) -> float:
        """Ask the next question, read its answer to the end, and return the seconds to its first text.

        Raises:
            httpx.HTTPStatusError: it was refused.
        """
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": "user", "content": next(self._questions)}],
            "temperature": 0,
            "stream": True,
        }
        began, first = time.perf_counter(), 0.0
        async with self._http.stream("POST", "/v1/chat/completions", json=body) as reply:
            reply.raise_for_status()
            async for chunk in reply.aiter_raw():
                if not first and has_text(chunk):
                    first = time.perf_counter() - began
        return first


def has_text(chunk: bytes) -> bool:
    """Tell whether events hold text of an answer; what opens an answer holds an empty one."""
    return bool(_TEXT.search(chunk))


@contextlib.asynccontextmanager
async def _asker(url: str, model: str, sentences: int) -> AsyncIterator[Asker]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(
        base_url=url, timeout=_TIMEOUT_SECONDS, limits=limits, trust_env=False
    ) as http:
        yield Asker(http, model, itertools.cycle(prompts(97, sentences)))


async def compare(
    stand: Stand, pid: int, arrive: Arrive, concurrent: int, pace: Pace, sentences: int
) -> list[Turn]:
    """Ask both ways by turns, each first every other time."""
    service, turns = psutil.Process(pid), []
    for number in range(pace.rounds):
        for way in WAYS if number % 2 == 0 else WAYS[::-1]:
            url, model = (stand.engine_url, MODEL) if way == "engine" else (stand.url, f"{_COLLECTION}:base")
            async with _asker(url, model, sentences) as asker:
                await asker.ask()  # connected
                began, cpu = time.perf_counter(), _cpu_seconds(service)
                firsts = await arrive(asker.ask, concurrent, pace)
                turns.append(
                    Turn(
                        way=way,
                        firsts=tuple(firsts),
                        seconds=time.perf_counter() - began,
                        cpu_seconds=_cpu_seconds(service) - cpu,
                    )
                )
    return turns


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def show(name: str, concurrent: int, turns: Sequence[Turn]) -> str:
    """Return the figures of one way to arrive."""
    raw, ours = (_Seen([turn for turn in turns if turn.way == way]) for way in WAYS)
    return (
        f"{name:>8}, {concurrent:>2} at once: first token p50 {raw.p50:.1f} and {ours.p50:.1f} ms: "
        f"{ours.p50 - raw.p50:+.1f} ms (p95 {ours.p95 - raw.p95:+.1f}); {raw.speed:.1f} and {ours.speed:.1f} "
        f"answers/s: {ours.speed / raw.speed:.0%}; {ours.cpu:.1f} CPU ms an answer in the service"
    )


class _Seen:
    """The figures of one way: milliseconds to the first text, answers a second, CPU milliseconds of each."""

    def __init__(self, turns: Sequence[Turn]) -> None:
        firsts = [1000 * first for turn in turns for first in turn.firsts]
        twentieths = statistics.quantiles(firsts, n=20, method="inclusive")
        self.p50, self.p95 = twentieths[9], twentieths[18]
        self.speed = len(firsts) / sum(turn.seconds for turn in turns)
        self.cpu = 1000 * sum(turn.cpu_seconds for turn in turns) / len(firsts)


@contextlib.contextmanager
def _engine(port: int, pace: Pace) -> Iterator[None]:
    words = [sys.executable, "-m", "eval.paced_engine", "--port", str(port), "--tokens", str(pace.tokens)]
    words += ["--first-ms", str(1000 * pace.first_seconds), "--token-ms", str(1000 * pace.token_seconds)]
    process = subprocess.Popen(words)  # noqa: S603 - our own module
    try:
        until = time.monotonic() + _TIMEOUT_SECONDS
        while process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
                break
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(_TIMEOUT_SECONDS)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the table."""
    prepare_environment()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--arrivals", nargs="+", choices=list(ARRIVALS), default=list(ARRIVALS))
    parser.add_argument("--first-ms", type=float, default=100.0, help="of the engine, until its first token")
    parser.add_argument("--token-ms", type=float, default=20.0, help="of the engine, between two tokens")
    parser.add_argument("--tokens", type=int, default=64, help="of an answer, on average")
    parser.add_argument("--sentences", type=int, default=10, help="of a question, about 35 tokens each")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=2, help="turns each way")
    options = parser.parse_args(arguments)
    pace = Pace(
        first_seconds=options.first_ms / 1000,
        token_seconds=options.token_ms / 1000,
        tokens=options.tokens,
        seconds=options.seconds,
        rounds=options.rounds,
    )
    with tempfile.TemporaryDirectory() as folder:
        stand = _stand(Path(folder))
        with _engine(int(stand.engine_url.rpartition(":")[2]), pace), stand.service(_COLLECTION) as pid:
            for name, concurrent in itertools.product(options.arrivals, options.concurrent):
                arrive = ARRIVALS[name]
                turns = asyncio.run(compare(stand, pid, arrive, concurrent, pace, options.sentences))
                sys.stdout.write(show(name, concurrent, turns) + "\n")
                sys.stdout.flush()


def _stand(folder: Path) -> Stand:
    base = Home.from_environment().models / "smollm2-135m-instruct"  # its tokenizer counts; it is not run
    stand = Stand(folder, base.resolve(), dict(os.environ), {"ENGINE__BATCH_SIZE": "64"})
    stand.add_documents(_COLLECTION)
    return stand


if __name__ == "__main__":
    main()
