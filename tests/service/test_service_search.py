from __future__ import annotations

from typing import Any

import pytest
from litestar.testing import AsyncTestClient


@pytest.mark.parametrize(
    ("query", "document"), [("fault code E07", "pumps/service-manual.pdf"), ("炉门 E12", "ovens/手册.pdf")]
)
async def test_search_gives_what_the_command_line_prints(
    client: AsyncTestClient[Any], query: str, document: str
) -> None:
    reply = await client.post("/v1/search", json={"query": query, "top_k": 2})
    passages = reply.json()["passages"]
    assert reply.status_code == 200
    assert [passage["rank"] for passage in passages] == [1, 2]
    assert passages[0]["document"] == document
    assert set(passages[0]) == {
        *("rank", "score", "document", "version", "page", "heading_path", "text", "chunk_id", "metadata"),
        *("dense", "lexical", "is_code_match", "confidence", "box", "before", "after"),
    }


async def test_filters_reach_the_search_and_a_bad_one_is_refused(client: AsyncTestClient[Any]) -> None:
    found = await client.post(
        "/v1/search", json={"query": "炉门 E12", "filters": {"document": "ovens/手册.pdf"}}
    )
    assert {passage["document"] for passage in found.json()["passages"]} == {"ovens/手册.pdf"}
    none = await client.post("/v1/search", json={"query": "炉门 E12", "filters": {"document": ["nothing"]}})
    assert none.json() == {"passages": []}
    body = {"messages": [{"role": "user", "content": "炉门 E12?"}], "filters": {"document": "ovens/手册.pdf"}}
    answer = (await client.post("/v1/chat/completions", json=body)).json()
    context = answer["choices"][0]["message"]["context"]
    assert {citation["document"] for citation in context["citations"]} <= {"ovens/手册.pdf"}
    bad = await client.post("/v1/search", json={"query": "E12", "filters": {"product": 7}})
    assert bad.status_code == 400


@pytest.mark.parametrize("count", [-1, 21, 10**9, "many", 1.5, None])
async def test_neighbours_are_bounded(client: AsyncTestClient[Any], count: object) -> None:
    reply = await client.post("/v1/search", json={"query": "炉门 E12", "neighbours": count})
    assert reply.status_code == 400
    assert reply.headers["content-type"] == "application/problem+json"


async def test_search_in_another_collection(client: AsyncTestClient[Any]) -> None:
    found = await client.post("/v1/search", json={"query": "warranty", "collection": "plain"})
    missing = await client.post("/v1/search", json={"query": "warranty", "collection": "nowhere"})
    assert found.json()["passages"][0]["document"] == "company/policy.html"
    assert missing.status_code == 404
    assert missing.json() == {
        "type": "urn:deskmate:problem:not-found",
        "title": "Not found",
        "status": 404,
        "detail": "no collection 'nowhere'",
        "instance": "/v1/search",
        "next_command": "deskmate index add PATH --collection nowhere",
    }


async def test_a_chunk_is_read_in_full(client: AsyncTestClient[Any]) -> None:
    chunk = (await client.get("/v1/chunks/c3")).json()
    assert chunk["document"] == "ovens/手册.pdf"
    assert chunk["text"].endswith("请检查门封条。")
    assert (chunk["page"], chunk["heading_path"], chunk["version"]) == (8, ["故障", "E12"], 1)


@pytest.mark.parametrize("chunk_id", ["nothing", "..%2F..%2Fetc%2Fpasswd", "%00", "x" * 3000])
async def test_a_chunk_that_is_not_there_is_a_problem(client: AsyncTestClient[Any], chunk_id: str) -> None:
    reply = await client.get(f"/v1/chunks/{chunk_id}")
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"
    assert len(reply.json()["detail"]) < 200
