"""The application: routes, guards, error answers and the life of what they need."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.service.controllers.chat import ChatController
from assistant.service.controllers.health import HealthController
from assistant.service.controllers.models import ModelsController
from assistant.service.controllers.pages import PAGE_HEADERS, DocsPage, PagesController
from assistant.service.controllers.search import SearchController
from assistant.service.guards import (
    LocalHosts,
    check_exposure,
    check_same_site,
    is_loopback,
    make_key_guard,
)
from assistant.service.home_pipelines import HomePipelines
from assistant.service.problems import PROBLEM_HANDLERS
from assistant.service.wiring import PipelineSource, Service

_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def create_app(
    settings: Settings | None = None,
    *,
    home: Home | None = None,
    pipelines: PipelineSource | None = None,
) -> Litestar:
    """Return the service as an ASGI application.

    Args:
        settings: all settings; the defaults if absent.
        home: the data folder; the environment's if absent.
        pipelines: where pipelines come from; the data folder if absent.

    Raises:
        InputError: others could reach the service and no API key is set.
    """
    settings = settings or Settings()
    check_exposure(settings.service)
    source = pipelines or HomePipelines(home or Home.from_environment(), settings)
    service = Service(settings, source)

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncGenerator[None, None]:
        async with service.running():
            yield

    guarded = Router(
        "/",
        guards=[check_same_site, make_key_guard(settings.service)],
        route_handlers=[ChatController, ModelsController, SearchController],
        security=[{"apiKey": []}] if settings.service.api_key_sha256 else None,
    )
    return Litestar(
        route_handlers=[guarded, HealthController, PagesController],
        dependencies={"service": Provide(lambda: service, sync_to_thread=False)},
        lifespan=[lifespan],
        middleware=[LocalHosts()] if is_loopback(settings.service.host) else [],
        exception_handlers=PROBLEM_HANDLERS,
        response_headers=_HEADERS,
        request_max_body_size=settings.service.max_body_mebibytes << 20,
        openapi_config=_openapi(),
        logging_config=None,
        debug=False,
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
