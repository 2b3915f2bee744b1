"""Several servers behind a router: each holds every adapter, and one that is gone or new stops nobody."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assistant.core.errors import EngineUnavailable, ModelError


@pytest.fixture
def replicas(start_server: Callable[[], Any], server: Any) -> list[Any]:
    """Two servers; the router, which the engine talks to, hands chats to the second."""
    made = [start_server(), start_server()]
    server.adapters = made[1].adapters
    return made


def urls_of(servers: list[Any]) -> tuple[str, ...]:
    return tuple(f"http://127.0.0.1:{server.server_port}" for server in servers)


def test_each_server_gets_what_it_lacks(
    connect: Callable, ask: Callable, replicas: list[Any], tiny_adapters: dict[str, Path], tmp_path: Path
) -> None:
    engine = connect(sglang={"replicas": urls_of(replicas)})
    folder = str(shutil.copytree(tiny_adapters["pumps"], tmp_path / "pumps"))
    engine.load_adapter("pumps", folder)
    assert [server.adapters for server in replicas] == [{"pumps": folder}] * 2
    canaries = [[body["model"] for body in server.bodies] for server in replicas]
    assert all(models.count("base:pumps") >= 3 for models in canaries)
    replicas[1].adapters.clear()  # started again
    assert engine.complete([ask("Why?", adapter="pumps")])[0].text.startswith("base:pumps|")
    assert replicas[1].adapters == {"pumps": folder}
    engine.unload_adapter("pumps")
    assert [server.adapters for server in replicas] == [{}, {}]


def test_a_server_that_is_gone_stops_nobody(connect: Callable, ask: Callable, replicas: list[Any]) -> None:
    urls = ("http://127.0.0.1:1", *urls_of(replicas[1:]))
    engine = connect(sglang={"replicas": urls})
    engine.load_adapter("pumps", "/adapters/pumps-1")
    assert engine.complete([ask("为什么?", adapter="pumps")])[0].text.startswith("base:pumps|")
    assert engine.numerics() == "sglang/0.5.23/cpu/float32"
    with pytest.raises(EngineUnavailable, match=r"127\.0\.0\.1:1/"):
        connect(sglang={"replicas": urls[:1]}).adapters()


def test_an_adapter_that_one_server_refuses_is_not_served(
    connect: Callable, ask: Callable, replicas: list[Any]
) -> None:
    replicas[1].adapters["pumps"] = "/adapters/another"
    engine = connect(sglang={"replicas": urls_of(replicas)})
    with pytest.raises(ModelError, match="already loaded"):
        engine.load_adapter("pumps", "/adapters/pumps-1")


def test_figures_name_their_server(connect: Callable, replicas: list[Any]) -> None:
    for number, server in enumerate(replicas):
        server.page = (
            f'# TYPE sglang:num_running_reqs gauge\nsglang:num_running_reqs{{model_name="m"}} {number + 1}'
        )
    engine = connect(sglang={"replicas": urls_of(replicas)})
    families = {family.name: family.samples for family in engine.metrics()}
    assert families["deskmate_engine_up"][0].value == 2
    running = {
        sample.labels["server_address"]: sample.value
        for sample in families["deskmate_engine_requests_running"]
    }
    assert running == dict(zip(urls_of(replicas), (1.0, 2.0), strict=True))
