"""The cookies of a login and of a session, and the token that a session's changes have to bring."""

import base64
import hashlib
import hmac
from typing import Literal

from litestar.datastructures import Cookie
from litestar.types import Scope

from assistant.service.refusals import CsrfRefused

# the prefix: a browser takes such a cookie from this host itself only, over TLS, for all paths
SESSION = "__Host-deskmate"
LOGIN = "__Host-deskmate-login"
LOGIN_SECONDS = 600
CSRF_HEADER = b"x-csrf-token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST = 200


def session_cookie(token: str, seconds: int) -> Cookie:
    """Return the cookie of a session; no link from elsewhere brings it along."""
    return _cookie(SESSION, token, seconds, "strict")


def login_cookie(secret: str) -> Cookie:
    """Return the cookie of a login under way; the provider's redirect brings it along."""
    return _cookie(LOGIN, secret, LOGIN_SECONDS, "lax")


def dropped(name: str) -> Cookie:
    """Return a cookie that takes one away."""
    return _cookie(name, "", 0, "strict")


def read_cookie(scope: Scope, name: str) -> str:
    """Return a request's cookie, empty where it brings none."""
    lines = [value.decode("latin-1") for header, value in scope["headers"] if header == b"cookie"]
    for pair in "; ".join(lines).split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value if len(value) <= _LONGEST else ""
    return ""


def csrf_token(token: str) -> str:
    """Return what the page has to send with each change: only a page of this host can read it."""
    digest = hashlib.sha256(b"csrf." + token.encode("latin-1")).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def check_csrf(scope: Scope, token: str) -> None:
    """Refuse a change that a session's cookie came with, but not its token.

    Raises:
        CsrfRefused: it is one.
    """
    if str(scope.get("method", "")) in _SAFE:
        return
    given = next((value for name, value in scope["headers"] if name == CSRF_HEADER), b"")
    if not hmac.compare_digest(given, csrf_token(token).encode()):
        raise CsrfRefused("a change needs the header X-CSRF-Token, which GET /v1/session tells")


def _cookie(name: str, value: str, seconds: int, same_site: Literal["lax", "strict"]) -> Cookie:
    return Cookie(
        key=name,
        value=value,
        max_age=seconds,
        path="/",
        secure=True,
        httponly=True,
        samesite=same_site,
    )
