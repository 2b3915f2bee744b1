"""The application: routes, guards, error answers and the life of what they need."""

import os
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from importlib.metadata import version
from typing import TYPE_CHECKING

import anyio.to_thread
from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.handlers import ASGIRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from assistant.core.access import SCOPES
from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.jobs.news import make_news
from assistant.service.allowed_methods import AllowedMethods
from assistant.service.asking import Desk
from assistant.service.auditing import Auditing
from assistant.service.compression import Compression
from assistant.service.controllers.answers import AnswersController
from assistant.service.controllers.chat import ChatController
from assistant.service.controllers.collection import CollectionsController
from assistant.service.controllers.conversations import ConversationsController
from assistant.service.controllers.curated import CuratedController
from assistant.service.controllers.documents import DocumentsController
from assistant.service.controllers.evals import EvalsController
from assistant.service.controllers.feedback import FeedbackController, HandoversController
from assistant.service.controllers.glossary import GlossaryController
from assistant.service.controllers.health import HealthController
from assistant.service.controllers.jobs import JobsController
from assistant.service.controllers.keys import AuditController, KeysController
from assistant.service.controllers.login import Login, LoginController, SessionController
from assistant.service.controllers.models import ModelsController
from assistant.service.controllers.pages import PAGE_HEADERS, DocsPage, PagesController
from assistant.service.controllers.releases import ReleasesController
from assistant.service.controllers.search import SearchController
from assistant.service.controllers.syncs import SyncsController
from assistant.service.controllers.topics import TopicsController
from assistant.service.controllers.training import AdaptersController, DatasetsController, RunsController
from assistant.service.controllers.uploads import UploadsController
from assistant.service.controllers.usage import EmbeddingsController, MetricsController, UsageController
from assistant.service.controllers.webhooks import WebhooksController
from assistant.service.describing import describe
from assistant.service.door import Authentication, Door, check_scope, give_caller
from assistant.service.guards import CORS_IN, CORS_OUT, LocalHosts, SameSite, check_exposure, is_loopback
from assistant.service.home_pipelines import HomePipelines
from assistant.service.idempotency import IdempotentPosts
from assistant.service.job_news import JobNews
from assistant.service.kept import Kept
from assistant.service.limits import Buckets, Limits, Rates
from assistant.service.mcp_tools import McpTools, has_mcp, make_mcp
from assistant.service.metrics import Measuring, Metrics
from assistant.service.oidc import SECRET, Provider
from assistant.service.patience import Patience
from assistant.service.problems import PROBLEM_HANDLERS
from assistant.service.request_ids import RequestIds, answer_with_id
from assistant.service.shared_limits import make_rates
from assistant.service.strict_json import StrictRequest
from assistant.service.traces import make_traces
from assistant.service.webhook_sending import WebhookSender
from assistant.service.wiring import PipelineSource, Service, in_background

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def create_app(
    settings: Settings | None = None,
    *,
    home: Home | None = None,
    pipelines: PipelineSource | None = None,
    spans: "SpanExporter | None" = None,
) -> Litestar:
    """Return the service as an ASGI application.

    Args:
        settings: all settings; the defaults if absent.
        home: the data folder; the environment's if absent.
        pipelines: where pipelines come from; the data folder if absent.
        spans: where traces go; to ``[tracing] url`` if absent.

    Raises:
        InputError: others could reach the service and there is no API key, or traces cannot be made.
    """
    settings = settings or Settings()
    home = home or Home.from_environment()
    folders = {name: folder.path for name, folder in settings.syncs.folders.items()}
    kept = Kept(home, make_news(settings.redis), folders)
    job_news = JobNews(settings.redis)
    provider = Provider(settings.oidc, os.environ.get(SECRET, "")) if settings.oidc.issuer else None
    check_exposure(settings.service, kept.has_keys if provider is None else lambda: True)
    service = Service(settings, pipelines or HomePipelines(home, settings))
    metrics = Metrics()
    door = Door(settings, kept)
    desk = Desk(service, kept, metrics)
    sender = WebhookSender(kept, settings.webhooks)
    given: dict[str, object] = {
        "service": service,
        "kept": kept,
        "metrics": metrics,
        "door": door,
        "desk": desk,
        "sender": sender,
        "job_news": job_news,
        "login": Login(provider, Buckets()),
    }

    traces = make_traces(settings.tracing, spans)
    rates = make_rates(settings.redis)
    extra, running = _mcp(service, desk, kept, settings.service.max_body_mebibytes << 20)

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncGenerator[None, None]:
        try:
            async with service.running(), running, in_background(sender.run(), job_news.run()):
                yield
        finally:
            if traces:
                await anyio.to_thread.run_sync(traces.close)
            await rates.close()
            kept.close()

    app = Litestar(
        route_handlers=[
            _guarded(settings, kept, door, rates, extra),
            HealthController,
            LoginController,
            PagesController,
        ],
        dependencies={name: _provide(value) for name, value in given.items()},
        lifespan=[lifespan],
        middleware=[
            Measuring(metrics),
            RequestIds(),
            AllowedMethods(),
            *([traces] if traces else []),
            Compression(),
            Patience(settings.limits.slow_seconds),
            *([LocalHosts()] if is_loopback(settings.service.host) else []),
        ],
        before_send=[answer_with_id],
        request_class=StrictRequest,
        exception_handlers=PROBLEM_HANDLERS,
        response_headers=_HEADERS,
        request_max_body_size=settings.service.max_body_mebibytes << 20,
        cors_config=_cors(settings.service.cors_origins),
        openapi_config=_openapi(),
        logging_config=None,
        debug=False,
    )
    check_routes(app)
    describe(app)
    return app


def _mcp(
    service: Service, desk: Desk, kept: Kept, max_body: int
) -> tuple[list[ASGIRouteHandler], AbstractAsyncContextManager[None]]:
    """Return the route of the MCP server and what runs it; neither where its extra is not installed."""
    if not has_mcp():
        return [], nullcontext()
    route, running = make_mcp(McpTools(service, desk, kept), version("deskmate"), max_body)
    return [route], running


def _guarded(
    settings: Settings, kept: Kept, door: Door, rates: Rates, extra: list[ASGIRouteHandler]
) -> Router:
    """Return the routes of the API, each of which needs a scope."""
    limits = settings.limits
    return Router(
        "/",
        guards=[SameSite(settings.service.cors_origins), check_scope],
        middleware=[
            Auditing(kept),
            Authentication(door),
            Limits(limits, rates),
            IdempotentPosts(kept, limits.idempotency_hours * 3600, limits.upload_mebibytes << 20),
        ],
        dependencies={"caller": Provide(give_caller, sync_to_thread=False)},
        route_handlers=[
            ChatController,
            ModelsController,
            SearchController,
            AnswersController,
            ConversationsController,
            FeedbackController,
            HandoversController,
            CollectionsController,
            Router(
                "/",
                route_handlers=[DocumentsController, UploadsController],
                request_max_body_size=limits.upload_mebibytes << 20,
            ),
            CuratedController,
            GlossaryController,
            SyncsController,
            DatasetsController,
            RunsController,
            AdaptersController,
            EvalsController,
            ReleasesController,
            JobsController,
            UsageController,
            EmbeddingsController,
            MetricsController,
            KeysController,
            AuditController,
            SessionController,
            TopicsController,
            WebhooksController,
            *extra,
        ],
        security=[{"apiKey": []}],
    )


def _provide(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)


def check_routes(app: Litestar) -> None:
    """Refuse a route of the API that names no scope: it would be found out only when it is asked for.

    Raises:
        ValueError: there is one.
    """
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if route.path.startswith("/v1") and handler.opt.get("needs") not in SCOPES:
                raise ValueError(f"{route.path} names no scope: opt={{'needs': …}}")


def _cors(origins: tuple[str, ...]) -> CORSConfig | None:
    """Return what other web pages may do; None where none is named, and browsers keep them out."""
    if not origins:
        return None
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=list(CORS_IN),
        expose_headers=list(CORS_OUT),
        allow_credentials=False,  # a page elsewhere brings a key, never a session's cookie
        max_age=600,
    )


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Deskmate",
        version=version("deskmate"),
        description="Answers from your manuals and tickets, with citations. "
        "Errors are problem details (RFC 9457), on the routes of OpenAI's shape OpenAI's error object.",
        components=Components(
            security_schemes={"apiKey": SecurityScheme(type="http", scheme="bearer")},
        ),
        path="/docs",
        openapi_router=Router(
            "/docs", route_handlers=[], include_in_schema=False, response_headers=PAGE_HEADERS
        ),
        render_plugins=[DocsPage()],
        use_handler_docstrings=False,
    )
