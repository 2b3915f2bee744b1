"""Which server stands behind a URL, and what it lacks of SGLang."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import httpx
import msgspec

from assistant.core.errors import EngineError, EngineUnavailable
from assistant.core.records import Record

_LOOK_SECONDS = 5.0
_NO_FIGURES = "its own figures are not shown in /metrics"

Look = Callable[[str, float], httpx.Response]


class ServerKind(Record, frozen=True, kw_only=True):
    """What a server is.

    Attributes:
        name: ``sglang``, ``vllm``, or ``other`` for one that has OpenAI's routes only.
        version: empty where it tells none.
        device: as the version.
        dtype: as the version.
        load: route that loads an adapter, empty where it has none.
        unload: route that takes one away.
        lacks: what Deskmate uses of SGLang and misses here, one sentence each.
    """

    name: Literal["sglang", "vllm", "other"]
    version: str = ""
    device: str = ""
    dtype: str = ""
    load: str = ""
    unload: str = ""
    lacks: tuple[str, ...] = ()

    def model(self, served: str, adapter: str | None) -> str:
        """Return what selects an adapter, or the base model."""
        if adapter is None:
            return served
        # a bare name gets the base model of SGLang; elsewhere it is what an adapter goes by
        return f"{served}:{adapter}" if self.name == "sglang" else adapter


SGLANG = ServerKind(name="sglang", load="/load_lora_adapter", unload="/unload_lora_adapter")
VLLM = ServerKind(
    name="vllm",
    load="/v1/load_lora_adapter",
    unload="/v1/unload_lora_adapter",
    lacks=(
        "adapters are loaded only if it was started with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True",
        "any key may load adapters: it knows no key of an administrator",
        _NO_FIGURES,
    ),
)
OTHER = ServerKind(
    name="other",
    lacks=(
        "adapters cannot be loaded: only those that it was started with and the base model answer",
        "whether it keeps to a JSON schema while writing is not known",
        "where it has no route /tokenize, tokens are estimated",
        _NO_FIGURES,
    ),
)


def recognise(look: Look, urls: Sequence[str] = ("",)) -> ServerKind:
    """Ask a server what it is.

    Args:
        look: gets a path within so many seconds, and raises unless the reply is 200.
        urls: of servers of one kind; the first that answers is asked.

    Raises:
        EngineUnavailable: none can be reached.
    """
    trouble = EngineUnavailable("no engine is named")
    for url in urls:
        try:
            return _recognise(look, url)
        except EngineUnavailable as error:
            trouble = error
    raise trouble


def _recognise(look: Look, url: str) -> ServerKind:
    told = _told(look, f"{url}/server_info")
    if "version" in told:
        texts = {key: str(told.get(key) or "") for key in ("version", "device", "dtype")}
        return msgspec.structs.replace(SGLANG, **texts)
    told = _told(look, f"{url}/version")
    return msgspec.structs.replace(VLLM, version=str(told["version"])) if "version" in told else OTHER


def _told(look: Look, path: str) -> dict[str, Any]:
    try:
        told = look(path, _LOOK_SECONDS).json()
    except EngineUnavailable:
        raise
    except (EngineError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
