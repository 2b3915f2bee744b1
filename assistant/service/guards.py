"""Where the service may be reached: its address, the Host header, requests that other web pages send."""

import ipaddress
import re
from collections.abc import Callable, Sequence

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.exceptions import HTTPException, PermissionDeniedException
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from assistant.core.errors import InputError
from assistant.core.settings import ServiceSettings

_SHA256 = re.compile(r"[0-9a-f]{64}")
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_PORT = re.compile(r":\d{1,5}$")
_HASH_A_KEY = "$(printf %s KEY | sha256sum | cut -c1-64)"
MISDIRECTED = 421
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?")
CORS_IN = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Upload-Offset",
    "X-Deskmate-Strict",
    "X-Request-ID",
)
CORS_OUT = ("ETag", "Idempotent-Replayed", "Location", "Retry-After", "Upload-Offset", "X-Request-ID")

AnyConnection = ASGIConnection[BaseRouteHandler, object, object, State]


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(service: ServiceSettings, has_keys: Callable[[], bool]) -> None:
    """Refuse to listen where others can reach the service without a key.

    Args:
        service: ``[service]``.
        has_keys: tells whether there are keys in the database; asked only where that matters.

    Raises:
        InputError: the host is no loopback address and there is no key, or a key's hash or an origin is none.
    """
    for digest in service.api_key_sha256:
        if not _SHA256.fullmatch(digest.lower()):
            raise InputError(
                f"service.api_key_sha256 holds {digest[:12]!r}…, which is no SHA-256 in hex",
                next_command=f"deskmate --set service.api_key_sha256={_HASH_A_KEY} serve",
            )
    for origin in service.cors_origins:
        if not _ORIGIN.fullmatch(origin):
            raise InputError(
                f"service.cors_origins holds {origin[:100]!r}, which is no origin such as "
                "https://desk.corp.example: no path, no *",
                next_command="deskmate config show",
            )
    if not is_loopback(service.host) and not service.api_key_sha256 and not has_keys():
        raise InputError(
            f"host {service.host!r} can be reached from other machines and no API key is set: make one, "
            f"then run: deskmate serve --host {service.host}",
            next_command="deskmate keys create NAME --role admin",
        )


class SameSite:
    """Turns away what a browser sends on behalf of another web page; programs send no such header.

    A guard that is no coroutine is run in a thread by Litestar: two switches a request, for microseconds.

    Args:
        origins: web pages that may ask all the same.
    """

    def __init__(self, origins: Sequence[str] = ()) -> None:
        self._origins = frozenset(origins)

    async def __call__(self, connection: AnyConnection, _handler: BaseRouteHandler) -> None:
        """Check one request.

        Raises:
            PermissionDeniedException: another page sent it.
        """
        site = connection.headers.get("sec-fetch-site", "none")
        if site not in {"none", "same-origin"} and connection.headers.get("origin") not in self._origins:
            raise PermissionDeniedException("requests from other web pages are not answered")


class LocalHosts(ASGIMiddleware):
    """Answers only requests that name this machine, so that no foreign name can be pointed at it.

    A web page elsewhere can let its own name resolve to 127.0.0.1 (DNS rebinding); its requests then
    come from this machine, but carry that name in their Host header.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass on or refuse one request."""
        values = [value for name, value in scope["headers"] if name == b"host"]
        host = values[0].decode("latin-1").lower() if len(values) == 1 else ""
        if _PORT.sub("", host) not in _LOCAL_NAMES:
            raise HTTPException(
                status_code=MISDIRECTED,
                detail=f"host {host[:80]!r} is not this machine's; use localhost or 127.0.0.1",
            )
        await next_app(scope, receive, send)
