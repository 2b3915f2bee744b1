"""An engine's figures for Prometheus, under our names, with the attributes of OpenTelemetry's conventions."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from assistant.engine.canary import Outcome

PREFIX = "deskmate_engine_"
MODEL = "gen_ai_request_model"
SERVER = "server_address"
# what SGLang says → what it is called here; its labels name the base model only
_SCRAPED: dict[str, str] = {
    "sglang:num_running_reqs": "requests_running",
    "sglang:num_queue_reqs": "requests_waiting",
    "sglang:num_requests": "requests",
    "sglang:num_aborted_requests": "requests_aborted",
    "sglang:gen_throughput": "output_tokens_per_second",
    "sglang:cache_hit_rate": "prefix_cache_hit_ratio",
    "sglang:token_usage": "kv_cache_used_ratio",
    "sglang:lora_pool_utilization": "adapter_slots_used_ratio",
    "sglang:prompt_tokens": "input_tokens",
    "sglang:generation_tokens": "output_tokens",
    "sglang:cached_tokens": "cached_input_tokens",
    "sglang:time_to_first_token_seconds": "time_to_first_token_seconds",
    "sglang:inter_token_latency_seconds": "time_per_output_token_seconds",
    "sglang:e2e_request_latency_seconds": "request_seconds",
}
_KEPT_LABELS = {"le": "le", "model_name": MODEL}


def gauge(name: str, text: str, values: Mapping[str, float], label: str = MODEL) -> Metric:
    """Return a family of gauges, one a value of ``label``."""
    family = Metric(PREFIX + name, text, "gauge")
    for value, number in values.items():
        family.add_sample(PREFIX + name, {label: value}, number)
    return family


def canary_family(counts: Mapping[tuple[str, Outcome], int]) -> Metric:
    """Return how canaries ended, by adapter."""
    family = Metric(f"{PREFIX}canaries", "Canaries asked after an adapter was loaded.", "counter")
    for (adapter, outcome), count in counts.items():
        family.add_sample(f"{PREFIX}canaries_total", {MODEL: adapter, "outcome": outcome}, count)
    return family


def renamed(pages: Mapping[str, str]) -> list[Metric]:
    """Return the families of SGLang servers' ``/metrics`` pages that are shown on, under our names.

    Samples that differ only in what is left out, such as ranks, become one: gauges their largest, others
    their sum.

    Args:
        pages: URL of the server, empty where there is only one → its page.

    Raises:
        ValueError: a page is not of Prometheus' text format.
    """
    found: dict[str, Metric] = {}
    for url, page in pages.items():
        for family in text_string_to_metric_families(page):
            name = _SCRAPED.get(family.name)
            if name is not None:
                ours = _renamed(family, PREFIX + name, {SERVER: url} if url else {})
                if name in found:
                    found[name].samples += ours.samples
                else:
                    found[name] = ours
    return list(found.values())


def _renamed(family: Metric, name: str, added: Mapping[str, str]) -> Metric:
    ours = Metric(name, family.documentation or name, family.type)
    merged: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for sample in family.samples:
        labels = {new: sample.labels[old] for old, new in _KEPT_LABELS.items() if old in sample.labels}
        key = (name + sample.name.removeprefix(family.name), tuple(sorted({**labels, **added}.items())))
        before = merged.get(key)
        if before is None:
            merged[key] = sample.value
        else:
            merged[key] = max(before, sample.value) if family.type == "gauge" else before + sample.value
    for (sample_name, rows), value in merged.items():
        ours.add_sample(sample_name, dict(rows), value)
    return ours
