"""A tiny random model with a real tokenizer, and engines over it: no download, under a second."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from assistant.core.environment import prepare_environment
from assistant.core.records import Message
from assistant.core.settings import EngineSettings
from assistant.core.settings_sglang import SglangSettings
from assistant.engine.local import LocalEngine
from assistant.engine.protocol import GenerationRequest, StreamEnd, TextDelta
from assistant.engine.sglang import SglangEngine

prepare_environment()


def build_adapter(folder: Path, base: Path, *, seed: int, rank: int = 4, std: float = 0.3) -> Path:
    """Write a random LoRA adapter that changes the base's text."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(str(base), dtype=torch.float32)
    targets = ["q_proj", "v_proj", "down_proj"]
    config = LoraConfig(r=rank, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=std)
    adapted.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_adapters(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tiny-adapters")
    return {
        name: build_adapter(folder / name, tiny_model, seed=seed)
        for seed, name in enumerate(("pumps", "ovens.v2"), 1)
    }


LocalFactory = Callable[..., LocalEngine]


@pytest.fixture
def local(tiny_model: Path) -> Iterator[LocalFactory]:
    """Make engines over the tiny model in full precision; they are closed at the end."""
    engines: list[LocalEngine] = []

    def make(folder: Path = tiny_model, **settings: object) -> LocalEngine:
        chosen = EngineSettings(**({"dtype": "float32", "timeout_seconds": 30.0} | settings))  # type: ignore[arg-type]
        engines.append(LocalEngine("tiny", folder, chosen))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


Ask = Callable[..., GenerationRequest]
Read = Callable[[Iterator[TextDelta | StreamEnd]], tuple[str, StreamEnd]]


@pytest.fixture
def ask() -> Ask:
    """Make requests of one user message."""

    def make(question: str, **options: object) -> GenerationRequest:
        message = Message(role="user", content=question)
        return GenerationRequest(messages=(message,), **({"max_new_tokens": 24} | options))  # type: ignore[arg-type]

    return make


@pytest.fixture
def read() -> Read:
    """Return text and end of a stream; the end must come last and once, and no piece be empty."""

    def take(events: Iterator[TextDelta | StreamEnd]) -> tuple[str, StreamEnd]:
        *pieces, end = list(events)
        assert isinstance(end, StreamEnd)
        assert all(isinstance(piece, TextDelta) and piece.text for piece in pieces)
        return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)), end

    return take


USER_KEY, ADMIN_KEY = "user-key-4711", "admin-key-0815"
KEYS = {"DESKMATE_ENGINE_API_KEY": USER_KEY, "DESKMATE_ENGINE_ADMIN_KEY": ADMIN_KEY}


class FakeSglang(ThreadingHTTPServer):
    """Behaves as SGLang was measured to, on a real port."""

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
        self.reason = "no room"
        self.nonsense: str | None = None
        self.renamed: dict[str, str] = {}
        self.unloads: list[str] = []
        self.kind = "sglang"  # or vllm, or other: OpenAI's routes only
        self.version = "0.5.23"
        self.page = ""
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

    def reply(self, body: object, status: int = 200, *, as_json: bool = True) -> None:
        content = (json.dumps(body, ensure_ascii=False) if as_json else str(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def has_key(self, key: str) -> bool:
        return self.headers.get("Authorization") == f"Bearer {key}"

    def do_GET(self) -> None:
        kind = self.server.kind
        if self.path == "/health" and kind != "other":
            self.reply({}, self.server.status)
        elif self.path == "/metrics":
            self.reply(self.server.page, as_json=False)
        elif not self.has_key(USER_KEY):
            self.reply({"error": "Unauthorized"}, 401)
        elif self.path == "/server_info" and kind == "sglang":
            self.reply({"version": self.server.version, "device": "cpu", "dtype": "float32"})
        elif self.path == "/version" and kind == "vllm":
            self.reply({"version": "0.11.0"})
        elif self.path != "/v1/models":
            self.reply({"detail": "Not Found"}, 404)
        else:
            cards = [{"id": "base", "root": "/models/base", "parent": None}]
            cards += [{"id": n, "root": p, "parent": "base"} for n, p in self.server.adapters.items()]
            if kind == "other":
                cards = [{"id": card["id"]} for card in cards]
            self.reply({"object": "list", "data": cards})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        routes = {"sglang": "", "vllm": "/v1"}
        prefix = routes.get(self.server.kind, "/none")
        if self.path == f"{prefix}/load_lora_adapter":
            self.load(body)
        elif self.path == f"{prefix}/unload_lora_adapter":
            self.unload(body)
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
        elif body["lora_name"] in self.server.adapters:
            reason = f"Failed to load LoRA adapter {body['lora_name']} because it is already loaded"
            self.reply({"success": False, "error_message": reason}, 400)
        else:
            self.server.adapters[body["lora_name"]] = body["lora_path"]
            self.reply({"success": True, "loaded_adapters": self.server.adapters})

    def unload(self, body: dict[str, Any]) -> None:
        self.server.unloads.append(body["lora_name"])
        known = self.server.adapters.pop(body["lora_name"], None)
        self.reply({"success": bool(known)}, 200 if known else 400)

    def chat(self, body: dict[str, Any]) -> None:
        server = self.server
        adapter = body["model"].partition(":")[2]
        if server.kind != "sglang" and body["model"] != "base":
            adapter = body["model"]
        if adapter and adapter not in server.adapters:
            self.reply({"message": f"Got LoRA adapter that has never been loaded: {adapter}"}, 400)
            return
        server.bodies.append(body)
        if server.connections_to_break:
            server.connections_to_break -= 1
            self.close_connection = True
            return
        if server.status != 200:
            self.reply({"object": "error", "message": server.reason}, server.status)
            return
        if server.nonsense is not None:
            self.reply(server.nonsense, as_json=False)
            return
        question = body["messages"][-1]["content"]
        if len(question) > 500:
            self.reply({"message": "The input (900 tokens) is longer than the model's context length"}, 400)
            return
        with server.lock:
            server.running += 1
            server.most_running = max(server.most_running, server.running)
        model = f"base:{adapter}" if adapter else body["model"]
        words = [server.renamed.get(model, model), "|", question, "\u2028", "阀门🙂"]
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
def start_server() -> Iterator[Callable[[], FakeSglang]]:
    started: list[tuple[FakeSglang, threading.Thread]] = []

    def start() -> FakeSglang:
        fake = FakeSglang()
        thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((fake, thread))
        return fake

    yield start
    for fake, thread in started:
        fake.shutdown()
        thread.join()
        fake.server_close()


@pytest.fixture
def server(start_server: Callable[[], FakeSglang]) -> FakeSglang:
    return start_server()


Connect = Callable[..., SglangEngine]


@pytest.fixture
def connect(server: FakeSglang) -> Iterator[Connect]:
    engines: list[SglangEngine] = []

    def make(environment: dict[str, str] | None = None, **settings: Any) -> SglangEngine:
        url = f"http://127.0.0.1:{server.server_port}"
        own = SglangSettings(**settings.pop("sglang", {}))
        chosen = EngineSettings(**({"kind": "sglang", "url": url, "timeout_seconds": 5.0} | settings))
        engines.append(SglangEngine(chosen, KEYS if environment is None else environment, own))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()
