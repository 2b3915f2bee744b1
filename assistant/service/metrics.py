"""Prometheus metrics: few labels of few values, base units.

What is counted by model carries the attributes of OpenTelemetry's conventions for generative models, with
underscores for dots.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest

from assistant.core.errors import DeskmateError
from assistant.core.records import Answer
from assistant.service.layer import Layer
from assistant.service.problems import to_problem
from assistant.store.answers import Lineage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# the buckets of OpenTelemetry's conventions for generative models, in seconds
_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKEN_BUCKETS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)


_MODEL = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "release")


class Metrics:
    """The service's own registry, so that two services in one process count apart."""

    def __init__(self) -> None:
        self._registry = here = CollectorRegistry()
        self._requests = Counter(
            "deskmate_http_requests", "Requests answered.", ["operation", "method", "status"], registry=here
        )
        self._seconds = Histogram(
            "deskmate_http_request_seconds",
            "Time from a request to the end of its answer.",
            ["operation"],
            buckets=_BUCKETS,
            registry=here,
        )
        self._under_way = Gauge("deskmate_http_requests_under_way", "Requests being answered.", registry=here)
        self._answers = Counter(
            "deskmate_answers", "Answers given.", ["arm", "language", "abstained"], registry=here
        )
        self._tokens = Counter("deskmate_tokens", "Tokens of answers.", ["kind"], registry=here)
        self._stages = Histogram(
            "deskmate_answer_seconds",
            "Time of an answer's stages.",
            ["stage"],
            buckets=_BUCKETS,
            registry=here,
        )
        self._asked = Counter(
            "deskmate_model_requests",
            "Questions that a model was asked; error_type is empty where it answered.",
            [*_MODEL, "error_type"],
            registry=here,
        )
        self._model_tokens = Counter(
            "deskmate_model_tokens", "Tokens by model.", [*_MODEL, "gen_ai_token_type"], registry=here
        )
        self._first, self._between, self._whole = (
            Histogram(f"deskmate_model_{name}_seconds", text, _MODEL, buckets=buckets, registry=here)
            for name, text, buckets in (
                ("time_to_first_token", "From the end of the search to the first token.", _BUCKETS),
                ("time_per_output_token", "Between two tokens of an answer.", _TOKEN_BUCKETS),
                ("request", "From the end of the search to the end of the answer.", _BUCKETS),
            )
        )
        self._engines = EngineFamilies()
        here.register(self._engines)
        self.waiting = Gauge("deskmate_questions_waiting", "Questions that wait for a place.", registry=here)
        self.jobs = Gauge("deskmate_jobs", "Jobs that have not ended.", ["state"], registry=here)

    def begin(self) -> None:
        """Count a request that has begun."""
        self._under_way.inc()

    def end(self, operation: str, method: str, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        self._under_way.dec()
        self._requests.labels(operation, method, str(status)).inc()
        self._seconds.labels(operation).observe(seconds)

    def count_answer(self, answer: Answer) -> None:
        """Count an answer with its stages and tokens."""
        self._answers.labels(answer.arm, answer.language, str(answer.abstained).lower()).inc()
        self._tokens.labels("prompt").inc(answer.usage.prompt_tokens)
        self._tokens.labels("completion").inc(answer.usage.completion_tokens)
        for stage, seconds in answer.timings.items():
            self._stages.labels(stage).observe(seconds)

    def count_model(self, lineage: Lineage, answer: Answer) -> None:
        """Count what a model did for an answer, by adapter and release."""
        if not answer.usage.prompt_tokens:
            return  # nothing fitted, or quotes were given: no model was asked
        labels = _labels(lineage)
        self._asked.labels(*labels, "").inc()
        self._model_tokens.labels(*labels, "input").inc(answer.usage.prompt_tokens)
        self._model_tokens.labels(*labels, "output").inc(answer.usage.completion_tokens)
        searched = answer.timings.get("retrieve", 0.0)
        first, total = answer.timings.get("first_token"), answer.timings.get("total", 0.0)
        if first is None or not answer.usage.completion_tokens:
            return  # the answer was made in a batch
        self._first.labels(*labels).observe(max(0.0, first - searched))
        self._whole.labels(*labels).observe(max(0.0, total - searched))
        if answer.usage.completion_tokens > 1:
            self._between.labels(*labels).observe((total - first) / (answer.usage.completion_tokens - 1))

    def count_failure(self, lineage: Lineage, error: DeskmateError) -> None:
        """Count a question that a model did not answer."""
        self._asked.labels(*_labels(lineage), error.slug).inc()

    def text(self, engines: Sequence[Metric] = ()) -> bytes:
        """Return all metrics in Prometheus' text format, with those of the engines."""
        self._engines.families = tuple(engines)
        return generate_latest(self._registry)


class EngineFamilies:
    """What the engines say of themselves, as they said it last."""

    def __init__(self) -> None:
        self.families: tuple[Metric, ...] = ()

    def describe(self) -> list[Metric]:
        """Return nothing: what an engine tells is known when it tells it."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        yield from self.families


def _labels(lineage: Lineage) -> tuple[str, ...]:
    base = Path(lineage.base_model or "").name
    model = f"{base}:{lineage.adapter}" if lineage.adapter else base
    return "chat", lineage.engine or "", model, lineage.release or ""


class Measuring(Layer):
    """Counts requests by operation, which are few; paths and callers are many."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Measure one request."""
        began = time.perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.begin()
        try:
            await next_app(scope, receive, answer)
        except Exception as error:
            status = status or to_problem(error).status
            raise
        finally:
            handler = scope.get("route_handler")
            operation = str(getattr(handler, "operation_id", None) or "other")
            given = str(scope.get("method", ""))
            method = given if given in _METHODS else "other"
            self._metrics.end(operation, method, status, time.perf_counter() - began)
