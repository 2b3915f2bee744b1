"""What is counted by adapter and release, and what the engines say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from assistant.core.errors import EngineError
from assistant.engine.figures import canary_family, gauge

EN, ZH = "What does fault code E07 mean?", "故障代码 E12 是什么意思？"


def read(text: str) -> dict[str, float]:
    """Return samples that name a model: name, adapter and what else tells them apart."""
    return {
        " ".join((sample.name, *(value for key, value in sample.labels.items() if key != "le"))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "gen_ai_request_model" in sample.labels and not sample.name.endswith("_created")
    }


async def test_requests_tokens_and_times_are_counted_by_adapter(
    serve_in_memory: Callable[..., Any], make_pipelines: Callable[..., Any], watched_engine: Any
) -> None:
    class Told(watched_engine):  # type: ignore[misc]
        """Has figures of its own."""

        def metrics(self) -> list[Metric]:
            return [
                gauge("requests_waiting", "Requests that wait.", {"base": 3}),
                canary_family({("tuned", "passed"): 2}),
            ]

    engine = Told()
    async with serve_in_memory(make_pipelines(engine)) as client:
        for question, arm in ((EN, None), (ZH, "rag"), (EN, "ft"), ("Is there life on Mars?", None)):
            reply = await client.post("/v1/answers", json={"question": question, "arm": arm, "stream": True})
            assert reply.is_success
        engine._fails_after, engine.error = 0, EngineError("cut")
        await client.post("/v1/answers", json={"question": EN})
        found = read((await client.get("/metrics")).text)
    base = "qwen2.5-coder-0.5b-instruct"
    model = f"chat local {base}:tuned"
    assert {name: value for name, value in found.items() if "requests_total" in name} == {
        f"deskmate_model_requests_total  {model} ": 2.0,
        f"deskmate_model_requests_total  chat local {base} ": 1.0,
        f"deskmate_model_requests_total engine-failed {model} ": 1.0,
    }
    assert found[f"deskmate_model_time_to_first_token_seconds_count {model} "] == 2
    assert found[f"deskmate_model_time_per_output_token_seconds_count {model} "] == 2
    assert found[f"deskmate_model_tokens_total {model} input "] > 10
    assert found["deskmate_engine_requests_waiting base"] == 3
    assert found["deskmate_engine_canaries_total tuned passed"] == 2
