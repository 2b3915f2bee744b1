"""Prometheus metrics: few labels of few values, base units."""

import time

from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from assistant.core.records import Answer
from assistant.service.layer import Layer
from assistant.service.problems import to_problem

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
# the buckets of OpenTelemetry's conventions for generative models, in seconds
_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)


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

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


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
