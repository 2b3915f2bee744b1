"""What locust's users ask of the service: streamed answers, a bare look-up, or a day's mixture of everything.

Run by ``assistant.service.bench``; each finished request becomes a row of the file that ``BENCH_ROWS`` names.
"""

import itertools
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from locust import FastHttpUser, constant, events, task
from locust.env import Environment

_QUESTIONS = json.loads(os.environ.get("BENCH_QUESTIONS", "[]"))
_HEADERS = {"Authorization": f"Bearer {os.environ.get('BENCH_KEY', '')}"}
_HOSTS = itertools.cycle(json.loads(os.environ.get("BENCH_HOSTS", "[]")))
_ROWS: list[dict[str, Any]] = []
_CHAT = "/v1/chat/completions"


@events.quitting.add_listener
def _keep_rows(**_: Any) -> None:
    if path := os.environ.get("BENCH_ROWS"):
        Path(path).write_text("\n".join(map(json.dumps, _ROWS)), "utf-8")


def _lines(reply: Any) -> Iterator[bytes]:
    while line := reply.stream.readline(b"\n"):
        if line := line.strip():
            yield line


class _Asking(FastHttpUser):
    abstract = True
    host: str | None = None
    wait_time = constant(0)

    def __init__(self, environment: Environment) -> None:
        self.host = next(_HOSTS, self.host)
        super().__init__(environment)

    def on_start(self) -> None:
        """Keep the connection for as long as the user lives."""
        self.client.auth_header = None

    def stream(self) -> None:
        """Ask a question and read the answer as it is made."""
        body = {
            "messages": [{"role": "user", "content": random.choice(_QUESTIONS)}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        began, first, tokens, is_done = time.perf_counter(), 0.0, 0, False
        request = self.client.post(_CHAT, json=body, headers=_HEADERS, stream=True, catch_response=True)
        with request as reply:
            for line in _lines(reply) if reply.status_code == 200 else ():  # noqa: PLR2004
                if not first and b'"content":"' in line and b'"context"' not in line:
                    first = time.perf_counter() - began
                if b'"total_tokens"' in line:
                    tokens = json.loads(line[6:])["usage"]["completion_tokens"]
                is_done = line == b"data: [DONE]"
            if not is_done:
                reply.failure(f"{reply.status_code}: the stream ended early")
        total = time.perf_counter() - began
        _ROWS.append({"at": time.time(), "first": first, "total": total, "tokens": tokens, "ok": is_done})


class Streaming(_Asking):
    """Asks one streamed question after the other."""

    @task
    def ask(self) -> None:
        """Ask."""
        self.stream()


class Looking(_Asking):
    """Asks for the same small thing again and again."""

    @task
    def look(self) -> None:
        """Look."""
        self.client.get(os.environ["BENCH_PATH"], headers=_HEADERS)


class Mixed(_Asking):
    """Does what people and programs do in a day, bad requests included."""

    @task(6)
    def ask(self) -> None:
        """Ask with a stream."""
        self.stream()

    @task(3)
    def answer(self) -> None:
        """Ask within a conversation, rate the answer, look at it and pass it on."""
        talk = self._post("/v1/conversations", {}).json()["id"]
        asked = {"question": random.choice(_QUESTIONS), "conversation_id": talk, "max_tokens": 20}
        answer = self._post("/v1/answers", asked).json()["id"]
        self._post("/v1/feedback", {"answer_id": answer, "rating": "up"})
        self._post("/v1/handovers", {"answer_id": answer})
        self.client.get(f"/v1/answers/{answer}", headers=_HEADERS, name="/v1/answers/ID")
        self.client.delete(f"/v1/conversations/{talk}", headers=_HEADERS, name="/v1/conversations/ID")

    @task(6)
    def search(self) -> None:
        """Search."""
        self._post("/v1/search", {"query": random.choice(_QUESTIONS)})

    @task(2)
    def look(self) -> None:
        """List and count."""
        for path in ("/v1/models", "/v1/documents", "/v1/usage?by=day", "/v1/audit", "/metrics"):
            self.client.get(path, headers=_HEADERS)

    @task(1)
    def mistake(self) -> None:
        """Send what is refused."""
        for path, body in ((_CHAT, b"{"), ("/v1/search", b'{"query": 5}'), ("/v1/answers", b"[" * 5000)):
            request = self.client.post(path, data=body, headers=_HEADERS, catch_response=True)
            with request as reply:
                if reply.status_code == 400:  # noqa: PLR2004
                    reply.success()

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self.client.post(path, json=body, headers=_HEADERS)
