from __future__ import annotations

from collections.abc import Callable

import pytest

from assistant.answering.pipeline import Pipeline
from assistant.core.progress import NoProgress
from assistant.core.records import Answer, Arm, Case, Usage
from eval.latency import Latency, Percentiles, latency_of, measure_latency, percentiles
from eval.report_groups import latency_html


def answer(arm: Arm, total: float, first: float, tokens: int) -> Answer:
    timings = {"retrieve": 0.1, "total": total, "first_token": first}
    return Answer(
        id="a",
        question="q",
        text="t",
        abstained=not tokens,
        citations=(),
        passages=(),
        arm=arm,
        language="en",
        timings=timings,
        usage=Usage(completion_tokens=tokens),
    )


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentiles([float(n) for n in range(1, 101)]) == Percentiles(p50=50, p95=95, count=100)
    assert percentiles([3.0, 1.0, 2.0]) == Percentiles(p50=2, p95=3, count=3)
    assert percentiles([4.0]) == Percentiles(p50=4, p95=4, count=1)


def test_an_answer_without_the_engine_has_no_first_token() -> None:
    found = latency_of([answer("rag", 3.0, 1.0, 21), answer("rag", 0.2, 0.0, 0)])
    assert found.first_token == Percentiles(p50=1, p95=1, count=1)
    assert found.total == Percentiles(p50=0.2, p95=3, count=2)
    assert found.tokens_per_second == 10  # 20 tokens after the first one in 2 s
    refused = latency_of([answer("rag", 0.2, 0.0, 0)])
    assert (refused.first_token, refused.tokens_per_second) == (None, None)
    assert latency_of([answer("base", 3.0, 1.0, 21)]).retrieve is None


def test_each_case_is_asked_alone_in_each_arm(
    suite: tuple[Case, ...], open_scripted: Callable[..., Pipeline]
) -> None:
    pipeline = open_scripted([("flange bolts", "48 Nm [1]."), ("除垢液", "两升 [1]。")])
    found = measure_latency(pipeline, suite, ("base", "rag"), NoProgress())
    assert list(found) == ["base", "rag"]
    assert [row.total.count for row in found.values()] == [3, 3]
    assert found["base"].retrieve is None
    rag = found["rag"]
    assert rag.retrieve is not None
    assert rag.first_token is not None
    assert rag.first_token.count == 2  # the search found nothing for the third
    assert rag.first_token.p50 <= rag.total.p95


@pytest.mark.parametrize("rate", [12.5, None])
def test_the_page_shows_seconds(rate: float | None) -> None:
    row = Latency(total=Percentiles(p50=1.5, p95=2.5, count=20), tokens_per_second=rate)
    page = latency_html({"rag": row})
    assert "<td>1.50 s</td><td>2.50 s</td>" in page
    assert f"<td>{'12.5' if rate else '–'}</td><td>20</td>" in page
    assert "eval --latency" in latency_html({})
