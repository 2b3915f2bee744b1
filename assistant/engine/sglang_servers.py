"""The servers that hold adapters: one, or those behind a router, which hands a load to one of them only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import httpx

from assistant.core.errors import EngineError, EngineUnavailable, ModelError
from assistant.core.records import Record
from assistant.engine.server_kinds import SGLANG, ServerKind
from assistant.engine.sglang_http import SglangHttp, check
from assistant.engine.sglang_wire import error_of

# of a load: refused; of an unload: it holds none of that name
_REFUSED = {httpx.codes.BAD_REQUEST, httpx.codes.NOT_FOUND}


class Holding(Record, frozen=True, kw_only=True):
    """What is served: name of the base model, and name → folder of the adapters that every server holds."""

    served: str
    adapters: dict[str, str]


class SglangServers:
    """Asks and changes what servers hold; one call at a time.

    Args:
        http: the connection; a path that begins with a server's URL goes there past the router.
        kind: tells what the servers are.
        base_model: that is asked where a server has several.
        urls: of the servers behind the router; one empty one where ``http`` leads to the server itself.
    """

    def __init__(
        self, http: SglangHttp, kind: Callable[[], ServerKind], base_model: str, urls: Sequence[str]
    ) -> None:
        self._http = http
        self._ask_kind = kind
        self._base_model = base_model
        self._urls = urls
        self._live: dict[str, dict[str, str]] = {}
        self.kind = SGLANG

    @property
    def live(self) -> tuple[str, ...]:
        """URLs of the servers that answered last; one empty one where there is no router."""
        return tuple(self._live)

    def ask(self) -> Holding:
        """Ask all servers what they hold; one that does not answer holds nothing.

        Raises:
            EngineUnavailable: none answers.
            EngineError: one answers nonsense.
        """
        found: dict[str, Holding] = {}
        trouble = EngineUnavailable(f"no engine answers behind {self._http.url}")
        for url in self._urls:
            try:
                found[url] = self._ask(url)
            except EngineUnavailable as error:
                trouble = error
        if not found:
            raise trouble
        self._live = {url: holding.adapters for url, holding in found.items()}
        first, *others = found.values()
        rows = set(first.adapters.items()).intersection(*(other.adapters.items() for other in others))
        return Holding(served=first.served, adapters=dict(rows))

    def load(self, name: str, folder: str) -> None:
        """Have every server that answers load an adapter.

        Raises:
            ModelError: one refuses it, or has no route that loads adapters.
            EngineError: one cannot be reached or failed.
        """
        if not self.kind.load:
            raise ModelError(
                f"{self._http.url} has no route that loads adapters, and holds none named {name!r}: start it "
                "with that adapter, or take SGLang"
            )
        for url, held in self._live.items():
            if held.get(name) == folder:
                continue
            body = {"lora_name": name, "lora_path": folder}
            response = self._http.send("POST", url + self.kind.load, body, as_admin=True)
            if response.status_code not in _REFUSED:
                check(response)
            elif self._ask(url).adapters.get(name) != folder:  # else another process loaded it meanwhile
                raise ModelError(f"adapter {folder}: {error_of(response).message}")

    def unload(self, name: str) -> None:
        """Have every server that answers forget an adapter.

        Raises:
            EngineError: one cannot be reached or failed.
        """
        for url in self._live if self.kind.unload else ():
            body = {"lora_name": name}
            response = self._http.send("POST", url + self.kind.unload, body, as_admin=True)
            if response.status_code not in _REFUSED:
                check(response)

    def _ask(self, url: str) -> Holding:
        path = f"{url}/v1/models"
        if url:
            response = self._http.look(path)  # past the breaker, which watches the router
        else:
            response = self._http.send("GET", path)
            check(response)
        self.kind = self._ask_kind()
        try:
            cards: list[dict[str, Any]] = response.json()["data"]
            bases = [card["id"] for card in cards if not card.get("parent")]
            adapters = {card["id"]: card.get("root") or "" for card in cards if card.get("parent")}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineError(f"{url or self._http.url} does not list its models as OpenAI does") from error
        if not bases:
            raise EngineError(f"{url or self._http.url} serves no base model")
        served = self._base_model if self._base_model in bases else bases[0]
        if self.kind.name == "other":
            adapters |= {name: "" for name in bases if name != served}
        return Holding(served=served, adapters=adapters)
