from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from assistant.core.errors import NotFoundError
from assistant.service import wiring

QUESTION = {"messages": [{"role": "user", "content": "What does E07 mean?"}]}


async def until_ready(client: AsyncTestClient[Any]) -> None:
    for _ in range(500):
        if (await client.get("/readyz")).status_code == 200:
            return
        await asyncio.sleep(0.01)
    pytest.fail("the service did not get ready")


async def test_alive_at_once_and_ready_when_all_is_open(
    serve_in_memory: Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]],
    make_pipelines: Callable[..., Any],
) -> None:
    pipelines = make_pipelines()
    pipelines.gate.clear()
    async with serve_in_memory(pipelines, waits=False) as client:
        assert (await client.get("/livez")).json() == {"status": "ok"}
        waiting = await client.get("/readyz")
        asked = await client.post("/v1/chat/completions", json=QUESTION)
        searched = await client.post("/v1/search", json={"query": "x"})
        pipelines.gate.set()
        await until_ready(client)
        assert (await client.post("/v1/chat/completions", json=QUESTION)).status_code == 200
    assert waiting.status_code == 503
    assert waiting.headers["content-type"] == "application/problem+json"
    assert waiting.json()["reasons"] == ["collection 'default': still opening"]
    assert (asked.status_code, searched.status_code) == (503, 503)
    assert asked.headers["retry-after"] == searched.headers["retry-after"] == "5"
    assert asked.json()["error"]["code"] == "service_unavailable"
    assert pipelines.is_closed


async def test_what_cannot_be_opened_is_told_and_tried_again(
    serve_in_memory: Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]],
    make_pipelines: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wiring, "REOPEN_SECONDS", 0.01)
    pipelines = make_pipelines()
    pipelines.failure = NotFoundError("no index", next_command="deskmate index add PATH")
    async with serve_in_memory(pipelines, waits=False) as client:
        for _ in range(100):
            reasons = (await client.get("/readyz")).json()["reasons"]
            if reasons != ["collection 'default': still opening"]:
                break
            await asyncio.sleep(0.01)
        asked = await client.post("/v1/chat/completions", json=QUESTION)
        pipelines.failure = None
        await until_ready(client)
    assert reasons == ["collection 'default': no index; run: deskmate index add PATH"]
    assert asked.status_code == 404
    assert asked.json()["error"]["message"] == "no index; GET /v1/models lists what can be asked"


async def test_not_ready_when_the_engine_is_not(
    serve_in_memory: Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]],
    make_pipelines: Callable[..., Any],
) -> None:
    pipelines = make_pipelines()
    async with serve_in_memory(pipelines) as client:
        pipelines.engine.close()
        reply = await client.get("/readyz")
    assert reply.status_code == 503
    assert reply.json()["reasons"] == ["the engine is closed"]
