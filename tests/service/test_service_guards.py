from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from litestar.utils.sync import AsyncCallable

from assistant.core.errors import InputError
from assistant.core.settings import ServiceSettings, Settings
from assistant.service.app import create_app

KEY = "钥匙-correct horse"
KEYED = ServiceSettings(api_key_sha256=("0" * 64, hashlib.sha256(KEY.encode()).hexdigest()))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "desk.example.com"])  # noqa: S104
def test_no_exposure_without_a_key(host: str, make_pipelines: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match="no API key is set") as refused:
        create_app(Settings(service=ServiceSettings(host=host)), pipelines=make_pipelines())
    assert f"serve --host {host}" in str(refused.value)
    assert refused.value.next_command == "deskmate keys create NAME --role admin"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_needs_no_key(host: str, make_pipelines: Callable[..., Any]) -> None:
    assert create_app(Settings(service=ServiceSettings(host=host)), pipelines=make_pipelines())


def test_a_key_in_plain_text_in_the_settings_is_refused(make_pipelines: Callable[..., Any]) -> None:
    service = ServiceSettings(api_key_sha256=("my secret password",))
    with pytest.raises(InputError, match="no SHA-256") as refused:
        create_app(Settings(service=service), pipelines=make_pipelines())
    assert "password" not in str(refused.value)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("POST", "/v1/search"),
        ("GET", "/v1/chunks/c1"),
    ],
)
async def test_every_route_of_the_api_asks_for_the_key(
    serve_in_memory: Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]], method: str, path: str
) -> None:
    body = {"query": "x"} if path.endswith("search") else {"messages": [{"role": "user", "content": "E07?"}]}
    async with serve_in_memory(service=KEYED) as client:
        replies = {}
        for name, header in {
            "none": None,
            "wrong": b"Bearer wrong",
            "basic": b"Basic " + KEY.encode(),
            "hash": b"Bearer " + KEYED.api_key_sha256[1].encode(),
            "right": b"Bearer " + KEY.encode(),
        }.items():
            headers = {"Authorization": header} if header else {}
            replies[name] = await client.request(
                method, path, headers=headers, json=body if method == "POST" else None
            )
        page = await client.get("/")
        ready = await client.get("/readyz")
    right = replies.pop("right")
    assert right.status_code == 200
    assert {reply.status_code for reply in replies.values()} == {401}
    assert all(reply.headers["www-authenticate"].startswith("Bearer") for reply in replies.values())
    if path.endswith(("completions", "models")):
        assert replies["none"].json()["error"]["code"] == "invalid_api_key"
    else:
        assert replies["none"].headers["content-type"] == "application/problem+json"
    assert (page.status_code, ready.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:8080", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:80", 421),
        ("127.0.0.1:80@evil.example", 421),
    ],
)
async def test_only_this_machines_names_are_answered(
    client: AsyncTestClient[Any], host: str, status: int
) -> None:
    for path in ("/", "/v1/models", "/readyz", "/openapi.json", "/docs"):
        reply = await client.get(path, headers={"Host": host})
        assert reply.status_code == status, path


async def test_behind_a_key_any_name_is_answered(
    serve_in_memory: Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]],
) -> None:
    exposed = ServiceSettings(host="0.0.0.0", api_key_sha256=KEYED.api_key_sha256)  # noqa: S104
    async with serve_in_memory(service=exposed) as client:
        assert (await client.get("/readyz", headers={"Host": "desk.example.com"})).status_code == 200


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
async def test_other_web_pages_cannot_ask(
    client: AsyncTestClient[Any], ask: Callable[..., dict[str, object]], site: str, status: int
) -> None:
    headers = {"Sec-Fetch-Site": site, "Content-Type": "text/plain", "Origin": "http://evil.example"}
    reply = await client.post("/v1/chat/completions", json=ask("What is E07?"), headers=headers)
    assert reply.status_code == status
    assert "access-control-allow-origin" not in reply.headers


async def test_options_name_every_method_of_a_path(client: AsyncTestClient[Any]) -> None:
    paths = ("/v1/answers", "/v1/keys/x", "/v1/uploads/x", "/livez", "/v1/nothing")
    seen = {path: (await client.options(path)).headers.get("allow") for path in paths}
    assert seen == {
        "/v1/answers": "GET, OPTIONS, POST",
        "/v1/keys/x": "DELETE, GET, OPTIONS",
        "/v1/uploads/x": "DELETE, GET, OPTIONS, PATCH",
        "/livez": "GET, OPTIONS",
        "/v1/nothing": None,
    }


def test_no_guard_is_run_in_a_thread(make_pipelines: Callable[..., Any]) -> None:
    app = create_app(pipelines=make_pipelines())
    handlers = [handler for route in app.routes for handler in getattr(route, "route_handlers", ())]
    guards = [guard for handler in handlers for guard in handler.resolve_guards()]
    assert guards
    assert not [guard for guard in guards if isinstance(guard, AsyncCallable)]
