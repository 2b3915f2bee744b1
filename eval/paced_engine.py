"""A server of SGLang's routes that costs next to nothing and gives its tokens at a steady pace.

Run ``python -m eval.paced_engine --port PORT``. Before it, what a service adds to the first token can be
seen; before a model on a processor it drowns in seconds of waiting for other prompts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvicorn

from assistant.engine.sglang import TESTED_VERSION

# ASGI's, named here because litestar is the service's alone
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
MODEL = "paced"
_WORD = "word "


class PacedEngine:
    """The server as an ASGI application.

    Args:
        first_seconds: until the first token, as for the prompt.
        token_seconds: between two tokens.
        tokens: of an answer on average; the question decides between half and one and a half of them, so that
            askers do not march in step.
    """

    def __init__(self, first_seconds: float, token_seconds: float, tokens: int) -> None:
        self._first_seconds = first_seconds
        self._token_seconds = token_seconds
        self._tokens = tokens

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        body = await _read(receive)
        if scope["path"] == "/v1/chat/completions":
            await self._answer(json.loads(body), send)
        else:
            await _reply(scope, send)

    def length(self, body: Mapping[str, Any]) -> int:
        """Return how many tokens answer a request: the same ones ask for the same."""
        asked = zlib.crc32(body["messages"][-1]["content"].encode())
        return max(1, self._tokens // 2 + asked % (self._tokens + 1))

    async def _answer(self, body: Mapping[str, Any], send: Send) -> None:
        loop, count = asyncio.get_running_loop(), self.length(body)
        first = loop.time() + self._first_seconds
        await _start(send, b"text/event-stream")
        await _event(send, {"choices": [{"delta": {"role": "assistant", "content": ""}}]})
        for number in range(count):
            await asyncio.sleep(first + number * self._token_seconds - loop.time())
            await _event(send, {"choices": [{"delta": {"content": _WORD}, "finish_reason": None}]})
        await _event(send, {"choices": [{"delta": {}, "finish_reason": "stop"}]})
        usage = {"prompt_tokens": 100, "completion_tokens": count, "total_tokens": 100 + count}
        await _event(send, {"choices": [], "usage": usage})
        await _send(send, b"data: [DONE]\n\n", is_last=True)


async def _read(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body
        body += bytes(message["body"])
        if not message["more_body"]:
            return body


async def _reply(scope: Mapping[str, Any], send: Send) -> None:
    replies: dict[str, Any] = {
        "/server_info": {"version": TESTED_VERSION, "device": "none", "dtype": "none"},
        "/v1/models": {"data": [{"id": MODEL, "root": MODEL, "parent": None}]},
    }
    await _start(send, b"application/json")
    await _send(send, json.dumps(replies.get(scope["path"], {})).encode(), is_last=True)


async def _start(send: Send, kind: bytes) -> None:
    headers = [(b"content-type", kind)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _event(send: Send, event: Mapping[str, Any]) -> None:
    await _send(send, b"data: " + json.dumps(event).encode() + b"\n\n")


async def _send(send: Send, body: bytes, *, is_last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not is_last})


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--first-ms", type=float, default=100.0)
    parser.add_argument("--token-ms", type=float, default=20.0)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args(arguments)
    engine = PacedEngine(options.first_ms / 1000, options.token_ms / 1000, options.tokens)
    uvicorn.run(engine, host="127.0.0.1", port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
