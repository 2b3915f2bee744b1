"""A real SGLang server on this machine's CPU: start, chat, stream, schema, adapters, parity, kill, stop.

Skipped where no environment is named with DESKMATE__SGLANG__ENVIRONMENT and none lies in the data folder.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assistant.core.errors import DeskmateError, EngineError, ModelError, NotFoundError
from assistant.core.home import Home
from assistant.core.jsonl import write_json
from assistant.core.records import Message
from assistant.core.settings import EngineSettings, Settings
from assistant.core.settings_sglang import SglangSettings
from assistant.engine.canary import COMMON_PROMPTS, Canary
from assistant.engine.parity import check_parity, compute_references
from assistant.engine.protocol import GenerationRequest, StreamEnd, TextDelta
from assistant.engine.sglang import SglangEngine, open_sglang
from assistant.engine.sglang_home import SglangHome, find_keys
from assistant.engine.sglang_install import installed
from assistant.engine.watching import read_state

MODEL = "smollm2-135m-instruct"
SCHEMA = {
    "type": "object",
    "properties": {"code": {"type": "string", "maxLength": 8}, "minutes": {"type": "integer"}},
    "required": ["code", "minutes"],
    "additionalProperties": False,
}
START = [sys.executable, "-c", "from assistant.cli import main; main()"]
pytestmark = [pytest.mark.slow, pytest.mark.sglang]


class Live:
    """A server that the command started, and a client of it."""

    def __init__(self, home: Home, settings: Settings, variables: dict[str, str]) -> None:
        self.home, self.settings, self._variables = home, settings, variables
        self.engine: SglangEngine

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [*START, "engine", *words], env=self._variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def server_pid(self) -> int:
        state = read_state(SglangHome(self.home, self.settings.sglang).state)
        assert state is not None
        return state.server_pid


@pytest.fixture(scope="module")
def base() -> Path:
    folder = Home.from_environment().models / MODEL
    if not folder.is_dir():
        pytest.skip(f"{MODEL} is not prepared: deskmate models prepare --profile all")
    return folder.resolve()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Iterator[Live]:
    named = os.environ.get("DESKMATE__SGLANG__ENVIRONMENT", "")
    found = SglangHome(Home.from_environment(), SglangSettings(environment=named))
    if installed(found) is None:
        pytest.skip(f"no SGLang in {found.environment}: deskmate engine install")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = Home(tmp_path_factory.mktemp("live")).make()
    values = {
        "DESKMATE__ENGINE__KIND": "sglang",
        "DESKMATE__ENGINE__BASE_MODEL": str(base),
        "DESKMATE__ENGINE__URL": f"http://127.0.0.1:{port}",
        "DESKMATE__SGLANG__PORT": str(port),
        "DESKMATE__SGLANG__MAX_TOTAL_TOKENS": "8192",
        "DESKMATE__SGLANG__ENVIRONMENT": str(found.environment.resolve()),
        "DESKMATE_HOME": str(home.root),
    }
    settings = Settings(
        engine=EngineSettings(
            kind="sglang", base_model=str(base), url=f"http://127.0.0.1:{port}", timeout_seconds=300
        ),
        sglang=SglangSettings(port=port, environment=str(found.environment.resolve())),
    )
    server = Live(home, settings, {**os.environ, **values})
    assert "SGLang serves" in server.run("start")
    try:
        server.engine = open_sglang(settings, home)
        yield server
        server.engine.close()
    finally:
        assert "stopped" in server.run("stop")


@pytest.fixture(scope="module")
def adapters(
    tmp_path_factory: pytest.TempPathFactory, base: Path, write_adapter: Callable
) -> dict[str, Path]:
    """Two adapters that say different things, with canary prompts."""
    folder = tmp_path_factory.mktemp("adapters")
    made = {}
    for seed, name in enumerate(("pumps", "ovens")):
        made[name] = write_adapter(folder / name, base, seed=seed, std=0.03)
        write_json(made[name] / "canary.json", Canary(prompts=COMMON_PROMPTS, is_taught=True))
    return made


def asking(text: str, **fields: object) -> GenerationRequest:
    return GenerationRequest(
        messages=(Message(role="user", content=text),),
        **({"max_new_tokens": 24} | fields),  # type: ignore[arg-type]
    )


def test_chat_stream_schema_and_keys(live: Live) -> None:
    (done,) = live.engine.complete([asking("Name three colours.", logprobs=True)])
    assert done.usage.completion_tokens == len(done.logprobs)
    events = list(live.engine.stream(asking("用一句话说说大海。")))
    assert isinstance(events[-1], StreamEnd)
    assert "".join(event.text for event in events if isinstance(event, TextDelta))
    (made,) = live.engine.complete(
        [asking("Fault E07: cool for 30 minutes.", json_schema=SCHEMA, max_new_tokens=64)]
    )
    assert set(json.loads(made.text)) == {"code", "minutes"}
    keys = find_keys(SglangHome(live.home, live.settings.sglang), {})
    words = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert keys.user not in words
    stranger = SglangEngine(live.settings.engine, {}, live.settings.sglang)
    with pytest.raises(EngineError, match="refuses the key"):
        stranger.complete([asking("Hello")])
    stranger.close()


def test_adapters_are_what_transformers_computes(live: Live, base: Path, adapters: dict[str, Path]) -> None:
    prompts = [*COMMON_PROMPTS[1:], (Message(role="user", content="How long must the pump cool?"),)]
    references = compute_references(base, adapters, prompts, "float32")
    said = {
        tuple(references[name, place].text for place in range(len(prompts))) for name in (None, *adapters)
    }
    assert len(said) == 3
    measured = check_parity(live.engine, adapters, prompts, references, "float32")
    assert [row for row in measured.rows if not row.is_equal] == []
    assert {row.phase for row in measured.rows} == {"alone", "resident", "concurrent", "reloaded"}
    live.engine.unload_adapter("ovens")
    with pytest.raises(NotFoundError):
        live.engine.complete([asking("Hello", adapter="ovens")])


def test_bad_adapters_are_refused_and_the_server_lives_on(
    live: Live, adapters: dict[str, Path], tmp_path: Path
) -> None:
    config = json.loads((adapters["pumps"] / "adapter_config.json").read_text())
    for name, change in (("deep", {"r": 512}), ("dora", {"use_dora": True})):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "adapter_config.json").write_text(json.dumps(config | change))
        weights = (adapters["pumps"] / "adapter_model.safetensors").read_bytes()
        (folder / "adapter_model.safetensors").write_bytes(weights)
        with pytest.raises(ModelError):
            live.engine.load_adapter(name, str(folder))
    assert live.engine.complete([asking("Hello", adapter="pumps")])[0].text


def test_a_killed_server_comes_back_with_its_adapters(live: Live, adapters: dict[str, Path]) -> None:
    live.engine.load_adapter("pumps", str(adapters["pumps"]))
    (before,) = live.engine.complete([asking("Name three colours.", adapter="pumps")])
    os.killpg(live.server_pid, signal.SIGKILL)
    until = time.monotonic() + 600
    while True:
        try:
            (after,) = live.engine.complete([asking("Name three colours.", adapter="pumps")])
            break
        except DeskmateError:
            assert time.monotonic() < until
            time.sleep(1)
    assert after.text == before.text
    assert "died 1 times" in live.run("status")
