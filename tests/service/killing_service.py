"""Kills service, worker, engine and database server under load, and checks that nothing acknowledged is lost.

Run as ``python killing_service.py HOME ROUNDS SEED [DATA]``, DATA the folder of a running PostgreSQL cluster
that ``DESKMATE_DATABASE_URL`` leads to. Prints recovery times; ends with 0 where all acknowledged is kept.
"""

from __future__ import annotations

import json
import os
import pwd
import random
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from assistant.core.records import Message
from assistant.engine.protocol import GenerationRequest, StreamEnd
from assistant.engine.scripted import ScriptedEngine

DESKMATE = [sys.executable, "-c", "from assistant.cli import main; main()"]
QUESTIONS = ("What does fault code E07 mean?", "故障代码 E12 表示什么？", "How far is Mars?")
LONGEST_SECONDS = 120.0
CLIENTS = 4


class Engine(BaseHTTPRequestHandler):
    """An SGLang server for those who look from outside, with the scripted engine in it."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        cards = [{"id": "base", "root": "/models/base", "parent": None}]
        self._reply({"object": "list", "data": cards})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.path.endswith("/chat/completions"):
            self.send_error(404)
            return
        messages = tuple(Message(role=row["role"], content=row["content"]) for row in body["messages"])
        events = list(ScriptedEngine().stream(GenerationRequest(messages=messages, max_new_tokens=200)))
        text = "".join(event.text for event in events if not isinstance(event, StreamEnd))
        usage = {"prompt_tokens": 9, "completion_tokens": len(events), "total_tokens": 9 + len(events)}
        if not body.get("stream"):
            choice = {"message": {"content": text}, "finish_reason": "stop"}
            self._reply({"choices": [choice], "usage": usage})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        chunks: list[object] = [{"choices": [{"delta": {"content": word}}]} for word in text.split(" ")]
        chunks += [{"choices": [{"delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]
        for chunk in chunks:
            self.wfile.write(b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")

    def _reply(self, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Part:
    """A process that is killed and started again."""

    def __init__(self, name: str, words: Sequence[str], environment: dict[str, str]) -> None:
        self.name = name
        self.log = Path(environment["DESKMATE_HOME"]) / f"{name}.log"
        self._words = words
        self._environment = environment
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._words, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


class Postgres:
    """A running cluster that is stopped at once and started again."""

    name = "postgres"

    def __init__(self, data: str) -> None:
        self._words = [os.environ.get("PG_CTL", "pg_ctl"), "-D", data, "-w"]
        if os.getuid() == 0:
            owner = pwd.getpwuid(Path(data).stat().st_uid).pw_name
            self._words = ["runuser", "-u", owner, "--", *self._words]

    def start(self) -> None:
        self._run("-l", "/dev/null", "start")

    def kill(self) -> None:
        self._run("-m", "immediate", "stop")

    def _run(self, *words: str) -> None:
        quiet = subprocess.DEVNULL
        subprocess.run([*self._words, *words], check=True, stdout=quiet, stderr=quiet)


class Acknowledged:
    """What the service said it has kept."""

    def __init__(self) -> None:
        self.answers: set[str] = set()
        self.feedback: set[str] = set()
        self.documents: dict[str, str] = {}
        self.jobs: set[str] = set()
        self.last_answer = 0.0
        self.last_engine_answer = 0.0
        self.failed = 0
        self.refused: list[str] = []


class Clients:
    """Ask, rate and add documents all the time; a request that failed is sent again."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.acknowledged = Acknowledged()
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(seed + n,)) for n in range(CLIENTS)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _work(self, seed: int) -> None:
        chance, number, said = random.Random(seed), 0, self.acknowledged
        with httpx.Client(base_url=self.url, timeout=20) as client:
            while not self._done.is_set():
                answer = self._post(client, "/v1/answers", {"question": chance.choice(QUESTIONS)})
                if answer is None:
                    continue
                said.answers.add(answer["id"])
                said.last_answer = time.monotonic()
                if answer["citations"] and not answer.get("is_extract"):
                    said.last_engine_answer = time.monotonic()
                rated = self._post(client, "/v1/feedback", {"answer_id": answer["id"], "rating": "up"})
                if rated:
                    said.feedback.add(rated["id"])
                if number % 60 == 0:
                    self._add(client, f"d{seed}-{number}")
                number += 1

    def _add(self, client: httpx.Client, name: str) -> None:
        text = f"# Device {name}\n\nDevice {name} is filled with {len(name)} bar.\n"
        body = {"documents": [{"name": f"{name}.md", "text": text}]}
        while not self._done.is_set():
            job = self._post(client, "/v1/documents", body, {"Idempotency-Key": name})
            if job:
                self.acknowledged.documents[f"{name}.md"] = job["id"]
                self.acknowledged.jobs.add(job["id"])
                return

    def _post(
        self, client: httpx.Client, path: str, body: object, headers: dict[str, str] | None = None
    ) -> dict[str, object] | None:
        try:
            reply = client.post(path, json=body, headers=headers)
        except httpx.HTTPError:
            reply = None
        if reply is not None and reply.is_success:
            return dict(reply.json())
        if reply is not None and reply.status_code not in {409, 429, 502, 503}:
            self.acknowledged.refused.append(f"{path} answered {reply.status_code}: {reply.text}")
        self.acknowledged.failed += 1
        time.sleep(0.05)
        return None


def wait_until(what: str, holds: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > LONGEST_SECONDS:
            raise SystemExit(f"{what} did not come within {LONGEST_SECONDS:g} s")
        time.sleep(0.02)
    return time.monotonic() - began


def is_ready(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/readyz").status_code == 200
    return False


def recovery(part: Part | Postgres, url: str, said: Acknowledged) -> float:
    """Start a killed part and return the seconds until its work is done again."""
    began, jobs = time.monotonic(), set(finished(url)) if part.name == "worker" else set()
    part.start()
    holds: dict[str, Callable[[], bool]] = {
        "worker": lambda: bool(set(finished(url)) - jobs),
        "engine": lambda: said.last_engine_answer > began,
    }
    return wait_until(f"the {part.name}'s work", holds.get(part.name, lambda: said.last_answer > began))


def finished(url: str) -> list[str]:
    with suppress(httpx.HTTPError, KeyError):
        rows = httpx.get(f"{url}/v1/jobs?limit=200").json()["data"]
        return [row["id"] for row in rows if row["state"] == "succeeded"]
    return []


def check(url: str, said: Acknowledged, home: Path) -> None:
    """Look for everything that was acknowledged.

    Raises:
        SystemExit: something is lost, or is there twice.
    """
    with httpx.Client(base_url=url, timeout=60) as client:

        def unfinished() -> int:
            replies = {job: client.get(f"/v1/jobs/{job}") for job in said.jobs}
            bad = [f"{job}: {reply.text}" for job, reply in replies.items() if reply.is_error]
            states = [reply.json()["state"] for reply in replies.values() if reply.is_success]
            if bad or "failed" in states:
                raise SystemExit(f"of {len(replies)} jobs are lost: {bad}; states: {Counter(states)}")
            return sum(state != "succeeded" for state in states)

        while before := unfinished():
            wait_until(f"the end of one of {before} jobs", lambda: unfinished() < before)
        lost = [answer for answer in said.answers if client.get(f"/v1/answers/{answer}").status_code != 200]
        kept: set[str] = set()
        cursor = ""
        while cursor is not None:
            page = client.get(f"/v1/feedback?limit=200{cursor and '&cursor=' + cursor}").json()
            kept |= {row["id"] for row in page["data"]}
            cursor = page["next_cursor"]
        lost += said.feedback - kept
        for name in said.documents:
            found = client.post("/v1/search", json={"query": f"Device {name[:-3]}", "top_k": 50}).json()
            rows = [row for row in found["passages"] if row["document"] == name]
            lost += [] if rows and rows[0]["version"] == 1 else [name]
        audit = client.get("/v1/audit/verify").json()
    if lost or said.refused or audit["broken_at"] is not None:
        raise SystemExit(
            f"lost: {lost}; refused: {said.refused[:5]}; audit: {audit}; logs: {errors_of(home)}"
        )


def errors_of(home: Path) -> str:
    """Return the ends of the logs from their last traceback on."""
    texts = {path.name: path.read_text("utf-8", errors="replace") for path in sorted(home.glob("*.log"))}
    return "\n".join(f"{name}: {text[text.rfind('Traceback') :][:4000]}" for name, text in texts.items())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def run(home: Path, rounds: int, seed: int, data: str | None) -> None:
    port, engine_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "DESKMATE_HOME": str(home),
        "DESKMATE__ENGINE__KIND": "sglang",
        "DESKMATE__ENGINE__URL": f"http://127.0.0.1:{engine_port}",
        "DESKMATE__EMBEDDER__MODEL": "hashing",
        "DESKMATE__JOBS__NICENESS": "0",  # the clients would keep the worker waiting
    }
    first = home / "first.md"
    first.write_text(
        "# Pump\n\nFault code E07 means that the motor is hot.\n\n故障代码 E12 表示炉门没有闭合。\n", "utf-8"
    )
    subprocess.run([*DESKMATE, "index", "add", str(first)], env=environment, check=True, capture_output=True)
    parts: list[Part | Postgres] = [
        Part("engine", [sys.executable, __file__, "engine", str(engine_port)], environment),
        Part("service", [*DESKMATE, "serve", "--port", str(port)], environment),
        Part("worker", [*DESKMATE, "worker"], environment),
        *([Postgres(data)] if data else []),
    ]
    chance, seconds = random.Random(seed), {part.name: list[float]() for part in parts}
    try:
        wait_until("the service", lambda: is_ready(url))
        with Clients(url, seed) as clients:
            said = clients.acknowledged
            wait_until("the first answer", lambda: bool(said.answers))
            wait_until("the first job's end", lambda: bool(finished(url)))
            for _ in range(rounds):
                for part in parts:
                    time.sleep(chance.uniform(0.1, 1.0))
                    part.kill()
                    seconds[part.name].append(recovery(part, url, said))
                    say(f"{part.name} is back after {seconds[part.name][-1]:.2f} s")
        check(url, said, home)
    finally:
        for part in parts:
            if isinstance(part, Part):
                part.kill()
    for name, times in seconds.items():
        middle, most = statistics.median(times), max(times)
        say(f"{name}: {len(times)} kills, back in {middle:.2f} s, at most {most:.2f} s")
    say(
        f"{len(said.answers)} answers, {len(said.feedback)} ratings and {len(said.documents)} documents were "
        f"acknowledged, {said.failed} requests failed and were sent again; nothing is lost"
    )


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "engine":
        ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Engine).serve_forever()
    run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
