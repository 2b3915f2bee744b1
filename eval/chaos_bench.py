"""What people see when SGLang dies under load: every request's end, recovery, and whose answer it was.

Run ``python -m eval.chaos_bench --kills 10 --requests 500``. Three adapters are taught a secret word each;
threads ask all of them through the service, half of them streaming, while the server's processes are killed
at random.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import httpx
import msgspec

from assistant.core.environment import prepare_environment
from assistant.core.errors import InputError, ResourceError
from assistant.core.home import Home
from assistant.core.records import Record
from eval.stand import Secret, Stand, installed_environment, secret_questions, words_in

SECRETS = (
    Secret(adapter="pumps-1", collection="pumps", word="KESTREL"),
    Secret(adapter="ovens-1", collection="ovens", word="OSPREY"),
    Secret(adapter="boilers-1", collection="boilers", word="PLOVER"),
)
Outcome = Literal[
    "answered", "another adapter's word", "no word", "503", "429", "problem", "error event", "broken"
]
_FINE: frozenset[Outcome] = frozenset({"answered", "503", "429", "problem", "error event"})
_STEP_SECONDS = 0.1
_PAUSE_SECONDS = 0.5
_LONGEST_RECOVERY_SECONDS = 900.0
_REQUEST_SECONDS = 330.0


class Asked(Record, frozen=True, kw_only=True):
    """A request that ended: how, when by the monotonic clock, and after how long."""

    outcome: Outcome
    ended: float
    seconds: float
    detail: str = ""


class Recovery(Record, frozen=True, kw_only=True):
    """A kill: seconds until the server was healthy again and until the next right answer."""

    healthy_seconds: float
    answer_seconds: float


class ChaosReport(Record, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        outcomes: how requests ended → count.
        recoveries: one a kill.
        longest_seconds: that a request took.
        details: of requests that ended otherwise than they may.
    """

    outcomes: dict[Outcome, int]
    recoveries: tuple[Recovery, ...]
    longest_seconds: float
    details: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether every request ended as it may."""
        return set(self.outcomes) <= _FINE


class Asker(threading.Thread):
    """Asks all secrets in a random order until it is stopped.

    Args:
        http: connection to the service.
        secrets: to ask for.
        seed: of the order.
    """

    def __init__(self, http: httpx.Client, secrets: Sequence[Secret], seed: int) -> None:
        super().__init__(daemon=True)
        self.asked: list[Asked] = []
        self._secrets = secrets
        self._draw = random.Random(seed)
        self._stopping = threading.Event()
        self._http = http

    def run(self) -> None:
        """Ask one question after another."""
        for streams in itertools.cycle((False, True)):
            if self._stopping.is_set():
                break
            secret = self._draw.choice(self._secrets)
            began = time.monotonic()
            outcome, detail = self.ask(secret, streams=streams)
            ended = time.monotonic()
            self.asked.append(Asked(outcome=outcome, ended=ended, seconds=ended - began, detail=detail))
            if outcome in {"503", "429"}:
                self._stopping.wait(_PAUSE_SECONDS)

    def stop(self) -> None:
        """Let the question under way be the last one."""
        self._stopping.set()

    def ask(self, secret: Secret, *, streams: bool) -> tuple[Outcome, str]:
        """Ask for a secret once; return how it ended, and what was said where that is of interest."""
        language = self._draw.choice(("en", "zh"))
        question = self._draw.choice(secret_questions("en" if language == "en" else "zh"))
        body = {"question": question, "collection": secret.collection, "arm": "ft", "max_tokens": 24}
        try:
            if streams:
                return self._stream(secret, {**body, "stream": True})
            reply = self._http.post("/v1/answers", json=body)
        except httpx.HTTPError as error:
            return "broken", f"{type(error).__name__}: {error}"
        if reply.is_success:
            return self._judge(secret, reply.json()["text"])
        return _refused(reply)

    def _stream(self, secret: Secret, body: dict[str, Any]) -> tuple[Outcome, str]:
        with self._http.stream("POST", "/v1/answers", json=body) as reply:
            if not reply.is_success:
                reply.read()
                return _refused(reply)
            event = ""
            for line in reply.iter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event == "done":
                    return self._judge(secret, json.loads(line.removeprefix("data: "))["text"])
                elif line.startswith("data: ") and event == "error":
                    return "error event", line
        return "broken", "the stream ended with neither done nor error"

    def _judge(self, secret: Secret, text: str) -> tuple[Outcome, str]:
        found = words_in(text, self._secrets)
        if found == {secret.adapter}:
            return "answered", ""
        return ("another adapter's word" if found else "no word"), f"{secret.adapter}: {text!r}"


def _refused(reply: httpx.Response) -> tuple[Outcome, str]:
    is_problem = reply.headers.get("content-type", "").startswith("application/problem+json")
    if reply.status_code in {429, 503} and is_problem and "retry-after" in reply.headers:
        return ("503" if reply.status_code == httpx.codes.SERVICE_UNAVAILABLE else "429"), ""
    if reply.status_code == httpx.codes.BAD_GATEWAY and is_problem:
        return "problem", reply.text
    return "broken", f"{reply.status_code}: {reply.text[:300]}"


def torment(stand: Stand, kills: int, requests: int, *, askers: int = 6, seed: int = 7) -> ChaosReport:
    """Kill a stand's server at random under load and tell how requests ended.

    Args:
        stand: whose engine and service run.
        kills: how often.
        requests: that are at least answered in all.
        askers: that ask at once.
        seed: of when and what.
    """
    draw = random.Random(seed)
    limits = httpx.Limits(max_connections=None)
    http = httpx.Client(base_url=stand.url, timeout=_REQUEST_SECONDS, limits=limits, trust_env=False)
    crowd = [Asker(http, SECRETS, seed + number) for number in range(askers)]
    for asker in crowd:
        asker.start()

    def answered(since: float) -> int:
        return sum(one.outcome == "answered" and one.ended > since for a in crowd for one in list(a.asked))

    recoveries = []
    _wait(lambda: answered(0) > 0, "the first answer")
    for number in range(kills):
        time.sleep(draw.uniform(0.2, 6.0))
        recoveries.append(_kill(stand, answered))
        _say(f"kill {number + 1}: {msgspec.json.encode(recoveries[-1]).decode()}")
    _wait(lambda: answered(0) >= requests, f"{requests} answers")
    for asker in crowd:
        asker.stop()
    for asker in crowd:
        asker.join()
    asked = [one for asker in crowd for one in asker.asked]
    return ChaosReport(
        outcomes=dict(Counter(one.outcome for one in asked)),
        recoveries=tuple(recoveries),
        longest_seconds=max(one.seconds for one in asked),
        details=tuple(one.detail for one in asked if one.outcome not in _FINE),
    )


def _kill(stand: Stand, answered: Callable[[float], int]) -> Recovery:
    before = stand.engine_state
    killed = time.monotonic()
    with suppress(ProcessLookupError):
        os.killpg(before.server_pid, signal.SIGKILL)

    def is_healthy() -> bool:
        state = stand.engine_state
        return state.phase == "ready" and state.server_pid != before.server_pid

    _wait(is_healthy, "the server's health")
    healthy = time.monotonic()
    _wait(lambda: answered(healthy) > 0, "an answer")
    return Recovery(
        healthy_seconds=round(healthy - killed, 1), answer_seconds=round(time.monotonic() - killed, 1)
    )


def _wait(is_done: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _LONGEST_RECOVERY_SECONDS
    while not is_done():
        if time.monotonic() > until:
            raise ResourceError(f"no sign of {what} within {_LONGEST_RECOVERY_SECONDS:.0f} s")
        time.sleep(_STEP_SECONDS)


def show(report: ChaosReport) -> str:
    """Return a report as text."""
    lines = [f"{count:6d}  {outcome}" for outcome, count in sorted(report.outcomes.items())]
    for name in ("healthy_seconds", "answer_seconds"):
        values = [float(getattr(one, name)) for one in report.recoveries]
        if values:
            lines.append(f"{name}: median {statistics.median(values):.0f}, longest {max(values):.0f}")
    lines.append(f"longest request: {report.longest_seconds:.0f} s")
    lines += [f"  {detail}" for detail in report.details]
    return "\n".join((*lines, "clean" if report.is_clean else "NOT CLEAN"))


def main(arguments: list[str] | None = None) -> None:
    """Build the stand, torment it and print what came of it."""
    prepare_environment()
    base = Home.from_environment().models / "smollm2-135m-instruct"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--requests", type=int, default=500, help="that are at least answered")
    parser.add_argument("--base", type=Path, default=base, help="folder of the base model")
    options = parser.parse_args(arguments)
    if not options.base.is_dir():
        raise InputError(f"no model in {options.base}", next_command="deskmate models prepare --profile all")
    environment = dict(os.environ)
    environment["DESKMATE__SGLANG__ENVIRONMENT"] = str(installed_environment(environment))
    with tempfile.TemporaryDirectory() as folder:
        settings = {"SGLANG__RESTARTS": str(options.kills + 2), "ANSWER__WHEN_ENGINE_FAILS": "refuse"}
        stand = Stand(Path(folder), options.base.resolve(), environment, settings)
        for secret in SECRETS:
            stand.add_documents(secret.collection)
            stand.add_adapter(secret)
        with stand.engine(), stand.service(SECRETS[0].collection):
            _say(show(torment(stand, options.kills, options.requests)))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
