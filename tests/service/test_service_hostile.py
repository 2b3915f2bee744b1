from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from assistant.core.settings import ServiceSettings

CHAT = "/v1/chat/completions"
SEARCH = "/v1/search"
BODIES = {
    "empty": b"",
    "cut off": b'{"messages": [{"role": "user"',
    "null": b"null",
    "list": b"[]",
    "number": b"1e999",
    "binary": bytes(range(256)),
    "bad utf-8": b'{"messages":[{"role":"user","content":"\xff\xfe"}],"query":"\xff\xfe"}',
    "lone surrogate": b'{"messages":[{"role":"user","content":"\\ud800"}],"query":"\\ud800"}',
    "deep": b'{"messages":'
    + b"[" * 100_000
    + b"]" * 100_000
    + b',"query":'
    + b"[" * 100_000
    + b"]" * 100_000
    + b"}",
    "wrong types": b'{"messages":{"role":"user"},"query":5}',
    "form": b"messages=hello&query=hello",
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", [CHAT, SEARCH])
async def test_bodies_that_cannot_be_read_are_refused_in_words(
    client: AsyncTestClient[Any], path: str, name: str
) -> None:
    reply = await client.post(path, content=BODIES[name], headers={"Content-Type": "application/json"})
    assert reply.status_code == 400
    body = reply.json()
    if path == CHAT:
        assert body["error"]["type"] == "invalid_request_error"
        assert body["error"]["message"]
    else:
        assert reply.headers["content-type"] == "application/problem+json"
        assert body["type"] == "urn:deskmate:problem:bad-input"
        assert body["detail"]
    assert "Traceback" not in reply.text


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("x" * 100_000, "at most 4000"),
        ("问" * 100_000, "at most 4000"),
        ("a\x00b", "not text"),
        ("\n\t ", "empty"),
        ("", "empty"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_questions_that_are_none(
    client: AsyncTestClient[Any],
    ask: Callable[..., dict[str, object]],
    question: str,
    said: str,
    *,
    stream: bool,
) -> None:
    reply = await client.post(CHAT, json=ask(question, stream=stream))
    assert reply.status_code == 400
    assert said in reply.json()["error"]["message"]


@pytest.mark.parametrize("path", [CHAT, SEARCH])
async def test_a_body_over_the_limit_is_refused(
    serve_in_memory: Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]], path: str
) -> None:
    async with serve_in_memory(service=ServiceSettings(max_body_mebibytes=1)) as client:
        small = json.dumps({"query": "x", "messages": [{"role": "user", "content": "x"}]}).encode()
        reply = await client.post(path, content=small + b" " * (1 << 20))
    assert reply.status_code == 413
    assert "max_body_mebibytes" in reply.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"query": ""}, "query"),
        ({"query": "x" * 5000}, "query"),
        ({"query": "x", "top_k": 0}, "top_k"),
        ({"query": "x", "top_k": 10**9}, "top_k"),
        ({"query": "x", "topk": 3}, "body"),
        ({"query": "x", "filters": {"产品": ["a"] * 257}}, "filters[...]"),
        ({"query": "x", "filters": {"product": "a" * 201}}, "filters[...]"),
        ({}, "body"),
    ],
)
async def test_a_bad_search_names_the_field(
    client: AsyncTestClient[Any], body: dict[str, Any], field: str
) -> None:
    reply = await client.post(SEARCH, json=body)
    problem = reply.json()
    assert (reply.status_code, problem["status"], problem["instance"]) == (400, 400, SEARCH)
    assert [item["field"] for item in problem["errors"]] == [field]


async def test_unknown_paths_and_methods_are_problems(client: AsyncTestClient[Any]) -> None:
    missing = await client.get("/v2/everything")
    wrong = await client.get(SEARCH)
    assert (missing.status_code, wrong.status_code) == (404, 405)
    for reply in (missing, wrong):
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["type"].startswith("urn:deskmate:problem:")
