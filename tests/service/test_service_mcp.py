"""An MCP client calls each tool, under its key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from assistant.core.home import Home
from assistant.store.database import Database
from assistant.store.keys import Keys, NewKey

pytest.importorskip("mcp")


async def call(url: str, headers: dict[str, str], calls: list[tuple[str, dict[str, Any]]]) -> Any:
    import httpx2
    from mcp.client.session import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        streamable_http_client(f"{url}/mcp", http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        tools = {tool.name for tool in (await session.list_tools()).tools}
        return tools, [await session.call_tool(name, arguments) for name, arguments in calls]


async def test_each_tool_answers(serve_live: Callable[..., Any]) -> None:
    server = serve_live()
    await ready(server.url)
    tools, (found, answered, sources, missing) = await call(
        server.url,
        {},
        [
            ("search_manuals", {"query": "E07", "top_k": 1}),
            ("answer", {"question": "故障代码 E12 表示什么？"}),
            ("list_sources", {}),
            ("send_feedback", {"answer_id": "ans-0", "rating": "up"}),
        ],
    )
    assert tools == {"search_manuals", "answer", "list_sources", "send_feedback"}
    assert len(found.structured_content["passages"]) == 1
    assert "炉门开关没有闭合" in answered.structured_content["text"]
    assert answered.structured_content["citations"][0]["document"] == "ovens/手册.pdf"
    assert sources.structured_content == {"collections": ["default", "plain"]}
    assert missing.is_error
    assert "no answer 'ans-0'" in missing.content[0].text
    _, (told,) = await call(
        server.url,
        {},
        [("send_feedback", {"answer_id": answered.structured_content["id"], "rating": "down"})],
    )
    assert told.structured_content["id"].startswith("fb-")


@pytest.mark.parametrize("letter", ["x", "问"])
async def test_tools_have_the_limits_of_the_routes(serve_live: Callable[..., Any], letter: str) -> None:
    server = serve_live()
    await ready(server.url)
    _, refused = await call(
        server.url,
        {},
        [
            ("search_manuals", {"query": letter * 4001}),
            ("search_manuals", {"query": ""}),
            ("search_manuals", {"query": letter, "filters": {f"k{n}": [letter] for n in range(33)}}),
            ("answer", {"question": letter * 20_001}),
            ("answer", {"question": letter, "collection": letter * 65}),
            ("send_feedback", {"answer_id": "ans-0", "rating": "up", "comment": letter * 10_001}),
        ],
    )
    assert [row.is_error for row in refused] == [True] * 6
    assert {row.content[0].text.partition(": ")[2].partition(":")[0] for row in refused} == {
        "the arguments cannot be used"
    }


async def test_tools_have_the_callers_rights(serve_live: Callable[..., Any]) -> None:
    import httpx

    database = Database(Home.from_environment().make().database_url)
    with database.write() as session:
        _, secret = Keys(session).create(NewKey(name="narrow", collections=("plain",)))
    database.close()
    server = serve_live()
    await ready(server.url)
    async with httpx.AsyncClient() as client:
        refused = await client.post(f"{server.url}/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})
    _, (sources, foreign) = await call(
        server.url,
        {"Authorization": f"Bearer {secret}"},
        [("list_sources", {}), ("search_manuals", {"query": "E07", "collection": "default"})],
    )
    assert refused.status_code == 401
    assert sources.structured_content == {"collections": ["plain"]}
    assert foreign.is_error
    assert "no collection 'default'" in foreign.content[0].text


async def ready(url: str) -> None:
    import httpx

    async with httpx.AsyncClient() as client:
        while (await client.get(f"{url}/readyz")).status_code != 200:
            pass
