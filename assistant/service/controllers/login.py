"""``/login`` and ``/v1/session``: people come in through the company's own login."""

import hmac
import logging
import secrets
from typing import Annotated, Literal

from litestar import Controller, Response, delete, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Redirect

from assistant.core.access import SCOPES, Caller, KeyRole, Scope
from assistant.core.errors import NotFoundError
from assistant.service.door import Door
from assistant.service.kept import Kept
from assistant.service.limits import Buckets
from assistant.service.oidc import LoginAttempt, Person, Provider
from assistant.service.problems import AnyRequest, problem_responses, to_problem
from assistant.service.refusals import (
    Conflict,
    LoginExpired,
    LoginNotPermitted,
    LoginRefused,
    TooManyRequests,
)
from assistant.service.schemas import Schema
from assistant.service.session_cookies import (
    LOGIN,
    SESSION,
    csrf_token,
    dropped,
    login_cookie,
    read_cookie,
    session_cookie,
)
from assistant.service.wiring import Service
from assistant.store.audit import AuditEvent, AuditLog
from assistant.store.sessions import Sessions, session_digest

_LOGINS_PER_MINUTE = 120  # of all strangers together: each asks the provider
_HOUR_SECONDS = 3600
_SEE_OTHER: Literal[303] = 303
_NO_STORE = {"Cache-Control": "no-store"}
_Given = Annotated[str, QueryParameter(max_length=4000)]
_log = logging.getLogger(__name__)


class Login:
    """What the routes of a login share.

    Args:
        provider: the company's, None where none is set up.
        buckets: of strangers' logins.
    """

    def __init__(self, provider: Provider | None, buckets: Buckets) -> None:
        self._provider = provider
        self._buckets = buckets

    @property
    def provider(self) -> Provider:
        """The provider.

        Raises:
            NotFoundError: none is set up.
        """
        if self._provider is None:
            raise NotFoundError("no login is set up: [oidc] issuer is empty; use an API key")
        return self._provider

    async def logout_url(self) -> str | None:
        """Return where a person ends the session at the provider as well."""
        return await self._provider.logout_url() if self._provider else None

    def check_rate(self) -> None:
        """Refuse a flood of strangers.

        Raises:
            TooManyRequests: it is one.
        """
        wait = self._buckets.take("logins", _LOGINS_PER_MINUTE)
        if wait:
            raise TooManyRequests("too many people log in at once", int(wait) + 1)


class LoginController(Controller):
    """The two halves of a login; browsers come here, programs bring a key."""

    path = "/login"
    include_in_schema = False

    @get()
    async def begin(self, login: NamedDependency[Login]) -> Redirect:
        """Send the browser to the provider."""
        login.check_rate()
        secret = secrets.token_urlsafe(32)
        url = await login.provider.login_url(LoginAttempt(secret))
        return Redirect(url, status_code=_SEE_OTHER, cookies=[login_cookie(secret)], headers=_NO_STORE)

    @get("/callback")
    async def finish(
        self,
        request: AnyRequest,
        login: NamedDependency[Login],
        kept: NamedDependency[Kept],
        service: NamedDependency[Service],
        code: _Given = "",
        in_state: Annotated[str, QueryParameter(name="state", max_length=200)] = "",
        error: _Given = "",
    ) -> Redirect:
        """Take the provider's answer: a session begins, and the browser goes to the page."""
        provider = login.provider
        login.check_rate()
        secret = read_cookie(request.scope, LOGIN)
        try:
            attempt = _check(secret, in_state, code, error)
            person = await provider.person(code, attempt)
            token, role = await _enter(person, kept, service)
        except Exception as refusal:
            await _note(kept, request, "unknown", "", to_problem(refusal).status)
            raise
        await _note(kept, request, person.id, role, _SEE_OTHER)
        seconds = service.settings.oidc.session_hours * _HOUR_SECONDS
        cookies = [session_cookie(token, seconds), dropped(LOGIN)]
        return Redirect("/", status_code=_SEE_OTHER, cookies=cookies, headers=_NO_STORE)


class SessionShown(Schema, frozen=True, kw_only=True):
    """Who asks; where a cookie let the page in, each change brings ``csrf_token`` as ``X-CSRF-Token``."""

    id: str
    name: str
    role: KeyRole
    scopes: tuple[Scope, ...]
    collections: tuple[str, ...] | None
    is_session: bool
    csrf_token: str | None


class SessionEnded(Schema, frozen=True, kw_only=True):
    """The session here has ended; the provider's own goes on until the browser went to its page."""

    provider_logout_url: str | None


class SessionController(Controller):
    """Who asks, and leaving."""

    path = "/v1/session"
    tags = ("Keys",)
    opt = {"needs": "ask"}  # noqa: RUF012 - as Litestar declares it

    @get(
        operation_id="getSession",
        summary="Show who asks, by key or by session",
        responses=problem_responses(401, 403, 429, 500),
    )
    async def show(self, request: AnyRequest, caller: NamedDependency[Caller]) -> Response[SessionShown]:
        """Show the caller and what it may."""
        token = str(request.scope["state"].get("session", ""))
        shown = SessionShown(
            id=caller.id,
            name=caller.name,
            role=caller.role,
            scopes=tuple(scope for scope in SCOPES if caller.may(scope)),
            collections=caller.collections,
            is_session=bool(token),
            csrf_token=csrf_token(token) if token else None,
        )
        return Response(shown, headers=_NO_STORE)

    @delete(
        operation_id="endSession",
        summary="Log out",
        status_code=200,
        responses=problem_responses(401, 403, 409, 429, 500, 503),
        opt={"audited": True},
    )
    async def end(
        self,
        request: AnyRequest,
        kept: NamedDependency[Kept],
        door: NamedDependency[Door],
        login: NamedDependency[Login],
    ) -> Response[SessionEnded]:
        """End the session."""
        token = str(request.scope["state"].get("session", ""))
        if not token:
            raise Conflict("this request came with a key, which has no session to end")
        await kept.write(lambda session: Sessions(session).end(session_digest(token)))
        door.forget()
        try:
            url = await login.logout_url()
        except Exception:  # noqa: BLE001 - the session has ended, whatever the provider says
            _log.warning("the provider does not say where people log out")
            url = None
        return Response(SessionEnded(provider_logout_url=url), cookies=[dropped(SESSION)], headers=_NO_STORE)


def _check(secret: str, state: str, code: str, error: str) -> LoginAttempt:
    """Return the login that an answer belongs to.

    Raises:
        LoginExpired: it belongs to none of this browser's.
        LoginRefused: the provider refuses.
    """
    attempt = LoginAttempt(secret)
    if not secret or not hmac.compare_digest(state.encode(), attempt.state.encode()):
        raise LoginExpired("this browser began no such login, or too long ago; open /login again")
    if error or not code:
        raise LoginRefused(f"the provider refuses: {error[:60] or 'it sent no code'}")
    return attempt


async def _enter(person: Person, kept: Kept, service: Service) -> tuple[str, KeyRole]:
    """Begin a session with the rights of the first rule that fits.

    Raises:
        LoginNotPermitted: none does.
    """
    settings = service.settings.oidc
    rule = settings.rule(person.groups)
    if rule is None:
        raise LoginNotPermitted("none of your groups may use Deskmate; ask whoever runs it")
    seconds = settings.session_hours * _HOUR_SECONDS
    token = await kept.write(
        lambda session: Sessions(session).begin(
            person.id, person.name, rule.role, rule.collections or None, seconds
        )
    )
    return token, rule.role


async def _note(kept: Kept, request: AnyRequest, actor: str, role: str, status: int) -> None:
    event = AuditEvent(
        actor=actor,
        role=role,
        action="login",
        target="/login/callback",
        status=status,
        request_id=str(request.scope["state"].get("request_id", "")),
    )
    await kept.write(lambda session: AuditLog(session).append(event))
