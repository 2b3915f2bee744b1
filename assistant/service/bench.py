"""How the service bears load, beside its engine alone and beside a bare Litestar route.

Run ``python -m assistant.service.bench`` (the extra ``load``); with ``--soak 30`` it watches the memory for
half an hour.

Users are locust's. The engine is the scripted one at a steady pace, so that everything else is the service's
own: latency is counted beyond the engine's time, tokens times the pace. Where users, service and engine share
two cores, processor time says more than wall time.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from assistant.answering.events import Question
from assistant.answering.opening import Resources
from assistant.core.environment import prepare_environment
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.records import Message, Record
from assistant.engine.protocol import GenerationRequest, StreamEnd
from assistant.engine.scripted import ScriptedEngine
from assistant.service.bench_servers import (
    COLLECTION,
    Started,
    bench_settings,
    environment,
    link_models,
    make_key,
    serve,
    serve_bare,
    started,
)
from assistant.store.database import Database
from indexing.bench_texts import Texts
from indexing.build import Builder
from indexing.embedders import Embedders

_SAMPLES = Path(__file__).parents[1] / "samples"
_USERS_FILE = Path(__file__).with_name("bench_users.py")
_LIMIT_SHIFT = 1.25
_LIMIT_GROWTH = 1.05
_SAMPLE_SECONDS = 10.0
_BUSY_FILES = 4000
_ROUTES = ("/livez", "/v1/models")


class Plan(Record, frozen=True, kw_only=True):
    """What is measured.

    Attributes:
        users: streams at once.
        seconds: that each load lasts once all users are there.
        ramp_seconds: in which they come.
        token_seconds: pace of the engine.
        tokens: least length of an answer.
        embedder: of the collection.
        services: processes on one data folder that share the users.
    """

    users: int
    seconds: int
    ramp_seconds: int
    token_seconds: float
    tokens: int
    embedder: str
    services: int = 1


class Load(Record, frozen=True, kw_only=True):
    """What one load showed; times in milliseconds, answers and requests by the second."""

    count: int
    failed: int
    total_p50: float = 0.0
    total_p95: float = 0.0
    added_p50: float = 0.0
    added_p99: float = 0.0
    first_p50: float = 0.0
    per_second: float = 0.0
    cpu_milliseconds: float = 0.0


def measure(plan: Plan, routes: Sequence[str]) -> bool:
    """Measure everything; return whether no request failed and indexing cost what it may."""
    with _data_folder(plan) as (home, questions, key):
        raw = raw_engine(plan)
        speed = f"{raw.per_second:.1f} answers/s, added p99 {raw.added_p99:.1f} ms"
        _say(f"engine alone, {plan.users} at once: {speed}")
        users = _Users(home, key, questions)
        with _services(plan, home) as services:
            if plan.services > 1:
                _tell("one service", users.stream(plan, services[:1]), raw, plan)
            name = "service" if plan.services == 1 else f"{plan.services} services"
            quiet = users.stream(plan, services)
            _tell(name, quiet, raw, plan)
            with _indexing(home, plan):
                busy = users.stream(plan, services)
            _tell(f"{name}, while a worker indexes", busy, raw, plan)
            shift = busy.total_p95 / quiet.total_p95
            added = busy.added_p99 / max(quiet.added_p99, 1.0)
            _say(f"p95 {shift:.2f} times that without indexing (limit {_LIMIT_SHIFT}), added p99 {added:.2f}")
            with started(["-m", "assistant.service.bench", "serve-bare"], home) as bare:
                base = users.look("/bare", bare, plan)
            _say(f"bare Litestar route: {_looks(base)}")
            for path in routes:
                seen = users.look(path, services[0], plan)
                times = seen.cpu_milliseconds / base.cpu_milliseconds
                _say(f"{path}: {_looks(seen)}, {times:.1f} times the bare route's; {seen.failed} failed")
    return not quiet.failed and not busy.failed and shift <= _LIMIT_SHIFT


def _looks(load: Load) -> str:
    return f"{load.per_second:.0f} requests/s, {load.cpu_milliseconds:.2f} CPU ms each"


def soak(plan: Plan, minutes: float) -> bool:
    """Let users do everything for so long; return whether no request failed and the memory stayed flat."""
    with _data_folder(plan) as (home, questions, key), _services(plan, home) as (service, *_):
        samples: list[float] = []
        is_done = threading.Event()

        def watch() -> None:
            while not is_done.wait(_SAMPLE_SECONDS):
                samples.append(service.resident_mebibytes())

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            longer = msgspec.structs.replace(plan, seconds=int(minutes * 60))
            found = _Users(home, key, questions).run("Mixed", longer, service.url)
        finally:
            is_done.set()
            watching.join()
    third = max(1, len(samples) // 3)
    middle, last = statistics.median(samples[third:-third]), statistics.median(samples[-third:])
    growth = last / middle
    _say(f"{minutes:g} minutes, {plan.users} users: {found['requests']} requests, {found['failed']} failed")
    _say("memory, MiB, every tenth of the time: " + " ".join(f"{value:.0f}" for value in _tenths(samples)))
    _say(f"last third beside the middle one: {growth:.3f} (limit {_LIMIT_GROWTH})")
    return not found["failed"] and growth <= _LIMIT_GROWTH


def raw_engine(plan: Plan) -> Load:
    """Measure the engine alone, as many streams at once, each thread one."""
    engine = ScriptedEngine([(".", "word " * plan.tokens)], token_seconds=plan.token_seconds)
    request = GenerationRequest(messages=(Message(role="user", content="?"),), max_new_tokens=plan.tokens)
    until = time.perf_counter() + max(plan.seconds / 4, 2 * plan.tokens * plan.token_seconds)

    def ask(_: int) -> list[dict[str, Any]]:
        rows = []
        while time.perf_counter() < until:
            began, first = time.perf_counter(), 0.0
            for event in engine.stream(request):
                first = first or time.perf_counter() - began
                tokens = event.usage.completion_tokens if isinstance(event, StreamEnd) else 0
            total = time.perf_counter() - began
            rows.append({"at": 0.0, "first": first, "total": total, "tokens": tokens, "ok": True})
        return rows

    began, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(plan.users) as pool:
        rows = [row for some in pool.map(ask, range(plan.users)) for row in some]
    return _load(rows, 0, time.perf_counter() - began, time.process_time() - cpu, plan)


class _Users:
    """Runs locust.

    Args:
        home: of the service.
        key: that the users have.
        questions: that they ask.
    """

    def __init__(self, home: Home, key: str, questions: Sequence[str]) -> None:
        self._home = home
        self._variables = {"BENCH_KEY": key, "BENCH_QUESTIONS": json.dumps(list(questions))}

    def stream(self, plan: Plan, services: Sequence[Started]) -> Load:
        """Load services with streamed questions; what began before all users were there does not count."""
        began, cpu = time.time(), sum(service.cpu_seconds() for service in services)
        hosts = {"BENCH_HOSTS": json.dumps([service.url for service in services])}
        found = self.run("Streaming", plan, services[0].url, hosts)
        cpu = sum(service.cpu_seconds() for service in services) - cpu
        ended = began + plan.ramp_seconds + plan.seconds
        share = sum(row["total"] for row in found["rows"])
        rows = [row for row in found["rows"] if row["at"] - row["total"] > began + plan.ramp_seconds]
        cpu *= sum(row["total"] for row in rows) / share if share else 1.0
        return _load(rows, found["failed"], ended - began - plan.ramp_seconds, cpu, plan)

    def look(self, path: str, service: Started, plan: Plan) -> Load:
        """Ask for one small thing as often as it is answered."""
        few = msgspec.structs.replace(plan, users=32, ramp_seconds=1, seconds=max(3, plan.seconds // 6))
        cpu = service.cpu_seconds()
        found = self.run("Looking", few, service.url, {"BENCH_PATH": path})
        count = found["requests"]
        return Load(
            count=count,
            failed=found["failed"],
            per_second=count / (few.seconds + few.ramp_seconds),
            cpu_milliseconds=1000 * (service.cpu_seconds() - cpu) / max(count, 1),
        )

    def run(self, who: str, plan: Plan, url: str, more: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Run one kind of user; return the rows, and how many requests there were and failed."""
        with tempfile.TemporaryDirectory(prefix="deskmate-bench-") as folder:
            rows = Path(folder) / "rows"
            words = [sys.executable, "-m", "locust", "-f", str(_USERS_FILE), who, "--headless", "--json"]
            words += ["-u", str(plan.users), "-r", str(plan.users / plan.ramp_seconds), "--host", url]
            words += ["-t", f"{plan.ramp_seconds + plan.seconds}s", "--stop-timeout", "60"]
            words += ["--exit-code-on-error", "0", "--loglevel", "ERROR"]
            variables = {**self._variables, "BENCH_ROWS": str(rows), **(more or {})}
            done = subprocess.run(  # noqa: S603 - our own words
                words, env=environment(self._home, variables), check=True, capture_output=True, text=True
            )
            if "Traceback" in done.stderr:
                raise RuntimeError(f"the users failed: {done.stderr[:2000]}")
            if told := done.stderr.partition("Error report")[2].strip():
                _say(told[:2000])
            entries = json.loads(done.stdout)
            return {
                "rows": [json.loads(line) for line in rows.read_text("utf-8").splitlines()],
                "requests": sum(entry["num_requests"] for entry in entries),
                "failed": sum(entry["num_failures"] for entry in entries),
            }


def _load(rows: Sequence[Mapping[str, Any]], failed: int, seconds: float, cpu: float, plan: Plan) -> Load:
    good = [row for row in rows if row["ok"]]
    total = [1000 * row["total"] for row in good]
    added = [1000 * (row["total"] - row["tokens"] * plan.token_seconds) for row in good]
    first = [1000 * row["first"] for row in good]
    return Load(
        count=len(good),
        failed=failed,
        total_p50=_percentile(total, 50),
        total_p95=_percentile(total, 95),
        added_p50=_percentile(added, 50),
        added_p99=_percentile(added, 99),
        first_p50=_percentile(first, 50),
        per_second=len(good) / seconds,
        cpu_milliseconds=1000 * cpu / max(len(good), 1),
    )


def _percentile(values: Sequence[float], share: int) -> float:
    return statistics.quantiles(values, n=100)[share - 1] if len(values) > 1 else float("nan")


def _tenths(values: Sequence[float]) -> list[float]:
    step = max(1, len(values) // 10)
    return [statistics.median(values[start : start + step]) for start in range(0, len(values), step)]


def _tell(name: str, load: Load, raw: Load, plan: Plan) -> None:
    _say(
        f"{name}, {plan.users} streams at once: {load.count} answers, {load.failed} failed (limit 0), "
        f"{load.per_second:.1f} answers/s ({load.per_second / raw.per_second:.2f} of the engine alone)"
    )
    _say(
        f"  added to the engine's time p50 {load.added_p50:.0f} ms, p99 {load.added_p99:.0f} ms; "
        f"first token p50 {load.first_p50:.0f} ms; whole p50 {load.total_p50:.0f} ms, "
        f"p95 {load.total_p95:.0f} ms; {load.cpu_milliseconds:.0f} CPU ms an answer"
    )


@contextlib.contextmanager
def _data_folder(plan: Plan) -> Iterator[tuple[Home, list[str], str]]:
    """Give a data folder with the samples as a collection, questions with long answers, and a key."""
    models = Home.from_environment().models
    with tempfile.TemporaryDirectory(prefix="deskmate-bench-") as folder:
        home = Home(Path(folder)).make()
        link_models(home, models)
        settings = bench_settings(plan.embedder)
        database = Database(home.database_url)
        embedder = Embedders(settings, home).of(COLLECTION)
        Builder(COLLECTION, home, settings, database, embedder, NoProgress()).add([_SAMPLES / "files"])
        database.close()
        resources = Resources(home, settings, ScriptedEngine(least_tokens=plan.tokens))
        pipeline = resources.pipeline(COLLECTION)
        lines = (_SAMPLES / "suite.jsonl").read_text("utf-8").splitlines()
        asked = [str(json.loads(line)["question"]) for line in lines]
        answers = {text: pipeline.answer(Question(text=text)) for text in asked}
        resources.close()
        questions = [text for text, given in answers.items() if given.usage.completion_tokens >= plan.tokens]
        lengths = [answers[text].usage.completion_tokens for text in questions]
        _say(
            f"{len(questions)} of {len(asked)} questions have long answers: {statistics.mean(lengths):.0f} "
            f"tokens on average, {1000 * plan.token_seconds:g} ms a token; embedder {plan.embedder}"
        )
        yield home, questions, make_key(home)


@contextlib.contextmanager
def _services(plan: Plan, home: Home) -> Iterator[list[Started]]:
    words = ["-m", "assistant.service.bench", "serve", "--home", str(home.root), "--embedder", plan.embedder]
    words += ["--token-ms", str(1000 * plan.token_seconds), "--tokens", str(plan.tokens)]
    with contextlib.ExitStack() as stack:
        services = [stack.enter_context(started(words, home)) for _ in range(plan.services)]
        for service in services:
            _wait_until_ready(service.url)
        yield services


def _wait_until_ready(url: str) -> None:
    import httpx

    until = time.monotonic() + 120
    while httpx.get(f"{url}/readyz").status_code != 200:  # noqa: PLR2004
        if time.monotonic() > until:
            raise RuntimeError("the service does not get ready")
        time.sleep(0.2)


@contextlib.contextmanager
def _indexing(home: Home, plan: Plan) -> Iterator[None]:
    """Let a worker index more than it can meanwhile."""
    command = ["-c", "from assistant.cli import main; main()"]
    variables = environment(home, {"DESKMATE__EMBEDDER__MODEL": plan.embedder})
    with tempfile.TemporaryDirectory(prefix="deskmate-bench-") as folder:
        texts = Texts()
        for number in range(_BUSY_FILES):
            text = "\n\n".join(texts.text(20 * number + part)[0] for part in range(20))
            (Path(folder) / f"d{number}.txt").write_text(text, "utf-8")
        add = [sys.executable, *command, "index", "add", folder, "--collection", "busy", "--background"]
        subprocess.run(add, env=variables, check=True, capture_output=True)  # noqa: S603
        with started([*command, "worker"], home, listens=False) as worker:
            time.sleep(15)  # past reading: it embeds
            before = worker.cpu_seconds()
            yield
            _say(f"the worker took {worker.cpu_seconds() - before:.0f} CPU seconds meanwhile")


def _plan(options: argparse.Namespace) -> Plan:
    return Plan(
        users=options.users,
        seconds=options.seconds,
        ramp_seconds=options.ramp,
        token_seconds=options.token_ms / 1000,
        tokens=options.tokens,
        embedder=options.embedder,
        services=options.services,
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 0 where every limit held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="measure", choices=["measure", "serve", "serve-bare"])
    parser.add_argument("--users", type=int, default=200, help="streams at once")
    parser.add_argument("--seconds", type=int, default=60, help="of each load")
    parser.add_argument("--ramp", type=int, default=15, help="seconds in which the users come")
    parser.add_argument("--token-ms", type=float, default=20.0, help="pace of the engine")
    parser.add_argument("--tokens", type=int, default=200, help="least length of an answer")
    parser.add_argument("--services", type=int, default=2, help="processes that share the users")
    parser.add_argument("--embedder", default="hashing", help="of the collection; hashing needs no model")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="watch the memory instead")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    prepare_environment()
    plan = _plan(options)
    run: dict[str, Callable[[], bool | None]] = {
        "serve": lambda: serve(Home(options.home), plan.embedder, plan.token_seconds, plan.tokens),
        "serve-bare": serve_bare,
        "measure": lambda: soak(plan, options.soak) if options.soak else measure(plan, _ROUTES),
    }
    return 0 if run[options.what]() is not False else 1


if __name__ == "__main__":
    sys.exit(main())
