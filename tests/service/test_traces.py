"""Spans of requests and of the stages of answering, in memory."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from assistant.core.errors import EngineError, InputError
from assistant.core.settings import Settings
from assistant.core.settings_tracing import TracingSettings
from assistant.core.tracing import listener, note, span, trace_id
from assistant.service.app import create_app
from assistant.service.logs import JsonLines
from assistant.service.traces import make_traces

pytest.importorskip("opentelemetry.sdk.trace", reason="the extra tracing is not installed")
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

STAGES = ["understand", "route", "retrieval", "compose", "verify"]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def ask(pipelines: Any, settings: Settings, **body: object) -> tuple[list[ReadableSpan], int]:
    spans = InMemorySpanExporter()
    app = create_app(settings, pipelines=pipelines, spans=spans)
    async with AsyncTestClient(app, base_url="http://127.0.0.1:8080") as client:
        while (await client.get("/readyz")).status_code != 200:
            pass
        spans.clear()
        reply = await client.post(
            "/v1/answers", json=body, headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        )
        await reply.aread()
    return list(spans.get_finished_spans()), reply.status_code


@pytest.mark.parametrize("question", ["What does fault code E07 mean?", "故障代码 E12 是什么意思？"])
@pytest.mark.parametrize("is_stream", [False, True])
async def test_every_stage_is_a_span_of_the_request(
    make_pipelines: Callable[..., Any], question: str, is_stream: bool
) -> None:
    found, status = await ask(make_pipelines(), Settings(), question=question, stream=is_stream)
    by_name = {one.name: one for one in found}
    request = by_name["POST /v1/answers"]
    chat = next(one for one in found if one.name.startswith("chat "))
    assert status in {200, 201}
    assert set(by_name) == {*STAGES, chat.name, "POST /v1/answers"}
    assert {one.parent.span_id for one in found if one is not request and one.parent} == {
        request.context.span_id
    }
    assert {f"{one.context.trace_id:032x}" for one in found} == {TRACE}
    attributes = dict(request.attributes or {})
    assert attributes["http.response.status_code"] == status
    assert attributes["http.route"] == "/v1/answers"
    assert attributes["gen_ai.data_source.id"] == "default"
    used = dict(chat.attributes or {})
    assert used["gen_ai.operation.name"] == "chat"
    assert used["gen_ai.response.finish_reasons"] == ("stop",)
    assert used["gen_ai.usage.output_tokens"] > 0
    assert used["gen_ai.response.time_to_first_chunk"] >= 0
    assert dict(by_name["retrieval"].attributes or {})["deskmate.passages"] == 3
    told = json.dumps([dict(one.attributes or {}) for one in found], ensure_ascii=False)
    assert question not in told
    assert "motor" not in told


async def test_what_fails_is_marked_and_says_nothing(
    make_pipelines: Callable[..., Any], watched_engine: Callable[..., Any]
) -> None:
    engine = watched_engine(fails_after=1)
    engine.error = EngineError("the engine said: 13812345678")
    found, status = await ask(make_pipelines(engine), Settings(), question="What does E07 mean?")
    failed = {one.name: dict(one.attributes or {})["error.type"] for one in found if not one.status.is_ok}
    assert status == 502
    assert [kind for name, kind in failed.items() if name.startswith("chat ")] == ["EngineError"]
    assert "13812345678" not in "".join(one.to_json() for one in found)


async def test_a_share_of_none_keeps_nothing_whatever_the_client_wants(
    make_pipelines: Callable[..., Any],
) -> None:
    settings = Settings(tracing=TracingSettings(share=0.0))
    found, status = await ask(make_pipelines(settings=settings), settings, question="What does E07 mean?")
    assert (status, found) == (201, [])


def test_off_by_default_and_nothing_of_it_is_loaded() -> None:
    assert make_traces(TracingSettings()) is None
    script = (
        "import sys; from assistant.service.app import create_app; create_app(); "
        "print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_an_http_url_is_taken() -> None:
    with pytest.raises(InputError, match="no HTTP URL"):
        make_traces(TracingSettings(url="grpc://collector:4317"))


def test_without_a_listener_steps_are_silent() -> None:
    assert (listener.get(), trace_id()) == (None, "")
    note({"a": 1})
    with span("retrieve") as step, span("retrieve") as other:
        step.note({"deskmate.passages": 1})
    assert step is other


async def test_the_log_names_the_trace(make_pipelines: Callable[..., Any]) -> None:
    lines: list[dict[str, object]] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonLines().format(record)))

    logger, handler = logging.getLogger("assistant.service.problems"), Keeping()
    logger.addHandler(handler)
    try:
        pipelines = make_pipelines()
        pipelines.chunk = lambda *_: 1 / 0
        app = create_app(pipelines=pipelines, spans=InMemorySpanExporter())
        async with AsyncTestClient(app, base_url="http://127.0.0.1:8080") as client:
            headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-00", "x-request-id": "req-7"}
            await client.get("/v1/chunks/c1", headers=headers)
    finally:
        logger.removeHandler(handler)
    assert [(line["trace_id"], line["request_id"]) for line in lines] == [(TRACE, "req-7")]


class Collector:
    """A collector on a real port; answers with a redirect to another path where told to."""

    def __init__(self, status: int) -> None:
        self.got: list[tuple[str, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - as the base class names it

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.mark.parametrize("status", [200, 307])
async def test_spans_go_to_the_url_of_the_settings_and_nowhere_else(
    make_pipelines: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    with Collector(status) as collector, Collector(200) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "OTEL_EXPORTER_OTLP_ENDPOINT"):
            monkeypatch.setenv(name, proxy.url)
        settings = Settings(tracing=TracingSettings(url=collector.url))
        app = create_app(settings, pipelines=make_pipelines(settings=settings))
        async with AsyncTestClient(app, base_url="http://127.0.0.1:8080") as client:
            await client.get("/livez")
    assert proxy.got == []
    assert {path for path, _ in collector.got} == {"/v1/traces"}
    told = ExportTraceServiceRequest.FromString(collector.got[0][1])
    (resource,) = told.resource_spans
    named = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert named["service.name"] == "deskmate"
    assert [span.name for scope in resource.scope_spans for span in scope.spans] == ["GET /livez"]
