"""``[sglang]``: the SGLang server that ``deskmate engine`` installs, starts and watches, and its client."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class SglangSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[sglang]``: a server that runs already needs ``[engine] url`` and keys only.

    Attributes:
        device: ``cpu`` starts it by the project's own recipe, ``cuda`` as SGLang's documentation says.
        environment: folder of SGLang's own Python environment; empty for ``engine/environment`` in the
            data folder.
        port: on loopback; the client's ``[engine] url`` names it too.
        dtype: of the weights.
        max_total_tokens: tokens in the cache of keys and values, which bounds memory; 0 lets SGLang choose.
        adapter_slots: adapters in one batch; the base model takes one slot more.
        loaded_adapters: adapters that stay loaded; the least recently used one goes first.
        max_lora_rank: largest rank of an adapter.
        replicas: URLs of the servers where ``[engine] url`` is a router before them: adapters are loaded into
            each, because the router hands a load to one of them only.
        tensor_parallel: GPUs that share one copy of the weights.
        start_seconds: longest wait until it is healthy.
        stop_seconds: longest wait for a clean end.
        restarts: deaths within ``restart_window_seconds`` after which it is given up.
        restart_window_seconds: see ``restarts``.
        tool_call_parser: how the server reads the base model's calls of tools (``qwen25`` for Qwen 2.5);
            empty: requests with tools are refused.
        extra_arguments: handed on to SGLang as they are.
        connect_seconds: longest wait of the client for a connection.
        answer_seconds: longest time of a whole answer; ``[engine] timeout_seconds`` bounds each token.
        breaker_failures: failures in a row after which requests are refused without asking the server.
        breaker_seconds: time until one request is let through again.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    environment: str = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = 30000
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    max_total_tokens: Annotated[int, Meta(ge=0)] = 16384
    adapter_slots: Count = 3
    loaded_adapters: Count = 8
    max_lora_rank: Count = 16
    replicas: tuple[str, ...] = ()
    tensor_parallel: Count = 1
    start_seconds: Seconds = 600.0
    stop_seconds: Seconds = 30.0
    restarts: Count = 5
    restart_window_seconds: Seconds = 600.0
    tool_call_parser: str = ""
    extra_arguments: tuple[str, ...] = ()
    connect_seconds: Seconds = 5.0
    answer_seconds: Seconds = 600.0
    breaker_failures: Count = 5
    breaker_seconds: Seconds = 5.0
