"""Servers that are not SGLang, by the same client: what they lack is told, and no name is guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from assistant.core.errors import ModelError, NotFoundError


@pytest.mark.parametrize(
    ("kind", "told"),
    [("sglang", ""), ("vllm", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"), ("other", "adapters cannot be loaded")],
)
def test_what_a_server_lacks_is_told_once(
    connect: Callable, ask: Callable, server: Any, caplog: pytest.LogCaptureFixture, kind: str, told: str
) -> None:
    server.kind = kind
    engine = connect()
    assert engine.problems() == ()
    for _ in range(2):
        assert engine.complete([ask("Why?")])[0].text.startswith("base|")
    assert [record.getMessage().count(told) for record in caplog.records] == ([1] if told else [])


def test_vllm_loads_by_its_own_route_and_selects_an_adapter_by_its_bare_name(
    connect: Callable, ask: Callable, server: Any
) -> None:
    server.kind = "vllm"
    engine = connect()
    engine.load_adapter("pumps", "/adapters/pumps-1")
    assert server.adapters == {"pumps": "/adapters/pumps-1"}
    assert engine.complete([ask("Why?", adapter="pumps")])[0].text.startswith("base:pumps|")
    assert server.bodies[-1]["model"] == "pumps"
    with pytest.raises(NotFoundError):
        engine.complete([ask("Why?", adapter="ovens")])
    engine.unload_adapter("pumps")
    assert server.adapters == {}


def test_another_server_answers_with_adapters_that_it_lists_and_with_no_other(
    connect: Callable, ask: Callable, server: Any
) -> None:
    server.kind = "other"
    server.adapters["pumps"] = "/adapters/pumps-1"
    engine = connect(base_model="base")
    engine.load_adapter("pumps", "/here/pumps-1")
    assert engine.complete([ask("Why?", adapter="pumps")])[0].text.startswith("base:pumps|")
    with pytest.raises(ModelError, match="no route that loads adapters, and holds none named 'ovens'"):
        engine.load_adapter("ovens", "/here/ovens-1")
    with pytest.raises(NotFoundError):
        engine.complete([ask("Why?", adapter="ovens")])
    engine.unload_adapter("pumps")
    assert connect(base_model="pumps").complete([ask("Why?")])[0].text.startswith("base:pumps|")
