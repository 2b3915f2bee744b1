"""The SGLang client against a server on a real port that behaves as SGLang was measured to."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from assistant.core.errors import (
    EngineBusy,
    EngineError,
    EngineUnavailable,
    InputError,
    ModelError,
    NotFoundError,
)
from assistant.core.settings import EngineSettings
from assistant.engine.protocol import PromptTooLong, StreamEnd, TextDelta
from assistant.engine.sglang import SglangEngine

USER_KEY, ADMIN_KEY = "user-key-4711", "admin-key-0815"
KEYS = {"DESKMATE_ENGINE_API_KEY": USER_KEY, "DESKMATE_ENGINE_ADMIN_KEY": ADMIN_KEY}


class FakeSglang(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.adapters: dict[str, str] = {}
        self.bodies: list[dict[str, Any]] = []
        self.has_tokenize = True
        self.connections_to_break = 0
        self.break_after_tokens: int | None = None
        self.token_seconds = 0.0
        self.aborted = threading.Event()
        self.status = 200
        self.running = 0
        self.most_running = 0
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    server: FakeSglang
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, body: object, status: int = 200) -> None:
        content = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def has_key(self, key: str) -> bool:
        return self.headers.get("Authorization") == f"Bearer {key}"

    def do_GET(self) -> None:
        if self.path == "/health":
            self.reply({}, self.server.status)
        elif not self.has_key(USER_KEY):
            self.reply({"error": "Unauthorized"}, 401)
        else:
            cards = [{"id": "base", "root": "/models/base", "parent": None}]
            cards += [{"id": n, "root": p, "parent": "base"} for n, p in self.server.adapters.items()]
            self.reply({"object": "list", "data": cards})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/load_lora_adapter":
            self.load(body)
        elif not self.has_key(USER_KEY):
            self.reply({"error": "Unauthorized"}, 401)
        elif self.path == "/tokenize" and self.server.has_tokenize:
            self.reply({"tokens": [1] * len(body["prompt"]), "count": len(body["prompt"])})
        elif self.path == "/v1/chat/completions":
            self.chat(body)
        else:
            self.reply({"detail": "Not Found"}, 404)

    def load(self, body: dict[str, Any]) -> None:
        if not self.has_key(ADMIN_KEY):
            self.reply({"error": "Unauthorized"}, 401)
        elif "broken" in body["lora_path"]:
            self.reply({"success": False, "error_message": "rank 64 is over the limit"}, 400)
        else:
            self.server.adapters[body["lora_name"]] = body["lora_path"]
            self.reply({"success": True, "loaded_adapters": self.server.adapters})

    def chat(self, body: dict[str, Any]) -> None:
        server = self.server
        server.bodies.append(body)
        if server.connections_to_break:
            server.connections_to_break -= 1
            self.close_connection = True
            return
        if server.status != 200:
            self.reply({"object": "error", "message": "no room"}, server.status)
            return
        question = body["messages"][-1]["content"]
        if len(question) > 500:
            self.reply({"message": "The input (900 tokens) is longer than the model's context length"}, 400)
            return
        with server.lock:
            server.running += 1
            server.most_running = max(server.most_running, server.running)
        words = [body["model"], "|", question, "\u2028", "阀门🙂"]
        usage = {"prompt_tokens": 9, "completion_tokens": len(words), "total_tokens": 99}
        try:
            if body.get("stream"):
                self.stream(words, usage if body["stream_options"]["include_usage"] else None)
            else:
                time.sleep(server.token_seconds)
                choice = {"message": {"content": "".join(words)}, "finish_reason": "length"}
                self.reply({"choices": [choice], "usage": usage})
        finally:
            with server.lock:
                server.running -= 1

    def stream(self, words: list[str], usage: dict[str, int] | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        chunks: list[dict[str, Any]] = [
            {"choices": [{"delta": {"role": "assistant", "content": ""}}], "usage": None}
        ]
        chunks += [{"choices": [{"delta": {"content": word}, "finish_reason": None}]} for word in words]
        chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        chunks += [{"choices": [], "usage": usage}] if usage else []
        try:
            for number, chunk in enumerate(chunks):
                if number == self.server.break_after_tokens:
                    return
                time.sleep(self.server.token_seconds)
                content = b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"
                for part in (content[:11], content[11:]):
                    self.wfile.write(part)
                    self.wfile.flush()
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            self.server.aborted.set()


@pytest.fixture
def server() -> Iterator[FakeSglang]:
    fake = FakeSglang()
    thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    fake.shutdown()
    thread.join()
    fake.server_close()


Connect = Callable[..., SglangEngine]


@pytest.fixture
def connect(server: FakeSglang) -> Iterator[Connect]:
    engines: list[SglangEngine] = []

    def make(environment: dict[str, str] | None = None, **settings: Any) -> SglangEngine:
        url = f"http://127.0.0.1:{server.server_port}"
        chosen = EngineSettings(**({"kind": "sglang", "url": url, "timeout_seconds": 5.0} | settings))
        engines.append(SglangEngine(chosen, KEYS if environment is None else environment))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def test_stream_and_complete(connect: Connect, ask: Callable, read: Callable, server: FakeSglang) -> None:
    engine = connect()
    request = ask("为什么?", stop=("END",), seed=3, temperature=0.5, top_p=0.9)
    text, end = read(engine.stream(request))
    assert text == "base|为什么?\u2028阀门🙂"
    assert (end.finish_reason, end.usage.prompt_tokens, end.usage.completion_tokens) == ("stop", 9, 5)
    done = engine.complete([request])[0]
    assert (done.text, done.finish_reason, done.usage) == (text, "length", end.usage)
    streamed, whole = server.bodies
    assert streamed.pop("stream_options") == {"include_usage": True}
    assert streamed.pop("stream") is True
    assert streamed == whole
    assert whole == {
        "model": "base",
        "messages": [{"role": "user", "content": "为什么?"}],
        "max_tokens": 24,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "stop": ["END"],
    }


def test_adapters_are_chosen_by_base_and_name_and_never_guessed(
    connect: Connect, ask: Callable, server: FakeSglang
) -> None:
    engine = connect()
    with pytest.raises(NotFoundError, match="'pumps' is not loaded; loaded: none"):
        engine.stream(ask("Why?", adapter="pumps"))
    assert server.bodies == []
    engine.load_adapter("pumps", "/adapters/pumps-1")
    engine.load_adapter("pumps", "/adapters/pumps-1")
    assert engine.adapters() == ("pumps",)
    assert engine.complete([ask("Why?", adapter="pumps"), ask("Why?")])[0].text.startswith("base:pumps|")
    with pytest.raises(ModelError, match="stands for /adapters/pumps-1 already"):
        engine.load_adapter("pumps", "/adapters/pumps-2")
    with pytest.raises(ModelError, match="rank 64 is over the limit"):
        engine.load_adapter("ovens", "/adapters/broken")
    with pytest.raises(InputError, match="no adapter name"):
        engine.load_adapter("a:b", "/adapters/pumps-1")
    assert connect().complete([ask("Why?", adapter="pumps")])[0].text.startswith("base:pumps|")


def test_many_requests_at_once_but_bounded(connect: Connect, ask: Callable, server: FakeSglang) -> None:
    server.token_seconds = 0.05
    done = connect(batch_size=4).complete([ask(f"q{n}") for n in range(8)])
    assert [one.text.split("|")[1][:2] for one in done] == [f"q{n}" for n in range(8)]
    assert server.most_running == 4


def test_closing_a_stream_ends_it_in_the_server(connect: Connect, ask: Callable, server: FakeSglang) -> None:
    server.token_seconds = 0.05
    engine = connect()
    for read_first in (True, False):
        server.aborted.clear()
        stream = engine.stream(ask("Why?"))
        if read_first:
            assert isinstance(next(stream), TextDelta)
        stream.close()
        assert server.aborted.wait(5)


def test_a_connection_that_breaks_before_the_first_token_is_tried_again(
    connect: Connect, ask: Callable, read: Callable, server: FakeSglang
) -> None:
    engine = connect()
    server.connections_to_break = 2
    assert read(engine.stream(ask("Why?")))[0].startswith("base|Why?")
    server.connections_to_break = 1
    assert engine.complete([ask("Why?")])[0].text.startswith("base|Why?")
    assert len(server.bodies) == 5
    server.connections_to_break = 9
    with pytest.raises(EngineUnavailable, match="no engine answers"):
        engine.complete([ask("Why?")])


def test_a_stream_that_breaks_after_a_token_is_not_tried_again(
    connect: Connect, ask: Callable, server: FakeSglang
) -> None:
    server.break_after_tokens = 3
    stream = connect().stream(ask("Why?"))
    assert next(stream) == TextDelta(text="base")
    with pytest.raises(EngineError, match="broke off"):
        list(stream)
    assert len(server.bodies) == 1


def test_errors_of_the_server(connect: Connect, ask: Callable, server: FakeSglang) -> None:
    engine = connect()
    for call in (engine.stream, lambda request: engine.complete([request])):
        with pytest.raises(PromptTooLong, match="900 tokens"):
            call(ask("x" * 501))
        server.status = 503
        with pytest.raises(EngineBusy, match="no room"):
            call(ask("Why?"))
        server.status = 500
        with pytest.raises(EngineError, match="answers 500: no room"):
            call(ask("Why?"))
        assert "not ready: 500" in engine.problems()[0]
        server.status = 200
    assert engine.problems() == ()


def test_no_token_in_time(connect: Connect, ask: Callable, server: FakeSglang) -> None:
    server.token_seconds = 1.0
    stream = connect(timeout_seconds=0.2).stream(ask("Why?"))
    with pytest.raises(EngineError, match="no token in time"):
        next(stream)


def test_keys_are_needed_and_never_shown(
    connect: Connect, ask: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(EngineUnavailable, match="DESKMATE_ENGINE_API_KEY"):
        connect({}).complete([ask("Why?")])
    without_admin = connect({"DESKMATE_ENGINE_API_KEY": USER_KEY})
    with pytest.raises(EngineUnavailable, match="DESKMATE_ENGINE_ADMIN_KEY"):
        without_admin.load_adapter("pumps", "/adapters/pumps-1")
    engine = connect()
    engine.load_adapter("pumps", "/adapters/pumps-1")
    assert engine.complete([ask("Why?")])
    shown = caplog.text + repr(engine)
    assert USER_KEY not in shown
    assert ADMIN_KEY not in shown


def test_tokens_are_counted_by_the_server_else_estimated(connect: Connect, server: FakeSglang) -> None:
    assert connect().count_tokens("valve 阀") == 7
    server.has_tokenize = False
    engine = connect()
    assert engine.count_tokens("阀" * 40) == 40
    assert 8 <= engine.count_tokens("close the valve and wait a bit") <= 12


def test_nobody_listens(ask: Callable) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    engine = SglangEngine(EngineSettings(kind="sglang", url=url), {})
    with pytest.raises(EngineUnavailable, match=f"no engine answers at {url}") as caught:
        engine.stream(ask("Why?"))
    assert caught.value.next_command == "deskmate doctor"
    assert url in engine.problems()[0]
    engine.close()


def test_closed(connect: Connect, ask: Callable) -> None:
    engine = connect()
    stream = engine.stream(ask("Why?"))
    assert isinstance(list(stream)[-1], StreamEnd)
    engine.close()
    assert engine.problems() == ("the engine is closed",)
    with pytest.raises(EngineUnavailable, match="closed"):
        engine.complete([ask("Why?")])
