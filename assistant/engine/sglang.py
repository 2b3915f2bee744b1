"""The engine behind an SGLang server, over its OpenAI routes."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx
from prometheus_client import Metric

from assistant.core.errors import EngineBusy, EngineError, EngineUnavailable, ModelError
from assistant.core.home import Home
from assistant.core.settings import EngineSettings, ModelsSettings, Settings
from assistant.core.settings_sglang import SglangSettings
from assistant.engine.adapters import check_adapter
from assistant.engine.canary import CanaryCounts
from assistant.engine.counting import TokenCounter
from assistant.engine.figures import canary_family, gauge, renamed
from assistant.engine.protocol import Completion, GenerationRequest, Offer, StreamEnd, TextDelta
from assistant.engine.server_kinds import ServerKind, recognise
from assistant.engine.sglang_adapters import SglangAdapters
from assistant.engine.sglang_home import ADMIN_KEY, API_KEY, Keys, SglangHome, find_keys
from assistant.engine.sglang_http import ATTEMPTS, SglangHttp, check, pause, reason_of
from assistant.engine.sglang_install import SGLANG
from assistant.engine.sglang_servers import SglangServers
from assistant.engine.sglang_wire import UnknownAdapter, read_completion, read_stream, request_body
from assistant.engine.streams import ClosingStream
from assistant.models.folders import resolve_model

TESTED_VERSION = SGLANG.partition("==")[2]
_LOG = logging.getLogger(__name__)
_CHAT = "/v1/chat/completions"

Result = TypeVar("Result")


def open_sglang(
    settings: Settings, home: Home, *, url: str | None = None, keys: Keys | None = None
) -> SglangEngine:
    """Return a client of the server that the settings name, or of another one.

    Keys that are not given come from the environment, else from those that ``deskmate engine start`` made.
    """
    keys = keys or find_keys(SglangHome(home, settings.sglang), os.environ)
    environment = {API_KEY: keys.user, ADMIN_KEY: keys.admin}
    return SglangEngine(
        settings.engine, environment, settings.sglang, url=url, base=_base_folder(settings, home)
    )


def _base_folder(settings: Settings, home: Home) -> Path | None:
    """Return the folder of the base model, None where this machine has none: the server may be another."""
    try:
        return resolve_model(settings.engine.base_model, "generator", home, ModelsSettings())
    except ModelError:
        return None


class SglangEngine:
    """Talks to a running server; starts none.

    Args:
        settings: of the engine; ``url`` names the server.
        environment: holds the keys, under ``DESKMATE_ENGINE_API_KEY`` and ``DESKMATE_ENGINE_ADMIN_KEY``.
        sglang: of server and client.
        url: of the server, in place of the settings'.
        base: folder of the base model that adapters are held to, None where it is not on this machine.
    """

    def __init__(
        self,
        settings: EngineSettings,
        environment: Mapping[str, str],
        sglang: SglangSettings | None = None,
        *,
        url: str | None = None,
        base: Path | None = None,
    ) -> None:
        own = sglang or SglangSettings()
        self._settings = settings
        self._own = own
        self._base = base
        self._urls = own.replicas or ("",)
        self._reads_tools = bool(own.tool_call_parser)
        self._canaries = CanaryCounts()
        self._server: ServerKind | None = None
        keys = Keys(user=environment.get(API_KEY, ""), admin=environment.get(ADMIN_KEY, ""))
        self._http = SglangHttp(url or settings.url, keys, settings, own, self._on_trouble)
        self._adapters = SglangAdapters(
            SglangServers(self._http, self.server, settings.base_model, self._urls),
            own.loaded_adapters,
            self._check_files,
            self._check_canary,
            own.answer_seconds,
        )
        self._places = threading.BoundedSemaphore(settings.batch_size + settings.queue_limit)
        self._counter = TokenCounter(base, self._ask_count)
        self._counts_tokens = True

    @property
    def base_model(self) -> str:
        """Name of the base model, as the settings have it."""
        return self._settings.base_model

    @property
    def offers(self) -> frozenset[Offer]:
        """JSON schemas always; tools where the settings say how the server reads them."""
        return frozenset({"json_schema", "tools"}) if self._reads_tools else frozenset({"json_schema"})

    def complete(self, requests: Sequence[GenerationRequest]) -> list[Completion]:
        """Generate for all requests; results in the order given.

        At most ``batch_size`` are under way at once; the server batches them.

        Raises:
            NotFoundError: a request names an adapter that is not loaded.
            EngineError: the server cannot be reached or failed.
        """
        for adapter in {request.adapter for request in requests}:
            self._adapters.model(adapter)
        pool = ThreadPoolExecutor(self._settings.batch_size, thread_name_prefix="deskmate-sglang")
        try:
            return list(pool.map(self._complete_one, requests))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def stream(self, request: GenerationRequest) -> ClosingStream:
        """Generate one text piece by piece; closing the iterator ends the generation in the server.

        Raises:
            NotFoundError: the request names an adapter that is not loaded.
            EngineBusy: the server turns the request away, or too many wait here already.
            EngineError: the server cannot be reached or failed.
        """
        if not self._places.acquire(blocking=False):
            raise EngineBusy(f"{self._settings.queue_limit} requests wait already; try later")
        held = ExitStack()
        held.callback(self._places.release)
        try:
            model = held.enter_context(self._adapters.use(request.adapter))
            body = request_body(request, model, stream=True)
            open_it = partial(self._http.open, _CHAT, body)
            call = _StreamCall(self._http, partial(self._known, request.adapter, open_it), held)
        except BaseException:
            held.close()
            raise
        return ClosingStream(call.events(self._own.answer_seconds), call.close)

    def load_adapter(self, name: str, folder: str) -> None:
        """Let the server hold an adapter from now on; loading the same folder again does nothing.

        Args:
            name: of the adapter.
            folder: as the server sees it.

        Raises:
            ModelError: the server refuses the adapter, its canary fails, or the name is taken.
            EngineUnavailable: the server cannot be reached; it gets the adapter when it can.
        """
        self._adapters.load(name, folder)

    def unload_adapter(self, name: str) -> None:
        """Let an adapter's requests end and take it from the server."""
        self._adapters.unload(name)

    def prove_adapter(self, name: str) -> bool:
        """Ask an adapter its canary once more; return whether its texts were known.

        Raises:
            NotFoundError: it was never loaded from here.
            ModelError: it does not say what it said before.
            EngineError: the server cannot be reached or failed.
        """
        folder = self._adapters.folder(name)
        return self._canaries.ask(name, folder, self.numerics(), self.complete)

    def numerics(self) -> str:
        """Return ``sglang/VERSION/DEVICE/FORMAT``, as the server tells it."""
        told = self.server()
        dtype = told.dtype if told.dtype not in {"", "auto"} else self._own.dtype
        return f"{told.name}/{told.version or 'unknown'}/{told.device or self._own.device}/{dtype}"

    def server(self) -> ServerKind:
        """Return what the server is; what it lacks is logged when it is asked for the first time.

        Raises:
            EngineUnavailable: it cannot be reached.
        """
        if (known := self._server) is not None:
            return known
        self._server = told = recognise(self._http.look, self._urls)
        if told.name == "sglang" and told.version != TESTED_VERSION:
            _LOG.warning(
                "the engine is SGLang %s, tested is %s: run deskmate release parity",
                told.version,
                TESTED_VERSION,
            )
        elif told.name != "sglang":
            _LOG.warning("the engine at %s is not SGLang: %s", self._http.url, "; ".join(told.lacks))
        return told

    def metrics(self) -> list[Metric]:
        """Return the server's figures under our names, those of the breaker and how canaries ended."""
        up, pages = {self.base_model: 0.0}, {}
        for url in self._urls:
            with contextlib.suppress(EngineError):
                pages[url] = self._http.look(f"{url}/metrics").text
                up[self.base_model] += 1
        try:
            families = renamed(pages)
        except ValueError:
            up, families = {self.base_model: 0.0}, []
        return [
            gauge("up", "Servers that could be scraped.", up),
            canary_family(self._canaries.counts()),
            *families,
        ]

    def adapters(self) -> tuple[str, ...]:
        """Return the names of the adapters that the server holds."""
        return self._adapters.names()

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a text, by the base model's tokenizer where it lies here."""
        return self._counter.count(text)

    def problems(self) -> tuple[str, ...]:
        """Return why the engine cannot answer now; empty when it is ready."""
        problem = self._http.problem()
        return (problem,) if problem else ()

    def close(self) -> None:
        """Close all connections, which ends running generations in the server."""
        self._http.close()

    def _on_trouble(self) -> None:
        self._adapters.forget()
        self._server = None

    def _check_files(self, folder: Path) -> None:
        """Refuse an adapter that the server could not serve, before it is asked.

        Raises:
            ModelError: the folder is broken, changed, of another base, or of a kind that is not served.
        """
        if (
            folder.is_dir() or folder.parent.is_dir()
        ):  # else the server sees a disk that this process does not
            check_adapter(folder, self._base, max_rank=self._own.max_lora_rank)

    def _ask_count(self, text: str) -> int | None:
        if not self._counts_tokens:
            return None
        try:
            body = {"model": self._adapters.model(None), "prompt": text}
            response = self._http.send("POST", "/tokenize", body)
        except EngineUnavailable:
            return None
        if response.status_code == httpx.codes.OK:
            count = response.json().get("count")
            if isinstance(count, int):
                return count
        self._counts_tokens = False
        return None

    def _complete_one(self, request: GenerationRequest) -> Completion:
        with self._adapters.use(request.adapter) as model:
            return self._known(request.adapter, partial(self._complete_as, request, model))

    def _complete_as(self, request: GenerationRequest, model: str, url: str = "") -> Completion:
        response = self._http.send("POST", url + _CHAT, request_body(request, model, stream=False))
        check(response)
        return read_completion(response.content)

    def _known(self, adapter: str | None, ask: Callable[[], Result]) -> Result:
        """Ask; once more where the server, started anew, knows nothing of the adapter yet."""
        try:
            return ask()
        except UnknownAdapter:
            self._adapters.forget()
            self._adapters.model(adapter)
            return ask()

    def _check_canary(self, name: str, folder: Path, model: str, url: str) -> None:
        if not folder.is_dir():
            return  # the server sees a disk that this process does not
        base = self._adapters.model(None)

        def complete(requests: Sequence[GenerationRequest]) -> list[Completion]:
            models = [model if request.adapter else base for request in requests]
            return [self._complete_as(*pair, url) for pair in zip(requests, models, strict=True)]

        self._canaries.ask(name, folder, self.numerics(), complete)


class _StreamCall:
    """One streamed request; opened again if its connection breaks before the first token.

    Args:
        http: the connection.
        connect: sends the request and returns the open response.
        held: freed when the stream ends.
    """

    def __init__(self, http: SglangHttp, connect: Callable[[], httpx.Response], held: ExitStack) -> None:
        self._http = http
        self._connect = connect
        self._held = held
        self._response = connect()

    def events(self, longest_seconds: float) -> Iterator[TextDelta | StreamEnd]:
        """Yield the events."""
        until = time.monotonic() + longest_seconds
        try:
            for attempt in range(1, ATTEMPTS + 1):
                has_begun = False
                try:
                    for event in read_stream(self._response.iter_bytes()):
                        has_begun = True
                        yield event
                        if time.monotonic() > until:
                            raise EngineError(f"the answer takes longer than {longest_seconds:.0f} s")
                except httpx.TimeoutException as error:
                    self._http.broke_off(error)
                    raise EngineError("the engine sent no token in time") from error
                except httpx.HTTPError as error:
                    self._http.broke_off(error)
                    if has_begun or attempt == ATTEMPTS:
                        raise EngineError(f"the engine's stream broke off: {reason_of(error)}") from error
                else:
                    return
                self._response.close()
                pause(attempt)
                self._response = self._connect()
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection, which ends the generation in the server."""
        self._response.close()
        self._held.close()
