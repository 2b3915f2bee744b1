"""OpenID Connect: from a browser that wants in to a person whom the provider vouches for.

Authorization code with PKCE. What has to be remembered between the two halves of a login is made of one
random secret in the browser's own cookie: nothing is stored, and any process can finish what another began.
"""

import asyncio
import base64
import functools
import hashlib
import hmac
import ipaddress
import ssl
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec

from assistant.core.errors import InputError
from assistant.core.records import Record
from assistant.core.settings_oidc import OidcSettings
from assistant.service.refusals import LoginRefused, LoginUnavailable

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

SECRET = "DESKMATE_OIDC_CLIENT_SECRET"  # noqa: S105 - the name of a variable
# public keys only: a token "signed" with a secret or with none at all is no proof
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_KEPT_SECONDS = 3600.0
_REREAD_SECONDS = 10.0
_TIMEOUT_SECONDS = 10.0
_MOST_BYTES = 1 << 20
_MOST_GROUPS = 2000


class Discovery(Record, frozen=True, kw_only=True):
    """What a provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None = None
    userinfo_endpoint: str | None = None


class Person(Record, frozen=True, kw_only=True):
    """Someone whom the provider vouches for; ``id`` is the same at every login and tells no name."""

    id: str
    name: str
    groups: frozenset[str]


class LoginAttempt:
    """One login under way: all of it follows from the secret in the browser's cookie.

    Args:
        secret: 256 random bits, as text.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    @property
    def state(self) -> str:
        """Ties the answer to this browser."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """Ties the token to this login."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """Ties the code to this login."""
        return self._derived("verifier")

    def _derived(self, name: str) -> str:
        digest = hmac.new(self._secret, name.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


class Provider:
    """The identity provider.

    Args:
        settings: ``[oidc]``.
        secret: the client's password, empty for a public client.
        clock: seconds since 1970.

    Raises:
        InputError: a setting is missing, or the issuer is reached without TLS.
    """

    def __init__(
        self, settings: OidcSettings, secret: str = "", clock: Callable[[], float] = time.time
    ) -> None:
        check_settings(settings)
        self._settings = settings
        self._secret = secret
        self._clock = clock
        self._reading = asyncio.Lock()
        self._discovery: tuple[Discovery, float] | None = None
        self._away: tuple[str, float] | None = None
        self._keys: tuple[KeySet, float] | None = None

    async def login_url(self, attempt: LoginAttempt) -> str:
        """Return where the browser is sent.

        Raises:
            LoginUnavailable: the provider cannot be reached, or says something else of itself.
        """
        found = await self._discover()
        async with self._client() as client:
            url, _ = client.create_authorization_url(
                found.authorization_endpoint,
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(url)

    async def logout_url(self) -> str | None:
        """Return where a person ends the session at the provider, None where it has no such page."""
        end = (await self._discover()).end_session_endpoint
        home = self._settings.redirect_url.removesuffix("/login/callback") + "/"
        given = {"client_id": self._settings.client_id, "post_logout_redirect_uri": home}
        return f"{end}?{urlencode(given)}" if end and _is_safe(end) else None

    async def person(self, code: str, attempt: LoginAttempt) -> Person:
        """Return whom a code stands for.

        Raises:
            LoginRefused: the provider does not take the code, or its token proves nothing.
            LoginUnavailable: the provider cannot be reached.
        """
        token, access = await self._exchange(code, attempt)
        claims = await self._claims(token, attempt)
        if self._settings.groups_claim not in claims and access:
            claims |= await self._asked_for(access, claims["sub"])
        return self._read(claims)

    async def _asked_for(self, access: str, subject: object) -> dict[str, Any]:
        """Return the groups as the provider tells them of whom its token was made for.

        Providers leave them out of the token where they are many.

        Raises:
            LoginRefused: it tells of somebody else.
        """
        url = (await self._discover()).userinfo_endpoint
        if url is None or not _is_safe(url):
            return {}
        try:
            told = msgspec.json.decode(await self._get(url, access), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise LoginUnavailable("what the provider tells of a person cannot be read") from error
        if told.get("sub") != subject:
            raise LoginRefused("the provider tells of somebody else than its ID token (sub)")
        name = self._settings.groups_claim
        return {name: told[name]} if name in told else {}

    async def _exchange(self, code: str, attempt: LoginAttempt) -> tuple[str, str]:
        from authlib.integrations.base_client.errors import OAuthError

        found = await self._discover()
        async with self._client() as client:
            try:
                reply = await client.fetch_token(
                    found.token_endpoint, code=code, code_verifier=attempt.verifier
                )
            except OAuthError as error:
                raise LoginRefused(f"the provider refused the code: {str(error.error)[:60]}") from error
            except (httpx.HTTPError, ValueError) as error:
                raise LoginUnavailable(f"the provider gave no token: {type(error).__name__}") from error
        token = reply.get("id_token") if isinstance(reply, dict) else None
        if not isinstance(token, str) or not token:
            raise LoginRefused("the provider sent no ID token")
        return token, str(reply.get("access_token") or "")

    async def _claims(self, token: str, attempt: LoginAttempt) -> dict[str, Any]:
        """Return the claims of a token that the provider signed, for us, for this login, and not long ago."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        settings = self._settings
        registry = jwt.JWTClaimsRegistry(
            now=int(self._clock()),
            leeway=settings.clock_skew_seconds,
            iss={"essential": True, "value": settings.issuer},
            sub={"essential": True},
            aud={"essential": True, "value": settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": attempt.nonce},
        )
        try:
            claims = (await self._decoded(token)).claims
            registry.validate(claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise LoginRefused(f"the ID token proves nothing: {_reason(error)}") from error
        audience = claims["aud"]
        party = claims.get("azp")
        if party not in {None, settings.client_id} or (
            isinstance(audience, list) and len(audience) > 1 and party is None
        ):
            raise LoginRefused("the ID token proves nothing: it was made for another party (azp)")
        return dict(claims)

    async def _decoded(self, token: str) -> Any:
        """Check the signature; where no key fits, read them anew now and then: the provider changes them."""
        from joserfc import jwt
        from joserfc.errors import BadSignatureError, JoseError

        keys = await self._key_set()
        try:
            return jwt.decode(token, keys, algorithms=list(ALGORITHMS))
        except BadSignatureError:
            raise
        except (JoseError, ValueError):
            fresh = await self._key_set(older_than=_REREAD_SECONDS)
            if fresh is keys:
                raise
            return jwt.decode(token, fresh, algorithms=list(ALGORITHMS))

    def _read(self, claims: dict[str, Any]) -> Person:
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject:
            raise LoginRefused("the ID token proves nothing: it names nobody (sub)")
        given = claims.get(self._settings.groups_claim, [])
        groups = [given] if isinstance(given, str) else given
        if not isinstance(groups, list) or len(groups) > _MOST_GROUPS:
            raise LoginRefused(f"the ID token's claim {self._settings.groups_claim!r} is no list of groups")
        names = (claims.get(claim) for claim in ("name", "preferred_username", "email"))
        digest = hashlib.sha256(f"{self._settings.issuer}\n{subject}".encode()).hexdigest()
        return Person(
            id=f"user-{digest[:16]}",
            name=next((name for name in names if isinstance(name, str) and name), ""),
            groups=frozenset(group for group in groups if isinstance(group, str)),
        )

    async def _discover(self) -> Discovery:
        async with self._reading:
            if self._discovery is not None and self._clock() - self._discovery[1] <= _KEPT_SECONDS:
                return self._discovery[0]
            if self._away is not None and self._clock() - self._away[1] < _REREAD_SECONDS:
                raise LoginUnavailable(self._away[0])  # strangers do not wait for it one after the other
            try:
                found = await self._read_discovery()
            except LoginUnavailable as error:
                self._away = (error.message, self._clock())
                raise
            self._discovery = (found, self._clock())
            return found

    async def _read_discovery(self) -> Discovery:
        url = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        content = await self._get(url)
        try:
            found = msgspec.json.decode(content, type=Discovery)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise LoginUnavailable(f"the provider's description cannot be read: {error}") from error
        if found.issuer != self._settings.issuer:
            raise LoginUnavailable(
                f"the provider calls itself {found.issuer[:100]!r}, [oidc] issuer is another one"
            )
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not _is_safe(getattr(found, name)):
                raise LoginUnavailable(f"the provider's {name} is reached without TLS")
        return found

    async def _key_set(self, older_than: float = _KEPT_SECONDS) -> "KeySet":
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        found = await self._discover()
        async with self._reading:
            if self._keys is None or self._clock() - self._keys[1] > older_than:
                content = await self._get(found.jwks_uri)
                try:
                    keys = KeySet.import_key_set(msgspec.json.decode(content))
                except (msgspec.DecodeError, JoseError, ValueError, TypeError, KeyError) as error:
                    raise LoginUnavailable("the provider's keys cannot be read") from error
                self._keys = (keys, self._clock())
            return self._keys[0]

    async def _get(self, url: str, access: str = "") -> bytes:
        content = b""
        headers = {"Authorization": f"Bearer {access}"} if access else {}
        try:
            async with (
                httpx.AsyncClient(**_CONNECTION, verify=self._certificates) as client,
                client.stream("GET", url, headers=headers) as reply,
            ):
                if reply.status_code != HTTPStatus.OK:
                    raise LoginUnavailable(f"the provider answers {reply.status_code}")
                async for piece in reply.aiter_bytes():
                    content += piece
                    if len(content) > _MOST_BYTES:
                        raise LoginUnavailable("the provider says too much")
        except (httpx.HTTPError, OSError) as error:
            raise LoginUnavailable(f"the provider cannot be reached: {type(error).__name__}") from error
        return content

    @functools.cached_property
    def _certificates(self) -> ssl.SSLContext:
        """The system's certificates, the company's own among them; reading them takes a while."""
        return ssl.create_default_context()

    def _client(self) -> Any:
        from authlib.integrations.httpx_client import AsyncOAuth2Client

        return AsyncOAuth2Client(
            self._settings.client_id,
            self._secret or None,
            token_endpoint_auth_method="client_secret_basic" if self._secret else "none",
            redirect_uri=self._settings.redirect_url,
            scope=" ".join(self._settings.scopes),
            code_challenge_method="S256",
            verify=self._certificates,
            **_CONNECTION,
        )


_CONNECTION: dict[str, Any] = {
    "trust_env": False,
    "follow_redirects": False,
    "timeout": _TIMEOUT_SECONDS,
}


def check_settings(settings: OidcSettings) -> None:
    """Refuse a login that is set up in part, or that others could listen to.

    Raises:
        InputError: it is.
    """
    for name in ("issuer", "redirect_url"):
        if not _is_safe(getattr(settings, name)):
            raise InputError(
                f"oidc.{name} {getattr(settings, name)[:100]!r} is no https URL",
                next_command="deskmate config show",
            )
    if not settings.redirect_url.endswith("/login/callback"):
        raise InputError("oidc.redirect_url does not end with /login/callback")
    if not settings.client_id:
        raise InputError("oidc.client_id is missing", next_command="deskmate config show")
    if not settings.rules:
        raise InputError(
            "[[oidc.rules]] are missing: nobody could log in", next_command="deskmate config show"
        )
    if "openid" not in settings.scopes:
        raise InputError("oidc.scopes lack openid: the provider would send no ID token")


def _is_safe(url: str) -> bool:
    """Return whether a URL is of HTTPS, or leads to this machine itself."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    if parts.scheme != "http":
        return False
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _reason(error: Exception) -> str:
    """Say what is wrong with a token; its content stays out."""
    claim = getattr(error, "claim", "")
    kind = str(getattr(error, "error", "") or type(error).__name__)
    return f"{kind} ({claim})" if claim else kind
