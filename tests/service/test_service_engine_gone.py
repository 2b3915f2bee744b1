"""The service while its engine cannot be reached: 503 with Retry-After, or quotes that say what they are."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from assistant.core.settings import Settings

QUESTION = "What does fault code E07 mean?"


@pytest.mark.parametrize("quotes", [False, True])
async def test_an_engine_that_is_gone(
    serve_in_memory: Callable, make_pipelines: Callable, ask: Callable, *, quotes: bool
) -> None:
    answer = msgspec.structs.replace(Settings().answer, when_engine_fails="quote" if quotes else "refuse")
    pipelines = make_pipelines(settings=msgspec.structs.replace(Settings(), answer=answer))
    async with serve_in_memory(pipelines) as client:
        pipelines.engine.close()
        reply = await client.post("/v1/chat/completions", json=ask(QUESTION))
        ready = await client.get("/readyz")
    assert ready.status_code == 503
    if quotes:
        assert reply.status_code == 200
        assert reply.json()["deskmate"]["is_extract"] is True
        assert "motor is hotter than 95" in reply.json()["choices"][0]["message"]["content"]
    else:
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) > 0
