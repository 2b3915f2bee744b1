"""The worker with a stand-in for the model: what happens when a pass fails."""

import queue
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from assistant.core.errors import EngineError, EngineUnavailable
from assistant.engine.batching import Worker
from assistant.engine.decoding import Decoder
from assistant.engine.protocol import StreamEnd
from assistant.engine.rows import Collector, Event, Row, read_events

BAD = 7


def forward(adapters: Sequence[str | None], inputs: dict[str, Any]) -> Any:
    """Return as next token the one after the last, and fail on one of them."""
    import torch

    ids = inputs["input_ids"]
    cache = inputs["past_key_values"]
    keys = torch.zeros(len(ids), 1, ids.shape[1], 2)
    cache.update(keys, keys, 0)
    if BAD in ids:
        raise RuntimeError("out of memory")
    return torch.nn.functional.one_hot(ids[:, -1] + 1, 50).float()


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker(Decoder(forward, 1, has_windows=False), places=4, queue_limit=4)
    yield made
    made.close()


@pytest.fixture
def submit(worker: Worker, ask: Callable) -> Callable[[list[int]], queue.SimpleQueue[Event]]:
    def send(prompt: list[int]) -> queue.SimpleQueue[Event]:
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        row = Row(
            ask("?"), prompt, limit=3, decode=lambda ids: " ".join(map(str, ids)), ends={40}, tell=events.put
        )
        worker.submit(row, "stream")
        return events

    return send


def test_a_failed_pass_ends_its_rows_and_not_the_worker(
    submit: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(EngineError, match="RuntimeError: out of memory"):
        list(read_events(submit([1, BAD, 3]), 5))
    with pytest.raises(EngineError, match="RuntimeError: out of memory"):
        list(read_events(submit([BAD - 1]), 5))
    *pieces, end = read_events(submit([20]), 5)
    assert "".join(piece.text for piece in pieces) == "21 22 23"
    assert end.finish_reason == "length"
    assert caplog.text.count("out of memory") >= 2


def test_an_end_token_is_no_text(submit: Callable) -> None:
    *pieces, end = read_events(submit([37]), 5)
    assert "".join(piece.text for piece in pieces) == "38 39"
    assert (end.finish_reason, end.usage.completion_tokens) == ("stop", 2)


def test_errands_run_between_tokens_and_report_their_errors(worker: Worker) -> None:
    assert worker.call(lambda: 5) == 5
    with pytest.raises(ValueError, match="no"):
        worker.call(lambda: int("no"))
    worker.close()
    with pytest.raises(EngineUnavailable):
        worker.call(lambda: 5)


def test_nothing_comes_in_time() -> None:
    with pytest.raises(EngineError, match=r"no token came within 0\.01 seconds"):
        next(read_events(queue.SimpleQueue(), 0.01))


def test_a_collector_that_has_not_ended() -> None:
    ended: list[Collector] = []
    collector = Collector(ended.append)
    with pytest.raises(EngineError, match="has not ended"):
        collector.completion()
    collector.take(StreamEnd(finish_reason="stop", usage={}))  # type: ignore[arg-type]
    assert ended == [collector]
