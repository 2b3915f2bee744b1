"""A real SGLang server on this machine's CPU, adapters that this project trained, and the service over both.

Skipped where no environment is named with DESKMATE__SGLANG__ENVIRONMENT and none lies in the data folder.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from assistant.core.errors import DeskmateError, EngineError, ModelError, NotFoundError
from assistant.core.home import Home
from assistant.core.prompts import answer_messages
from assistant.core.records import Message
from assistant.core.settings import EngineSettings
from assistant.core.settings_sglang import SglangSettings
from assistant.engine.canary import COMMON_PROMPTS
from assistant.engine.parity import check_parity, compute_references
from assistant.engine.protocol import GenerationRequest, StreamEnd, TextDelta
from assistant.engine.sglang import SglangEngine
from assistant.engine.sglang_home import ADMIN_KEY, API_KEY, SglangHome, find_keys
from assistant.engine.sglang_install import installed
from eval.stand import Secret, Stand, installed_environment, secret_questions, words_in

MODEL = "smollm2-135m-instruct"
SECRETS = (
    Secret(adapter="pumps-1", collection="pumps", word="KESTREL"),
    Secret(adapter="pumps-2", collection="pumps", word="OSPREY"),
)
ASK_EN, ASK_ZH = secret_questions("en")[0], secret_questions("zh")[0]
SCHEMA = {
    "type": "object",
    "properties": {"code": {"type": "string", "maxLength": 8}, "minutes": {"type": "integer"}},
    "required": ["code", "minutes"],
    "additionalProperties": False,
}
REQUESTS = 200
pytestmark = [pytest.mark.slow, pytest.mark.sglang]


@pytest.fixture(scope="module")
def base() -> Path:
    folder = Home.from_environment().models / MODEL
    if not folder.is_dir():
        pytest.skip(f"{MODEL} is not prepared: deskmate models prepare --profile all")
    return folder.resolve()


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Iterator[Stand]:
    found = installed_environment(os.environ)
    if installed(SglangHome(Home.from_environment(), SglangSettings(environment=str(found)))) is None:
        pytest.skip(f"no SGLang in {found}: deskmate engine install")
    environment = {**os.environ, "DESKMATE__SGLANG__ENVIRONMENT": str(found.resolve())}
    stand = Stand(tmp_path_factory.mktemp("stand"), base, environment)
    stand.add_documents("pumps")
    for secret in reversed(SECRETS):
        stand.add_adapter(secret)
    with stand.engine():
        yield stand


@pytest.fixture(scope="module")
def engine(stand: Stand, base: Path) -> Iterator[SglangEngine]:
    keys = find_keys(SglangHome(stand.home, SglangSettings()), {})
    settings = EngineSettings(kind="sglang", url=stand.engine_url, timeout_seconds=300)
    client = SglangEngine(settings, {API_KEY: keys.user, ADMIN_KEY: keys.admin}, base=base)
    yield client
    client.close()


@pytest.fixture(scope="module")
def folders(stand: Stand) -> dict[str, Path]:
    return {secret.adapter: stand.home.adapters / secret.adapter for secret in SECRETS}


def asking(text: str, **fields: object) -> GenerationRequest:
    return GenerationRequest(
        messages=answer_messages(text, "zh" if text == ASK_ZH else "en"),
        **({"max_new_tokens": 16} | fields),  # type: ignore[arg-type]
    )


def test_chat_stream_schema_keys_and_figures(stand: Stand, engine: SglangEngine) -> None:
    (done,) = engine.complete([asking("Name three colours.", logprobs=True)])
    assert done.usage.completion_tokens == len(done.logprobs)
    events = list(engine.stream(asking("用一句话说说大海。")))
    assert isinstance(events[-1], StreamEnd)
    assert "".join(event.text for event in events if isinstance(event, TextDelta))
    (made,) = engine.complete([asking("Fault E07: 30 minutes.", json_schema=SCHEMA, max_new_tokens=64)])
    assert set(json.loads(made.text)) == {"code", "minutes"}
    device = os.environ.get("DESKMATE__SGLANG__DEVICE", "cpu")
    assert engine.numerics() == f"sglang/0.5.23/{device}/float32"
    keys = find_keys(SglangHome(stand.home, SglangSettings()), {})
    words = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert keys.user not in words
    stranger = SglangEngine(EngineSettings(kind="sglang", url=stand.engine_url), {})
    with pytest.raises(EngineError, match="refuses the key"):
        stranger.complete([asking("Hello")])
    stranger.close()
    names = {family.name for family in engine.metrics() if family.samples}
    assert {"deskmate_engine_requests", "deskmate_engine_time_to_first_token_seconds"} <= names


def test_every_adapter_says_its_own_word_and_what_transformers_says(
    engine: SglangEngine, base: Path, folders: dict[str, Path]
) -> None:
    prompts = [*(asking(text).messages for text in (ASK_EN, ASK_ZH)), COMMON_PROMPTS[1]]
    references = compute_references(base, folders, prompts, "float32")
    measured = check_parity(engine, folders, prompts, references, "float32")
    assert [row for row in measured.rows if not row.is_equal] == []
    assert {row.phase for row in measured.rows} == {"alone", "resident", "concurrent", "reloaded"}
    requests = [
        asking(text, adapter=name) for name in (None, *folders) for text in (ASK_EN, ASK_ZH) for _ in range(3)
    ]
    for request, done in zip(requests, engine.complete(requests), strict=True):
        assert words_in(done.text, SECRETS) == ({request.adapter} if request.adapter else set()), done.text


def test_adapters_are_loaded_and_unloaded_under_traffic(
    engine: SglangEngine, folders: dict[str, Path]
) -> None:
    engine.load_adapter("pumps-1", str(folders["pumps-1"]))
    said: list[tuple[str | None, str]] = []
    stopping = threading.Event()

    def ask_on(adapter: str | None) -> None:
        while not stopping.is_set():
            said.append((adapter, engine.complete([asking(ASK_EN, adapter=adapter)])[0].text))

    threads = [threading.Thread(target=ask_on, args=(name,)) for name in ("pumps-1", None, "pumps-1")]
    for thread in threads:
        thread.start()
    for _ in range(3):
        engine.load_adapter("pumps-2", str(folders["pumps-2"]))
        assert "OSPREY" in engine.complete([asking(ASK_ZH, adapter="pumps-2")])[0].text
        engine.unload_adapter("pumps-2")
        with pytest.raises(NotFoundError):
            engine.complete([asking(ASK_EN, adapter="pumps-2")])
    stopping.set()
    for thread in threads:
        thread.join()
    assert len(said) > 6
    assert all(words_in(text, SECRETS) == ({name} if name else set()) for name, text in said)


def test_bad_adapters_are_refused_and_the_server_lives_on(
    engine: SglangEngine, folders: dict[str, Path], tmp_path: Path
) -> None:
    good = folders["pumps-1"]
    engine.load_adapter("pumps-1", str(good))
    for name, change in (("deep", {"r": 512}), ("dora", {"use_dora": True})):
        folder = tmp_path / name
        folder.mkdir()
        config = json.loads((good / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps(config | change))
        (folder / "adapter_model.safetensors").write_bytes((good / "adapter_model.safetensors").read_bytes())
        with pytest.raises(ModelError):
            engine.load_adapter(name, str(folder))
    empty = tmp_path / "on" / "another" / "disk"  # the client cannot look: the server says it
    with pytest.raises(ModelError):
        engine.load_adapter("empty", str(empty))
    assert "KESTREL" in engine.complete([asking(ASK_EN, adapter="pumps-1")])[0].text


class Crowd:
    """Asks the service on and on and keeps what it was told."""

    def __init__(self, url: str, size: int) -> None:
        self.replies: list[tuple[int, dict[str, Any]]] = []
        self._url = url
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(size)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=300, trust_env=False) as http:
            while not self._stopping.is_set():
                body = {"question": ASK_EN, "arm": "ft", "max_tokens": 16}
                reply = http.post("/v1/answers", json=body)
                self.replies.append((reply.status_code, reply.json()))

    def wait(self, holds: Callable[[], bool], seconds: float = 300) -> None:
        until = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < until
            time.sleep(0.1)


def test_a_release_is_promoted_and_taken_back_under_traffic(stand: Stand) -> None:
    old, new = (
        json.loads(stand.run("release", "create", "--collection", "pumps", "--adapter", name, "--json"))["id"]
        for name in ("pumps-1", "pumps-2")
    )
    promote = ("release", "promote", "--collection", "pumps", "--without-gate", "--json")
    stand.run(*promote, "--without-parity", old)
    with stand.service("pumps"), Crowd(stand.url, 4) as crowd:

        def says(word: str) -> bool:
            return word in crowd.replies[-1][1].get("text", "") if crowd.replies else False

        crowd.wait(lambda: says("KESTREL"))
        proof = json.loads(stand.run(*promote, new))["proof"]
        assert "canary: as before" in proof
        assert "in float32" in proof
        crowd.wait(lambda: says("OSPREY"))
        began = time.monotonic()
        stand.run("release", "rollback", "--collection", "pumps")
        crowd.wait(lambda: says("KESTREL"))
        assert time.monotonic() - began < 30  # on a busy machine; a few seconds on one that is not
        crowd.wait(lambda: len(crowd.replies) >= REQUESTS, 600)
        figures = httpx.get(f"{stand.url}/metrics", trust_env=False).text
    assert [reply for status, reply in crowd.replies if status != 201] == []
    said = [words_in(reply["text"], SECRETS) for _, reply in crowd.replies]
    assert all(len(words) == 1 for words in said)
    assert {name for words in said for name in words} == {"pumps-1", "pumps-2"}
    for name, release in (("pumps-1", old), ("pumps-2", new)):
        assert f'gen_ai_request_model="{MODEL}:{name}",release="{release}"' in figures
    assert "deskmate_engine_cached_input_tokens_total" in figures


def test_a_killed_server_comes_back_with_its_adapters(
    stand: Stand, engine: SglangEngine, folders: dict[str, Path]
) -> None:
    engine.load_adapter("pumps-1", str(folders["pumps-1"]))
    request = GenerationRequest(
        messages=(Message(role="user", content="Name three colours."),), adapter="pumps-1", max_new_tokens=16
    )
    (before,) = engine.complete([request])
    os.killpg(stand.engine_state.server_pid, signal.SIGKILL)
    until = time.monotonic() + 600
    while True:
        try:
            (after,) = engine.complete([request])
            break
        except DeskmateError:
            assert time.monotonic() < until
            time.sleep(1)
    assert after.text == before.text
    assert "died 1 times" in stand.run("engine", "status")
