"""How answers travel: compressed where that delays nothing, to other web pages only where they are named."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from assistant.core.errors import InputError
from assistant.core.settings import ServiceSettings, Settings
from assistant.service.app import create_app

Serve = Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]]
PAGE = "https://desk.corp.example"
ASKED = {"query": "E07 故障代码"}


async def raw(client: AsyncTestClient[Any], method: str, path: str, encoding: str, **given: Any) -> Any:
    """Return headers and the bytes as they travelled."""
    headers = {"Accept-Encoding": encoding, **given.pop("headers", {})}
    async with client.stream(method, path, headers=headers, **given) as reply:
        return reply, b"".join([piece async for piece in reply.aiter_raw()])


async def curated(client: AsyncTestClient[Any], text: str) -> str:
    await client.post("/v1/collections", json={"name": "default"})
    body = {"questions": ["Why? 为什么？"], "text": text, "citations": []}
    made = await client.post("/v1/curated-answers", json=body)
    assert made.status_code == 201, made.text
    return str(made.headers["location"])


@pytest.mark.parametrize("encoding", ["gzip", "br, GZIP;q=0.5", "deflate,gzip;q=1.0"])
async def test_long_answers_are_smaller_for_who_takes_gzip(
    client: AsyncTestClient[Any], encoding: str
) -> None:
    place = await curated(client, "炉门开关没有闭合。" * 200)
    plain, whole = await raw(client, "GET", place, "identity")
    packed, small = await raw(client, "GET", place, encoding)
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in plain.headers
    assert len(small) == int(packed.headers["content-length"]) < len(whole)
    assert gzip.decompress(small) == whole


@pytest.mark.parametrize("encoding", ["identity", "gzip;q=0", "br", "x-gzip-like"])
async def test_others_get_it_as_it_is(client: AsyncTestClient[Any], encoding: str) -> None:
    reply, whole = await raw(client, "GET", "/openapi.json", encoding)
    assert "content-encoding" not in reply.headers
    assert whole.startswith(b"{")


async def test_streams_secrets_and_small_answers_are_left_alone(client: AsyncTestClient[Any]) -> None:
    asked = {"question": "What does fault code E07 mean?", "stream": True}
    stream, events = await raw(client, "POST", "/v1/answers", "gzip", json=asked)
    small, _ = await raw(client, "GET", "/livez", "gzip")
    admin = (await client.post("/v1/keys", json={"name": "admin", "role": "admin"})).json()["secret"]
    mine = {"Authorization": f"Bearer {admin}"}
    key = {"name": "narrow", "filters": {"customer": [f"customer-{number}" for number in range(100)]}}
    made, secret = await raw(client, "POST", "/v1/keys", "gzip", json=key, headers=mine)
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert b"event: done" in events
    assert [reply.headers.get("content-encoding") for reply in (stream, small, made)] == [None] * 3
    assert len(secret) > 1024


async def test_an_etag_of_a_compressed_answer_still_guards_and_saves(client: AsyncTestClient[Any]) -> None:
    place = await curated(client, "Because it is so. " * 200)
    seen, _ = await raw(client, "GET", place, "gzip")
    tag = seen.headers["etag"]
    again = await client.get(place, headers={"If-None-Match": tag})
    change = {"questions": ["Why?"], "text": "So.", "citations": []}
    changed = await client.put(place, json=change, headers={"If-Match": tag})
    late = await client.put(place, json=change, headers={"If-Match": tag})
    assert tag.startswith('W/"')
    assert (again.status_code, changed.status_code, late.status_code) == (304, 200, 412)


async def test_a_replayed_answer_is_whole_for_everybody(client: AsyncTestClient[Any]) -> None:
    asked = {"question": "What does fault code E07 mean?"}
    key = {"Idempotency-Key": "one"}
    first, small = await raw(client, "POST", "/v1/answers", "gzip", json=asked, headers=key)
    again, whole = await raw(client, "POST", "/v1/answers", "identity", json=asked, headers=key)
    assert first.headers["content-encoding"] == "gzip"
    assert again.headers["idempotent-replayed"] == "true"
    assert gzip.decompress(small) == whole


async def test_other_pages_may_ask_only_where_they_are_named(serve_in_memory: Serve) -> None:
    preflight = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    crossing = {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}
    stranger = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    seen = []
    for origins in ((), (PAGE,)):
        async with serve_in_memory(service=ServiceSettings(cors_origins=origins)) as client:
            asked = await client.options("/v1/search", headers=preflight)
            replies = [
                await client.post("/v1/search", json=ASKED, headers=headers)
                for headers in (crossing, stranger)
            ]
        seen.append([asked, *replies])
    closed, opened = seen
    assert not any("access-control-allow-origin" in reply.headers for reply in closed)
    assert [reply.status_code for reply in closed[1:]] == [403, 403]
    assert [reply.status_code for reply in opened] == [204, 200, 403]
    assert opened[0].headers["access-control-allow-origin"] == PAGE
    assert "idempotency-key" in opened[0].headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in opened[0].headers
    assert opened[1].headers["access-control-allow-origin"] == PAGE
    assert "access-control-allow-origin" not in opened[2].headers


@pytest.mark.parametrize("origin", ["*", "desk.corp.example", "https://desk.corp.example/page", "null"])
def test_an_origin_is_named_exactly(origin: str, make_pipelines: Callable[..., Any]) -> None:
    settings = Settings(service=ServiceSettings(cors_origins=(origin,)))
    with pytest.raises(InputError, match="cors_origins"):
        create_app(settings, pipelines=make_pipelines(settings=settings))
