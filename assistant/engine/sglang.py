"""The engine behind an SGLang server, over its OpenAI routes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

from assistant.core.errors import EngineError, EngineUnavailable, InputError, ModelError, NotFoundError
from assistant.core.language import han_count
from assistant.core.settings import EngineSettings
from assistant.engine.protocol import Completion, GenerationRequest, StreamEnd, TextDelta
from assistant.engine.sglang_wire import error_of, read_completion, read_stream, request_body
from assistant.engine.streams import ClosingStream

API_KEY = "DESKMATE_ENGINE_API_KEY"
ADMIN_KEY = "DESKMATE_ENGINE_ADMIN_KEY"
_CONNECT_SECONDS = 5.0
_HEALTH_SECONDS = 2.0
_ATTEMPTS = 3
_PAUSE_SECONDS = 0.2
_CHAT = "/v1/chat/completions"
_LATIN_CHARACTERS_A_TOKEN = 3.5

Result = TypeVar("Result")


class SglangEngine:
    """Talks to a running server; starts none.

    Args:
        settings: of the engine; ``url`` names the server.
        environment: holds the keys, under ``DESKMATE_ENGINE_API_KEY`` and ``DESKMATE_ENGINE_ADMIN_KEY``.
    """

    def __init__(self, settings: EngineSettings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._admin = _bearer(environment.get(ADMIN_KEY))
        self._client = httpx.Client(
            base_url=settings.url,
            headers=_bearer(environment.get(API_KEY)),
            timeout=httpx.Timeout(settings.timeout_seconds, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=settings.batch_size),
            trust_env=False,  # the engine stands inside the house: no proxy of the environment
        )
        self._lock = threading.Lock()
        self._served = ""
        self._sources: dict[str, str] = {}
        self._counts_tokens = True

    @property
    def base_model(self) -> str:
        """Name of the base model, as the settings have it."""
        return self._settings.base_model

    def complete(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Generate for all requests; results in the order given.

        At most ``batch_size`` are under way at once; the server batches them.

        Raises:
            NotFoundError: a request names an adapter that is not loaded.
            EngineError: the server cannot be reached or failed.
        """
        models = [self._model(request.adapter) for request in requests]
        pool = ThreadPoolExecutor(self._settings.batch_size, thread_name_prefix="deskmate-sglang")
        try:
            return list(pool.map(self._complete_one, requests, models))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def stream(self, request: GenerationRequest) -> ClosingStream:
        """Generate one text piece by piece; closing the iterator ends the generation in the server.

        Raises:
            NotFoundError: the request names an adapter that is not loaded.
            EngineBusy: the server turns the request away.
            EngineError: the server cannot be reached or failed.
        """
        body = request_body(request, self._model(request.adapter), stream=True)
        call = _StreamCall(lambda: self._open(body))
        return ClosingStream(call.events(), call.close)

    def load_adapter(self, name: str, folder: str) -> None:
        """Let the server load an adapter; loading the same folder again does nothing.

        Args:
            name: of the adapter.
            folder: as the server sees it.

        Raises:
            ModelError: the server refuses the adapter, or the name is taken.
        """
        if not name or ":" in name:
            raise InputError(f"{name!r} is no adapter name: it must not be empty or hold ':'")
        with self._lock:
            self._refresh()
            known = self._sources.get(name)
            if known == folder:
                return
            if known is not None:
                raise ModelError(f"adapter name {name!r} stands for {known} already")
            body = {"lora_name": name, "lora_path": folder}
            response = self._send("POST", "/load_lora_adapter", body, headers=self._admin)
            if response.status_code == httpx.codes.BAD_REQUEST:
                raise ModelError(f"adapter {folder}: {error_of(response).message}")
            _check(response)
            self._sources[name] = folder

    def adapters(self) -> tuple[str, ...]:
        """Return the names of the adapters that the server holds."""
        with self._lock:
            self._refresh()
            return tuple(self._sources)

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text.

        Where the server has no route for it, an estimate on the high side: a token for a Chinese
        character and for 3.5 others.
        """
        if self._counts_tokens:
            response = self._send("POST", "/tokenize", {"model": self._model(None), "prompt": text})
            if response.status_code == httpx.codes.OK:
                count = response.json().get("count")
                if isinstance(count, int):
                    return count
            self._counts_tokens = False
        han = han_count(text)
        return han + round((len(text) - han) / _LATIN_CHARACTERS_A_TOKEN)

    def problems(self) -> tuple[str, ...]:
        """Return why the engine cannot answer now; empty when it is ready."""
        if self._client.is_closed:
            return ("the engine is closed",)
        try:
            response = self._client.get("/health", timeout=_HEALTH_SECONDS)
        except httpx.HTTPError as error:
            return (f"no engine answers at {self._settings.url}: {_reason(error)}",)
        if response.status_code != httpx.codes.OK:
            return (f"the engine at {self._settings.url} is not ready: {response.status_code}",)
        return ()

    def close(self) -> None:
        """Close all connections, which ends running generations in the server."""
        self._client.close()

    def _model(self, adapter: str | None) -> str:
        """Return what selects base model or adapter.

        A name that the server does not know, a bare adapter's included, would silently get the base
        model; so adapters are looked up here first.
        """
        with self._lock:
            if not self._served or (adapter is not None and adapter not in self._sources):
                self._refresh()
            if adapter is None:
                return self._served
            if adapter not in self._sources:
                known = ", ".join(self._sources) or "none"
                raise NotFoundError(f"adapter {adapter!r} is not loaded; loaded: {known}")
            return f"{self._served}:{adapter}"

    def _refresh(self) -> None:
        response = self._send("GET", "/v1/models")
        _check(response)
        try:
            cards = response.json()["data"]
            bases = [card["id"] for card in cards if not card.get("parent")]
            adapters = {card["id"]: card.get("root") or "" for card in cards if card.get("parent")}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineError(f"{self._settings.url} does not list its models as SGLang does") from error
        if not bases:
            raise EngineError(f"{self._settings.url} serves no base model")
        self._served, self._sources = bases[0], adapters

    def _complete_one(self, request: GenerationRequest, model: str) -> Completion:
        response = self._send("POST", _CHAT, request_body(request, model, stream=False))
        _check(response)
        return read_completion(response.content)

    def _open(self, body: dict[str, Any]) -> httpx.Response:
        request = self._client.build_request("POST", _CHAT, json=body)
        response = self._attempt(lambda: self._client.send(request, stream=True))
        if response.status_code != httpx.codes.OK:
            try:
                response.read()
                _check(response)
            finally:
                response.close()
        return response

    def _send(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return self._attempt(lambda: self._client.request(method, path, json=body, headers=headers))

    def _attempt(self, send: Callable[[], Result]) -> Result:
        """Try again where a connection broke before anything was answered."""
        if self._client.is_closed:
            raise EngineUnavailable("the engine is closed")
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return send()
            except (httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError) as error:
                if attempt == _ATTEMPTS:
                    raise self._unavailable(error) from error
                time.sleep(_PAUSE_SECONDS * attempt)
            except httpx.HTTPError as error:
                raise self._unavailable(error) from error
        raise AssertionError("every attempt returns or raises")

    def _unavailable(self, error: httpx.HTTPError) -> EngineUnavailable:
        return EngineUnavailable(
            f"no engine answers at {self._settings.url}: {_reason(error)}", next_command="deskmate doctor"
        )


class _StreamCall:
    """One streamed request; opened again if its connection breaks before the first token.

    Args:
        connect: sends the request and returns the open response.
    """

    def __init__(self, connect: Callable[[], httpx.Response]) -> None:
        self._connect = connect
        self._response = connect()

    def events(self) -> Iterator[TextDelta | StreamEnd]:
        """Yield the events."""
        for attempt in range(1, _ATTEMPTS + 1):
            has_begun = False
            try:
                for event in read_stream(self._response.iter_bytes()):
                    has_begun = True
                    yield event
            except httpx.TimeoutException as error:
                raise EngineError("the engine sent no token in time") from error
            except httpx.HTTPError as error:
                if has_begun or attempt == _ATTEMPTS:
                    raise EngineError(f"the engine's stream broke off: {_reason(error)}") from error
            else:
                return
            finally:
                self.close()
            self._response = self._connect()

    def close(self) -> None:
        """Close the connection, which ends the generation in the server."""
        self._response.close()


def _check(response: httpx.Response) -> None:
    if response.status_code != httpx.codes.OK:
        raise error_of(response)


def _bearer(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _reason(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
