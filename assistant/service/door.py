"""Who comes in: a request's key becomes a caller, and a route's scope is held against it."""

import asyncio
import threading
import time
from collections.abc import Callable

from litestar.exceptions import NotAuthorizedException
from litestar.handlers.base import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from assistant.core.access import LOCAL, Caller
from assistant.core.settings import Settings
from assistant.service.guards import AnyConnection
from assistant.service.kept import Kept
from assistant.service.layer import Layer
from assistant.service.refusals import Forbidden
from assistant.service.session_cookies import SESSION, check_csrf, read_cookie
from assistant.store.keys import Keys, key_digest
from assistant.store.sessions import Sessions, session_digest

REMEMBERED_SECONDS = 1.0
_MOST_REMEMBERED = 1024
_ASK = "an API key is needed: Authorization: Bearer KEY"
_NOT_THIS = "the API key is unknown, expired or revoked"


class Door:
    """Finds the caller of a request. Safe to use from several threads.

    Where there has never been a key, everybody on this machine is let in: the service listens on loopback
    then. A caller is remembered for a second, so that a key which another process takes back is refused
    after that time.

    Args:
        settings: a key whose hash stands in ``[service]`` is an admin's; with ``[oidc]`` people come in by
            the cookie of their session, and nobody without key or session.
        kept: keys and sessions.
        clock: seconds, monotonic.
    """

    def __init__(self, settings: Settings, kept: Kept, clock: Callable[[], float] = time.monotonic) -> None:
        self._admins = {digest.lower() for digest in settings.service.api_key_sha256}
        self._oidc = settings.oidc
        self._kept = kept
        self._clock = clock
        self._known: dict[str, tuple[Caller | None, float]] = {}
        self._looking: dict[str, asyncio.Task[Caller | None]] = {}
        self._changes = 0
        self._lock = threading.Lock()

    @property
    def has_admin(self) -> bool:
        """Whether a key of the settings or a group lets an admin in."""
        return bool(self._admins) or any(rule.role == "admin" for rule in self._oidc.rules)

    async def caller(self, authorization: str) -> Caller:
        """Return who asks.

        Args:
            authorization: the header, empty where there is none.

        Raises:
            NotAuthorizedException: no key came, or one that is unknown, revoked or expired.
        """
        scheme, _, secret = authorization.partition(" ")
        # headers are read as Latin-1, one character a byte: this gives the bytes back
        digest = key_digest(secret.strip().encode("latin-1")) if scheme.lower() == "bearer" else ""
        if digest in self._admins:
            return Caller(id=f"settings-{digest[:12]}", name="[service] api_key_sha256")
        found = self._remembered(digest)
        if found is None:
            found = await self._look_up(digest)
        if found is None:
            raise NotAuthorizedException(_NOT_THIS if digest else _ASK, headers=self._invitation)
        return found

    async def person(self, token: str) -> Caller:
        """Return whom the cookie of a session lets in.

        Raises:
            NotAuthorizedException: the session ended or never was.
        """
        digest = session_digest(token)
        name = f"session {digest}"  # a cookie is no key
        found = self._remembered(name)
        if found is None:
            until, changes = self._clock() + REMEMBERED_SECONDS, self._changes
            opened = await self._kept.read(lambda session: Sessions(session).find(digest))
            if opened is None:
                raise NotAuthorizedException("the session has ended; log in again", headers=self._invitation)
            found = opened.caller
            if changes == self._changes:
                self._remember(name, found, until)
        return found

    def takes_sessions(self) -> bool:
        """Tell whether people can log in."""
        return bool(self._oidc.issuer)

    @property
    def _invitation(self) -> dict[str, str]:
        """Where a browser may log in."""
        return {"Link": '</login>; rel="login"'} if self.takes_sessions() else {}

    def forget(self) -> None:
        """Look every key up anew: one was changed."""
        with self._lock:
            self._known.clear()
            self._changes += 1
        self._looking.clear()

    def _remembered(self, digest: str) -> Caller | None:
        with self._lock:
            caller, until = self._known.get(digest, (None, 0.0))
        return caller if self._clock() < until else None

    async def _look_up(self, digest: str) -> Caller | None:
        """Return whose key it is; many requests that come at once look it up once."""
        looking = self._looking.get(digest)
        if looking is None:
            looking = self._looking[digest] = asyncio.create_task(self._read(digest))
        try:
            return await asyncio.shield(looking)
        finally:
            if looking.done() and self._looking.get(digest) is looking:
                del self._looking[digest]

    async def _read(self, digest: str) -> Caller | None:
        until, changes = self._clock() + REMEMBERED_SECONDS, self._changes
        caller = await self._kept.read(lambda session: self._find(Keys(session), digest))
        if caller is not None and changes == self._changes:
            self._remember(digest, caller, until)
        return caller

    def _remember(self, digest: str, caller: Caller, until: float) -> None:
        with self._lock:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[digest] = (caller, until)

    def _find(self, keys: Keys, digest: str) -> Caller | None:
        if not self._admins and not self.takes_sessions() and not keys.exist():
            return LOCAL
        return keys.caller(digest) if digest else None


class Authentication(Layer):
    """Puts the caller into the request; turns away who has no good key."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let one request in, or not."""
        values = [value for name, value in scope["headers"] if name == b"authorization"]
        token = read_cookie(scope, SESSION) if self._door.takes_sessions() and not values else ""
        if token:
            scope["user"] = await self._door.person(token)
            scope["state"]["session"] = token
            check_csrf(scope, token)
        else:
            scope["user"] = await self._door.caller(values[0].decode("latin-1") if len(values) == 1 else "")
        await next_app(scope, receive, send)


async def check_scope(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Refuse what the caller's key does not allow; a route that names no scope is nobody's."""
    needed = handler.opt.get("needs")
    caller = connection.scope.get("user")
    if not isinstance(caller, Caller) or needed is None:
        raise Forbidden("this route names no scope")
    if not caller.may(needed):
        raise Forbidden(f"key {caller.id} of role {caller.role!r} does not have the scope {needed!r}")


def give_caller(scope: Scope) -> Caller:
    """Return the caller of a request, for the handlers that ask for one."""
    caller = scope["user"]
    if not isinstance(caller, Caller):
        raise Forbidden("nobody was let in")
    return caller
