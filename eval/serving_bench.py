"""What serving through Deskmate costs beside raw SGLang: the same prompts, by turns, in the same run.

Run ``python -m eval.serving_bench``. Both get the same messages (the arm ``base``, so that no search is part
of it) and the engine's prefix cache is emptied before each turn. Ratios hold on a busy machine, seconds do
not.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from assistant.core.environment import prepare_environment
from assistant.core.errors import InputError, ResourceError
from assistant.core.home import Home
from assistant.core.prompts import answer_messages
from assistant.core.records import Record
from assistant.core.settings import Settings
from assistant.engine.sglang_home import SglangHome, find_keys
from eval.stand import Stand, installed_environment

_SENTENCE = "Pump P-{n} takes {n}.5 bar and 3 kW; its filter is changed every {n} weeks by two people. "
_COLLECTION = "pumps"
_TIMEOUT_SECONDS = 600.0


class Reply(Record, frozen=True, kw_only=True):
    """One streamed answer: seconds to its first token and to its end, and its tokens."""

    first_seconds: float
    seconds: float
    tokens: int


class Turn(Record, frozen=True, kw_only=True):
    """All prompts asked one way.

    Attributes:
        way: ``sglang`` or ``deskmate``.
        concurrent: requests at once.
        seconds: for all of them.
        replies: one a prompt.
    """

    way: str
    concurrent: int
    seconds: float
    replies: tuple[Reply, ...]

    @property
    def tokens_per_second(self) -> float:
        """Throughput."""
        return sum(reply.tokens for reply in self.replies) / self.seconds

    @property
    def first_seconds(self) -> float:
        """Median time to the first token."""
        return statistics.median(reply.first_seconds for reply in self.replies)


def prompts(count: int, sentences: int) -> list[str]:
    """Return questions of like length that share no beginning."""
    return [
        f"Site {number}. "
        + "".join(_SENTENCE.format(n=number * sentences + line) for line in range(sentences))
        + "What does the first pump take?"
        for number in range(count)
    ]


class Ways:
    """The two ways to ask, over one engine.

    Args:
        stand: whose engine and service run.
        max_tokens: of an answer.
    """

    def __init__(self, stand: Stand, max_tokens: int) -> None:
        home = SglangHome(stand.home, Settings().sglang)
        keys = find_keys(home, {})
        limits = httpx.Limits(max_connections=None)
        self._raw = httpx.Client(
            base_url=stand.engine_url,
            headers={"Authorization": f"Bearer {keys.user}"},
            timeout=_TIMEOUT_SECONDS,
            limits=limits,
            trust_env=False,
        )
        self._ours = httpx.Client(
            base_url=stand.url, timeout=_TIMEOUT_SECONDS, limits=limits, trust_env=False
        )
        self._admin = {"Authorization": f"Bearer {keys.admin}"}
        self._model = stand.base.name
        self._max_tokens = max_tokens

    def empty_cache(self) -> None:
        """Let the engine forget all prefixes."""
        for _ in range(50):
            if self._raw.post("/flush_cache", headers=self._admin).is_success:
                return
            time.sleep(0.1)  # a request is still being put away
        raise ResourceError("the engine's cache cannot be emptied")

    def sglang(self, question: str) -> Reply:
        """Ask the engine itself."""
        messages = [{"role": turn.role, "content": turn.content} for turn in answer_messages(question, "en")]
        return self._ask(self._raw, {"model": self._model, "messages": messages})

    def deskmate(self, question: str) -> Reply:
        """Ask the service."""
        body = {"model": f"{_COLLECTION}:base", "messages": [{"role": "user", "content": question}]}
        return self._ask(self._ours, body)

    def _ask(self, client: httpx.Client, body: dict[str, Any]) -> Reply:
        body = {
            **body,
            "max_tokens": self._max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        began = time.perf_counter()
        first, tokens = 0.0, 0
        with client.stream("POST", "/v1/chat/completions", json=body) as reply:
            if not reply.is_success:
                reply.read()
                raise ResourceError(f"{reply.status_code}: {reply.text[:300]}")
            for event in _events(reply):
                choices = event.get("choices") or [{}]
                if not first and (choices[0].get("delta") or {}).get("content"):
                    first = time.perf_counter() - began
                tokens = (event.get("usage") or {}).get("completion_tokens", tokens)
        return Reply(first_seconds=first, seconds=time.perf_counter() - began, tokens=tokens)


def _events(reply: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in reply.iter_lines():
        data = line.removeprefix("data:").strip()
        if line.startswith("data:") and data != "[DONE]":
            event = json.loads(data)
            if "error" in event:
                raise ResourceError(f"an answer failed: {event['error']}")
            yield event


def take_turn(
    way: str,
    ask: Callable[[str], Reply],
    questions: Sequence[str],
    concurrent: int,
    empty: Callable[[], None],
) -> Turn:
    """Ask all questions one way."""
    empty()
    began = time.perf_counter()
    with ThreadPoolExecutor(concurrent) as pool:
        replies = tuple(pool.map(ask, questions))
    return Turn(way=way, concurrent=concurrent, seconds=time.perf_counter() - began, replies=replies)


def compare(ways: Ways, concurrent: int, count: int, sentences: int, rounds: int) -> list[Turn]:
    """Ask both ways by turns, each first every other time."""
    questions = prompts(count, sentences)
    turns = []
    for number in range(rounds):
        order = [("sglang", ways.sglang), ("deskmate", ways.deskmate)]
        for way, ask in order if number % 2 == 0 else order[::-1]:
            turns.append(take_turn(way, ask, questions, concurrent, ways.empty_cache))
    return turns


def show(turns: Sequence[Turn]) -> str:
    """Return the figures of one concurrency."""

    def of(way: str) -> list[Turn]:
        return [turn for turn in turns if turn.way == way]

    raw, ours = of("sglang"), of("deskmate")
    firsts = [
        (b.first_seconds - a.first_seconds) * 1000
        for mine, theirs in zip(ours, raw, strict=True)
        for b, a in zip(mine.replies, theirs.replies, strict=True)
    ]
    shares = [b.tokens_per_second / a.tokens_per_second for b, a in zip(ours, raw, strict=True)]
    median = statistics.median
    return (
        f"{raw[0].concurrent:>4} at once: first token {median(a.first_seconds for a in raw):.2f} s raw, "
        f"{median(b.first_seconds for b in ours):.2f} s through Deskmate, {median(firsts):+.0f} ms "
        f"(median of pairs); {median(a.tokens_per_second for a in raw):.1f} and "
        f"{median(b.tokens_per_second for b in ours):.1f} tokens/s: {median(shares):.0%}"
    )


def main(arguments: list[str] | None = None) -> None:
    """Build the stand, ask both ways and print the table."""
    prepare_environment()
    base = Home.from_environment().models / "smollm2-135m-instruct"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, default=base, help="folder of the base model")
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--prompts", type=int, default=16, help="at least, for each way and turn")
    parser.add_argument("--sentences", type=int, default=10, help="of a prompt, about 35 tokens each")
    parser.add_argument("--tokens", type=int, default=24, help="of an answer")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    if not options.base.is_dir():
        raise InputError(f"no model in {options.base}", next_command="deskmate models prepare --profile all")
    environment = dict(os.environ)
    environment["DESKMATE__SGLANG__ENVIRONMENT"] = str(installed_environment(environment))
    with tempfile.TemporaryDirectory() as folder:
        settings = {"ENGINE__BATCH_SIZE": "32", "SGLANG__MAX_TOTAL_TOKENS": "32768"}
        stand = Stand(Path(folder), options.base.resolve(), environment, settings)
        stand.add_documents(_COLLECTION)
        with stand.engine(), stand.service(_COLLECTION):
            ways = Ways(stand, options.tokens)
            compare(ways, 2, 2, options.sentences, 1)  # both are warm
            for concurrent in options.concurrent:
                count = max(options.prompts, concurrent)
                _say(show(compare(ways, concurrent, count, options.sentences, options.rounds)))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
