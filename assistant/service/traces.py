"""OpenTelemetry traces: a span for each request, below it one for each stage of answering."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from assistant.core.errors import InputError
from assistant.core.settings_tracing import TracingSettings
from assistant.core.tracing import Value, listener
from assistant.service.layer import Layer

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import Tracer as OtelTracer

_SERVER_ERROR = 500
_CARRIED = {b"traceparent", b"tracestate"}


def make_traces(settings: TracingSettings, exporter: "SpanExporter | None" = None) -> "Traces | None":
    """Return what traces requests, None where no URL is set.

    Args:
        settings: ``[tracing]``.
        exporter: where spans go in place of the URL; they are handed on at once.

    Raises:
        InputError: a URL is set and the extra is not installed, or the URL is none of HTTP.
    """
    if exporter is None and not settings.url:
        return None
    if exporter is None and not settings.url.startswith(("http://", "https://")):
        raise InputError(f"tracing.url {settings.url!r} is no HTTP URL", next_command="deskmate config show")
    try:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
    except ImportError as error:
        raise InputError(
            "tracing.url is set and the extra for traces is not installed",
            next_command="pip install 'deskmate[tracing]'",
        ) from error
    provider = TracerProvider(resource=_resource(), sampler=_sampler(settings.share))
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    else:
        provider.add_span_processor(BatchSpanProcessor(_exporter(settings)))
    return Traces(provider)


def _resource() -> Any:
    from opentelemetry.sdk.resources import Resource

    return Resource({"service.name": "deskmate", "service.version": version("deskmate")})


def _sampler(share: float) -> Any:
    """Sample by the trace's id alone: a stranger's flag makes no trace, and one's own traces stay whole."""
    from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

    return TraceIdRatioBased(share)


def _exporter(settings: TracingSettings) -> "SpanExporter":
    import requests
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    session = requests.Session()
    session.trust_env = False  # no proxy of the environment
    session.max_redirects = 0  # to the URL of the settings, and nowhere else
    return OTLPSpanExporter(endpoint=settings.url, timeout=settings.timeout_seconds, session=session)


class Traces(Layer):
    """Opens the span of a request and lets what is done for it listen.

    Args:
        provider: makes spans and hands them on.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("deskmate", version("deskmate"))

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Trace one request, to the last byte of its answer."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        attributes = {"http.request.method": str(scope.get("method", "")), "url.scheme": scope["scheme"]}
        opened = self._tracer.start_as_current_span(
            "request",
            context=_carried(scope),
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,  # its message may quote a question
            set_status_on_exception=False,
        )
        with opened as request:
            token = listener.set(_Listener(self._tracer, request, set_span_in_context(request)))

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _end(request, scope, message["status"])
                await send(message)

            try:
                await next_app(scope, receive, answer)
            finally:
                listener.reset(token)

    def close(self) -> None:
        """Hand on what is left; blocks."""
        self._provider.shutdown()


class _Listener:
    """The steps of one request become children of its span."""

    def __init__(self, tracer: "OtelTracer", request: "OtelSpan", parent: "Context") -> None:
        self._tracer = tracer
        self._request = request
        self._parent = parent
        self.trace_id = f"{request.get_span_context().trace_id:032x}"

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes to the request's span."""
        self._request.set_attributes(dict(attributes))

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, Value]) -> "Iterator[_Step]":
        """Time a step.

        The span does not become the current one: a generator may be closed in another context than the
        one that it was begun in.
        """
        from opentelemetry.trace import SpanKind

        is_call = attributes.get("gen_ai.operation.name") in {"chat", "retrieval"}
        kind = SpanKind.CLIENT if is_call else SpanKind.INTERNAL
        opened = self._tracer.start_span(name, context=self._parent, kind=kind, attributes=dict(attributes))
        try:
            yield _Step(opened)
        except GeneratorExit:
            opened.set_attribute("deskmate.cancelled", True)  # noqa: FBT003 - as OpenTelemetry declares it
            raise
        except BaseException as error:
            _fail(opened, type(error).__name__)
            raise
        finally:
            opened.end()


class _Step:
    """A step that is timed."""

    def __init__(self, span: "OtelSpan") -> None:
        self._span = span

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes."""
        self._span.set_attributes(dict(attributes))


def _carried(scope: Scope) -> "Context":
    """Return the context that the client's ``traceparent`` names."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in _CARRIED
    }
    return TraceContextTextMapPropagator().extract(headers)


def _end(request: "OtelSpan", scope: Scope, status: int) -> None:
    route = str(scope.get("path_template") or "")
    request.update_name(f"{scope.get('method', '')} {route}".strip())
    request.set_attribute("http.response.status_code", status)
    request.set_attribute("deskmate.request_id", str(scope.get("state", {}).get("request_id", "")))
    if route:
        request.set_attribute("http.route", route)
    if status >= _SERVER_ERROR:
        _fail(request, str(status))


def _fail(span: "OtelSpan", kind: str) -> None:
    """Mark a span as failed; the message stays out: it may quote a question."""
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", kind)
