"""``kill -9`` of the service while hand-overs are opened: every one that was acknowledged is told of."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

DESKMATE = [sys.executable, "-c", "from assistant.cli import main; main()"]
KILLS = 2


@contextmanager
def receiving() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Give an address, and the ids of events and hand-overs that it was told of."""
    told: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            told.append((self.headers["webhook-id"], body["data"]["id"]))
            time.sleep(0.05)  # so that some are under way when the service dies
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}", told
    server.shutdown()
    thread.join()
    server.server_close()


class Desk:
    """A service that is killed and started again."""

    def __init__(self, home: Path, hook: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self._environment = os.environ | {
            "DESKMATE_HOME": str(home),
            "DESKMATE__ENGINE__KIND": "scripted",
            "DESKMATE__EMBEDDER__MODEL": "hashing",
            "DESKMATE__WEBHOOKS__HOSTS": hook,
            "DESKMATE__WEBHOOKS__ALLOW_HTTP": "true",
            "DESKMATE__WEBHOOKS__TIMEOUT_SECONDS": "1",
        }

    def run(self, *arguments: str) -> None:
        subprocess.run([*DESKMATE, *arguments], env=self._environment, check=True, capture_output=True)

    def start(self) -> None:
        port = self.url.rpartition(":")[2]
        self._process = subprocess.Popen(
            [*DESKMATE, "serve", "--port", port], env=self._environment, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline
            try:
                if httpx.get(f"{self.url}/readyz", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def open_until_killed(desk: Desk, answer_id: str, opened: list[str]) -> None:
    """Open hand-overs one after the other until nobody answers; note those that were acknowledged."""
    with httpx.Client(base_url=desk.url, trust_env=False, timeout=5) as client:
        while True:
            try:
                reply = client.post("/v1/handovers", json={"answer_id": answer_id})
            except httpx.TransportError:
                return
            if reply.status_code == 201:
                opened.append(reply.json()["id"])


@pytest.mark.slow
def test_every_acknowledged_handover_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "pump.txt").write_text("The pump stops with fault code E07.", "utf-8")
    with receiving() as (hook, told):
        desk = Desk(tmp_path / "home", hook)
        desk.run("index", "add", str(tmp_path / "pump.txt"))
        desk.start()
        with httpx.Client(base_url=desk.url, trust_env=False) as client:
            wanted = {"url": f"http://{hook}/desk", "events": ["handover.opened"]}
            assert client.post("/v1/webhooks", json=wanted).status_code == 201
            answer_id = client.post("/v1/answers", json={"question": "火星有多远？"}).json()["id"]
        opened: list[str] = []
        for _ in range(KILLS):
            busy = threading.Thread(target=open_until_killed, args=(desk, answer_id, opened))
            busy.start()
            time.sleep(0.7)
            desk.kill()
            busy.join()
            desk.start()
        deadline = time.monotonic() + 60
        while not set(opened) <= {handover for _, handover in list(told)}:
            assert time.monotonic() < deadline, len(set(opened) - {handover for _, handover in told})
            time.sleep(0.1)
        desk.kill()
    by_handover: dict[str, set[str]] = {}
    for event, handover in told:
        by_handover.setdefault(handover, set()).add(event)
    assert len(opened) > 10
    assert all(len(events) == 1 for events in by_handover.values())  # told twice, it has the same id
    print(f"{len(opened)} acknowledged, {len(told)} told, {len(told) - len(by_handover)} of them twice")  # noqa: T201
