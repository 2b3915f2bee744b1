"""Adapters behind an SGLang server: canaries, restarts, eviction, draining, back-pressure, the breaker."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assistant.core.errors import EngineBusy, EngineUnavailable, ModelError, NotFoundError
from assistant.core.jsonl import write_json
from assistant.core.records import Message
from assistant.core.settings import EngineSettings
from assistant.engine.adapters import seal_adapter
from assistant.engine.breaker import CircuitBreaker
from assistant.engine.canary import Canary
from assistant.engine.protocol import TextDelta
from assistant.engine.sglang import SglangEngine

KEYS = {"DESKMATE_ENGINE_API_KEY": "user-key-4711", "DESKMATE_ENGINE_ADMIN_KEY": "admin-key-0815"}
CONFIG = {"peft_type": "LORA", "r": 8, "target_modules": ["q_proj"]}
KEY = "sglang/0.5.23/cpu/float32"
SCHEMA = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Adapters with a canary prompt of their training each."""
    found = {}
    for name in ("pumps", "ovens", "boilers"):
        found[name] = tmp_path / name
        found[name].mkdir()
        prompt = (Message(role="user", content=f"问 {name}?"),)
        write_json(found[name] / "canary.json", Canary(prompts=(prompt,), is_taught=True))
        write_json(found[name] / "adapter_config.json", CONFIG)
    return found


def texts(folder: Path) -> dict[str, list[str]]:
    return json.loads((folder / "canary.json").read_text())["texts"]


def test_the_first_load_records_the_canary_and_later_ones_are_held_to_it(
    connect: Callable, ask: Callable, server: Any, folders: dict[str, Path]
) -> None:
    connect().load_adapter("pumps", str(folders["pumps"]))
    assert texts(folders["pumps"])[KEY][0].startswith("base:pumps|问 pumps?")
    server.adapters.clear()
    connect().load_adapter("pumps", str(folders["pumps"]))  # the same text: it passes
    server.adapters.clear()
    server.renamed["base:pumps"] = "base:ovens"  # the server answers with another adapter
    engine = connect()
    with pytest.raises(ModelError, match=f"fails its canary in {KEY}"):
        engine.load_adapter("pumps", str(folders["pumps"]))
    assert server.adapters == {}
    with pytest.raises(NotFoundError):
        engine.complete([ask("Why?", adapter="pumps")])


def test_an_adapter_that_answers_as_the_base_model_is_refused(
    connect: Callable, server: Any, folders: dict[str, Path]
) -> None:
    server.renamed["base:pumps"] = "base"
    with pytest.raises(ModelError, match="as the base model does"):
        connect().load_adapter("pumps", str(folders["pumps"]))
    assert texts(folders["pumps"]) == {}


def test_a_server_that_was_started_again_gets_its_adapters_back_checked(
    connect: Callable, ask: Callable, read: Callable, server: Any, folders: dict[str, Path]
) -> None:
    engine = connect()
    for name in ("pumps", "ovens"):
        engine.load_adapter(name, str(folders[name]))
    server.adapters.clear()
    assert engine.complete([ask("Why?", adapter="pumps")])[0].text.startswith("base:pumps|Why?")
    server.adapters.clear()
    assert read(engine.stream(ask("Why?", adapter="ovens")))[0].startswith("base:ovens|Why?")
    server.adapters.clear()
    server.renamed["base:pumps"] = "base:ovens"
    for _ in range(2):
        with pytest.raises(ModelError, match="fails its canary"):
            engine.complete([ask("Why?", adapter="pumps")])
    asked = len(server.bodies)
    with pytest.raises(ModelError, match="fails its canary"):
        engine.complete([ask("Why?", adapter="pumps")])
    assert len(server.bodies) == asked  # it is not tried again with every question


def test_the_least_recently_used_adapter_makes_room_and_comes_back(
    connect: Callable, ask: Callable, server: Any, folders: dict[str, Path]
) -> None:
    engine = connect(sglang={"loaded_adapters": 2})
    for name in ("pumps", "ovens"):
        engine.load_adapter(name, str(folders[name]))
    engine.complete([ask("Why?", adapter="pumps")])
    engine.load_adapter("boilers", str(folders["boilers"]))
    assert server.unloads == ["ovens"]
    assert engine.complete([ask("Why?", adapter="ovens")])[0].text.startswith("base:ovens|")
    assert server.unloads == ["ovens", "pumps"]
    assert set(server.adapters) == {"ovens", "boilers"}


def test_an_unload_waits_for_running_requests(
    connect: Callable, ask: Callable, server: Any, folders: dict[str, Path]
) -> None:
    engine = connect()
    engine.load_adapter("pumps", str(folders["pumps"]))
    server.token_seconds = 0.05
    stream = engine.stream(ask("Why?", adapter="pumps"))
    assert isinstance(next(stream), TextDelta)
    unloading = threading.Thread(target=engine.unload_adapter, args=("pumps",))
    unloading.start()
    time.sleep(0.05)
    assert server.unloads == []
    assert "阀门" in "".join(event.text for event in stream if isinstance(event, TextDelta))
    unloading.join(5)
    assert server.unloads == ["pumps"]
    with pytest.raises(NotFoundError):
        engine.stream(ask("Why?", adapter="pumps"))


def test_many_threads_and_adapters_never_get_another_adapters_answer(
    connect: Callable, ask: Callable, server: Any, folders: dict[str, Path]
) -> None:
    engine = connect(sglang={"loaded_adapters": 2}, batch_size=8)
    for name, folder in folders.items():
        engine.load_adapter(name, str(folder))
    requests = [ask(f"q{n}", adapter=[*folders, None][n % 4]) for n in range(60)]
    for request, done in zip(requests, engine.complete(requests), strict=True):
        model = f"base:{request.adapter}" if request.adapter else "base"
        assert done.text.startswith(f"{model}|{request.messages[-1].content}")


def test_more_requests_than_places_are_turned_away(connect: Callable, ask: Callable, server: Any) -> None:
    server.token_seconds = 0.05
    engine = connect(batch_size=1, queue_limit=1)
    streams = [engine.stream(ask("Why?")) for _ in range(2)]
    with pytest.raises(EngineBusy, match="wait already"):
        engine.stream(ask("Why?"))
    streams[0].close()
    assert list(engine.stream(ask("Why?")))
    streams[1].close()


def test_a_schema_and_log_probabilities_are_asked_for_but_no_thoughts_and_one_answer(
    connect: Callable, ask: Callable, server: Any
) -> None:
    connect().complete([ask("Why?", json_schema=SCHEMA, logprobs=True)])
    (body,) = server.bodies
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert body["logprobs"] is True
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert "n" not in body


def test_the_breaker_opens_after_failures_and_closes_after_a_trial() -> None:
    now = 0.0
    breaker = CircuitBreaker(2, 5.0, clock=lambda: now)
    breaker.failed("refused")
    breaker.check()
    breaker.failed("refused")
    with pytest.raises(EngineUnavailable, match=r"failed 2 times in a row \(refused\)"):
        breaker.check()
    now = 5.1
    breaker.check()  # one request as a trial
    with pytest.raises(EngineUnavailable):
        breaker.check()
    breaker.succeeded()
    breaker.check()


def test_a_dead_server_is_not_asked_again_and_again(connect: Callable, ask: Callable, server: Any) -> None:
    engine = connect(sglang={"breaker_failures": 1, "breaker_seconds": 60})
    assert engine.complete([ask("Why?")])
    server.connections_to_break = 3
    with pytest.raises(EngineUnavailable, match="no engine answers"):
        engine.complete([ask("Why?")])
    asked = len(server.bodies)
    with pytest.raises(EngineUnavailable, match="in a row"):
        engine.complete([ask("Why?")])
    assert len(server.bodies) == asked
    assert engine.problems() == ()  # health is asked past the breaker, and closes it
    assert engine.complete([ask("Why?")])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"use_dora": True}, "tuned with DoRA"),
        ({"r": 64}, "rank 64 is not between 1 and 16"),
        ({"rank_pattern": {"q_proj": 32}}, "rank 32 is not"),
        ({"peft_type": "IA3"}, "only LORA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is not supported"),
    ],
)
def test_what_the_server_could_not_serve_is_refused_before_it_is_asked(
    connect: Callable, server: Any, folders: dict[str, Path], change: dict[str, Any], reason: str
) -> None:
    write_json(folders["pumps"] / "adapter_config.json", CONFIG | change)
    with pytest.raises(ModelError, match=reason):
        connect().load_adapter("pumps", str(folders["pumps"]))
    assert server.adapters == {}


def test_adapters_are_held_to_the_base_model_where_it_lies_here(
    server: Any, tiny_model: Path, tiny_adapters: dict[str, Path], tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    engine = SglangEngine(EngineSettings(kind="sglang", url=url), KEYS, base=tiny_model)
    folder = Path(shutil.copytree(tiny_adapters["pumps"], tmp_path / "copy"))
    engine.load_adapter("whole", str(folder))
    seal_adapter(folder, tiny_model)
    weights = bytearray((folder / "adapter_model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "adapter_model.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match="was changed after training"):
        engine.load_adapter("tampered", str(folder))
    engine.close()
    assert set(server.adapters) == {"whole"}


def test_an_adapter_whose_files_are_gone_does_not_come_back(
    connect: Callable, ask: Callable, server: Any, folders: dict[str, Path]
) -> None:
    engine = connect()
    engine.load_adapter("pumps", str(folders["pumps"]))
    shutil.rmtree(folders["pumps"])
    server.adapters.clear()  # the server was started again
    with pytest.raises(ModelError, match=r"adapter_config\.json: No such file"):
        engine.complete([ask("Why?", adapter="pumps")])
    assert server.adapters == {}


def test_another_version_is_told_and_its_texts_are_kept_apart(
    connect: Callable, server: Any, folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    connect().load_adapter("pumps", str(folders["pumps"]))
    assert not caplog.records
    server.adapters.clear()
    server.version = "0.6.0"
    server.renamed["base:pumps"] = "base:another text"
    connect().load_adapter("pumps", str(folders["pumps"]))
    assert "SGLang 0.6.0, tested is 0.5.23" in caplog.text
    assert set(texts(folders["pumps"])) == {KEY, "sglang/0.6.0/cpu/float32"}
    server.kind = "other"
    assert connect().numerics() == "other/unknown/cpu/float32"


def test_an_adapter_proves_itself_again_when_asked(
    connect: Callable, server: Any, folders: dict[str, Path]
) -> None:
    engine = connect()
    with pytest.raises(NotFoundError):
        engine.prove_adapter("pumps")
    engine.load_adapter("pumps", str(folders["pumps"]))
    assert engine.prove_adapter("pumps")
    server.renamed["base:pumps"] = "base:ovens"
    with pytest.raises(ModelError, match="fails its canary"):
        engine.prove_adapter("pumps")
    (family,) = [family for family in engine.metrics() if family.name == "deskmate_engine_canaries"]
    counted = {sample.labels["outcome"]: sample.value for sample in family.samples}
    assert counted == {"recorded": 1, "passed": 1, "failed": 1}
