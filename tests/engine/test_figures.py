"""SGLang's own page of metrics under our names: a page recorded from a server, and bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assistant.engine.figures import MODEL, renamed

PAGE = (Path(__file__).parent / "data" / "sglang_metrics.txt").read_text("utf-8")


def test_a_recorded_page_is_shown_on_under_our_names() -> None:
    families = {family.name: family for family in renamed({"": PAGE})}
    assert set(families) >= {
        f"deskmate_engine_{name}"
        for name in (
            "requests_running",
            "requests_waiting",
            "requests",
            "output_tokens_per_second",
            "prefix_cache_hit_ratio",
            "kv_cache_used_ratio",
            "input_tokens",
            "output_tokens",
            "cached_input_tokens",
            "time_to_first_token_seconds",
            "time_per_output_token_seconds",
            "request_seconds",
        )
    }
    (asked,) = (s for s in families["deskmate_engine_requests"].samples if s.name.endswith("_total"))
    assert asked.value > 0
    assert set(asked.labels) == {MODEL}
    first = families["deskmate_engine_time_to_first_token_seconds"]
    assert first.type == "histogram"
    counts = [sample for sample in first.samples if sample.name.endswith("_bucket")]
    assert {"le", MODEL} == set(counts[0].labels)
    assert max(sample.value for sample in counts) == asked.value


def test_ranks_become_one() -> None:
    page = "\n".join(
        [
            "# TYPE sglang:token_usage gauge",
            'sglang:token_usage{model_name="m",tp_rank="0"} 0.2',
            'sglang:token_usage{model_name="m",tp_rank="1"} 0.5',
            "# TYPE sglang:prompt_tokens_total counter",
            'sglang:prompt_tokens_total{model_name="m",tp_rank="0"} 3',
            'sglang:prompt_tokens_total{model_name="m",tp_rank="1"} 4',
            "# TYPE sglang:of_no_interest gauge",
            'sglang:of_no_interest{model_name="m"} 1',
        ]
    )
    found = {family.name: [sample.value for sample in family.samples] for family in renamed({"": page})}
    assert found == {"deskmate_engine_kv_cache_used_ratio": [0.5], "deskmate_engine_input_tokens": [7.0]}


@pytest.mark.parametrize("page", ["", PAGE, "no metrics at all {"])
def test_a_server_is_scraped_and_a_bad_page_does_no_harm(connect: Callable, server: Any, page: str) -> None:
    server.page = page
    families = {family.name: family for family in connect().metrics()}
    is_up = families["deskmate_engine_up"].samples[0].value
    assert is_up == (0 if "no metrics" in page else 1)
    assert ("deskmate_engine_requests" in families) == (page == PAGE)
