"""The connection to a server: a pool, timeouts by phase, retries with jitter, a circuit breaker."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from assistant.core.errors import EngineUnavailable
from assistant.core.settings import EngineSettings
from assistant.core.settings_sglang import SglangSettings
from assistant.engine.breaker import CircuitBreaker
from assistant.engine.sglang_home import Keys
from assistant.engine.sglang_wire import error_of

ATTEMPTS = 3
_PAUSE_SECONDS = 0.2
_HEALTH_SECONDS = 2.0
_BROKEN = (httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError)

Result = TypeVar("Result")


class SglangHttp:
    """Sends requests; safe to use from several threads.

    Args:
        url: of the server.
        keys: what it asks for.
        engine: patience.
        settings: of the client.
        on_trouble: called when a connection failed: the server may be another process from then on.
    """

    def __init__(
        self,
        url: str,
        keys: Keys,
        engine: EngineSettings,
        settings: SglangSettings,
        on_trouble: Callable[[], None],
    ) -> None:
        self.url = url
        self._admin = _bearer(keys.admin)
        self._on_trouble = on_trouble
        self._breaker = CircuitBreaker(settings.breaker_failures, settings.breaker_seconds)
        self._client = httpx.Client(
            base_url=url,
            headers=_bearer(keys.user),
            # reading: the wait for the next token, the first one included
            timeout=httpx.Timeout(engine.timeout_seconds, connect=settings.connect_seconds),
            # what bounds the requests bounds these too; one that nobody uses is closed after seconds
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            trust_env=False,  # the engine stands inside the house: no proxy of the environment
        )

    @property
    def is_closed(self) -> bool:
        """The connection was closed from this side."""
        return self._client.is_closed

    def send(self, method: str, path: str, body: Any = None, *, as_admin: bool = False) -> httpx.Response:
        """Send a request and return its whole reply, whatever its status.

        Raises:
            EngineUnavailable: no reply came, or the breaker is open.
        """
        headers = self._admin if as_admin else None
        return self._attempt(lambda: self._client.request(method, path, json=body, headers=headers))

    def open(self, path: str, body: Any) -> httpx.Response:
        """Send a request whose reply is read piece by piece; the caller closes it.

        Raises:
            EngineUnavailable: no reply came, or the breaker is open.
            EngineError: the server refuses the request.
        """
        request = self._client.build_request("POST", path, json=body)
        response = self._attempt(lambda: self._client.send(request, stream=True))
        if response.status_code != httpx.codes.OK:
            try:
                response.read()
                check(response)
            finally:
                response.close()
        return response

    def look(self, path: str, seconds: float = _HEALTH_SECONDS) -> httpx.Response:
        """Ask the server about itself, past the breaker.

        Raises:
            EngineError: it does not answer, or with another status than 200.
        """
        if self._client.is_closed:
            raise EngineUnavailable("the engine is closed")
        try:
            response = self._client.get(path, timeout=seconds)
        except httpx.HTTPError as error:
            where = path if "://" in path else self.url
            raise EngineUnavailable(f"no engine answers at {where}: {reason_of(error)}") from error
        check(response)
        return response

    def problem(self) -> str:
        """Return why the server cannot answer now, nothing where it can; asks it past the breaker."""
        if self._client.is_closed:
            return "the engine is closed"
        try:
            response = self._client.get("/health", timeout=_HEALTH_SECONDS)
            if response.status_code == httpx.codes.NOT_FOUND:  # no SGLang
                response = self._client.get("/v1/models", timeout=_HEALTH_SECONDS)
        except httpx.HTTPError as error:
            return f"no engine answers at {self.url}: {reason_of(error)}"
        if response.status_code != httpx.codes.OK:
            return f"the engine at {self.url} is not ready: {response.status_code}"
        self._breaker.succeeded()
        return ""

    def close(self) -> None:
        """Close all connections, which ends running generations in the server."""
        self._client.close()

    def broke_off(self, error: httpx.HTTPError) -> None:
        """Note that a stream broke off."""
        self._breaker.failed(reason_of(error))
        self._on_trouble()

    def _attempt(self, send: Callable[[], Result]) -> Result:
        """Try again where a connection broke before anything was answered."""
        if self._client.is_closed:
            raise EngineUnavailable("the engine is closed")
        self._breaker.check()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answered = send()
            except _BROKEN as error:
                if attempt == ATTEMPTS:
                    raise self._unavailable(error) from error
                self._on_trouble()
                pause(attempt)
            except httpx.HTTPError as error:
                raise self._unavailable(error) from error
            else:
                self._breaker.succeeded()
                return answered
        raise AssertionError("every attempt returns or raises")

    def _unavailable(self, error: httpx.HTTPError) -> EngineUnavailable:
        self.broke_off(error)
        return EngineUnavailable(
            f"no engine answers at {self.url}: {reason_of(error)}", next_command="deskmate doctor"
        )


def pause(attempt: int) -> None:
    """Wait before another attempt, not as long as everybody else does."""
    time.sleep(_PAUSE_SECONDS * attempt * random.uniform(0.5, 1.5))


def check(response: httpx.Response) -> None:
    """Raise the error that a reply stands for.

    Raises:
        EngineError: the reply's status is not 200.
    """
    if response.status_code != httpx.codes.OK:
        raise error_of(response)


def reason_of(error: httpx.HTTPError) -> str:
    """Return an error's text, its type's name where it has none."""
    return str(error) or type(error).__name__


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}
