"""Answers in our own shape, conversations, feedback, hand-overs, usage."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from sqlalchemy import select

from assistant.core.errors import EngineBusy, EngineError
from assistant.core.home import Home
from assistant.service.paging import encode_cursor
from assistant.store.database import Database
from assistant.store.keys import Keys, NewKey
from assistant.store.service_tables import IdempotencyRow

Serve = Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]]
EN, ZH = "What does fault code E07 mean?", "故障代码 E12 表示什么？"


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def make_keys(*new: NewKey) -> list[dict[str, str]]:
    database = Database(Home.from_environment().make().database_url)
    with database.write() as session:
        made = [bearer(Keys(session).create(key)[1]) for key in new]
    database.close()
    return made


def named_events(text: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n", 1) for block in text.split("\n\n") if block]
    return [(head.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for head, data in blocks]


@pytest.mark.parametrize(
    ("question", "said", "document"),
    [(EN, "hotter than 95 °C", "pumps/service-manual.pdf"), (ZH, "炉门开关没有闭合", "ovens/手册.pdf")],
)
async def test_an_answer_is_stored_with_what_it_was_made_from(
    client: AsyncTestClient[Any], question: str, said: str, document: str
) -> None:
    reply = await client.post("/v1/answers", json={"question": question})
    body = reply.json()
    shown = (await client.get(reply.headers["location"])).json()
    assert reply.status_code == 201
    assert said in body["text"]
    assert body["citations"][0]["document"] == document
    assert len(body["passages"]) > 1
    assert shown["answer"]["text"] == body["text"]
    assert shown["documents"] == {document: [body["citations"][0]["version"]]}
    assert shown["lineage"]["adapter"] == "tuned"
    assert [row["id"] for row in (await client.get("/v1/answers")).json()["data"]] == [body["id"]]


async def test_a_stream_has_named_events_and_ends_with_what_was_stored(client: AsyncTestClient[Any]) -> None:
    reply = await client.post("/v1/answers", json={"question": EN, "stream": True})
    events = named_events(reply.text)
    names = [name for name, _ in events]
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert names[0] == "passages"
    assert names[-2:] == ["citations", "done"]
    assert set(names[1:-2]) == {"token"}
    done = events[-1][1]
    assert done["citations"] == events[-2][1]["citations"]
    assert (await client.get(f"/v1/answers/{done['id']}")).json()["answer"]["text"] == done["text"]


async def test_a_stream_that_breaks_off_says_so_in_an_event(
    serve_in_memory: Serve, make_pipelines: Callable[..., Any], watched_engine: Any
) -> None:
    engine = watched_engine(fails_after=2)
    engine.error = EngineError("out of memory")
    async with serve_in_memory(make_pipelines(engine)) as client:
        reply = await client.post("/v1/answers", json={"question": EN, "stream": True})
        stored = (await client.get("/v1/answers")).json()["data"]
    name, problem = named_events(reply.text)[-1]
    assert (name, problem["type"], problem["status"]) == ("error", "urn:deskmate:problem:engine-failed", 502)
    assert stored == []


async def test_chat_completions_are_stored_too(
    client: AsyncTestClient[Any], ask: Callable[..., dict[str, object]]
) -> None:
    body = (await client.post("/v1/chat/completions", json=ask(ZH, model="plain"))).json()
    shown = (await client.get(f"/v1/answers/{body['deskmate']['answer_id']}")).json()
    assert shown["answer"]["question"] == ZH
    assert (shown["answer"]["collection"], shown["lineage"]["adapter"]) == ("plain", None)


async def test_a_conversation_remembers_its_turns_and_is_bounded(
    serve_in_memory: Serve, make_pipelines: Callable[..., Any], watched_engine: Any
) -> None:
    engine = watched_engine()
    async with serve_in_memory(make_pipelines(engine)) as client:
        begun = await client.post("/v1/conversations", json={"title": "报修"})
        place = begun.headers["location"]
        named = begun.json()["id"]
        for question in (EN, "And how long does it cool?"):
            await client.post("/v1/answers", json={"question": question, "conversation_id": named})
        turns = (await client.get(f"{place}/turns")).json()["data"]
        both = {"question": EN, "conversation_id": named, "history": [{"question": "x"}]}
        wrong = await client.post("/v1/answers", json=both)
        gone = await client.delete(place)
        after = [await client.get(place), await client.get(f"/v1/answers/{turns[0]['id']}")]
    messages = [message.content for message in engine.requests[-1].messages] if engine.requests else []
    assert begun.status_code == 201
    assert [turn["question"] for turn in turns] == ["And how long does it cool?", EN]
    assert not messages or EN in messages
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "history")
    assert gone.status_code == 204
    assert [reply.status_code for reply in after] == [404, 404]


async def test_feedback_and_a_hand_over_with_its_summary(client: AsyncTestClient[Any]) -> None:
    answer = (await client.post("/v1/answers", json={"question": EN})).json()
    told = await client.post(
        "/v1/feedback",
        json={"answer_id": answer["id"], "rating": "down", "comment": "不对", "is_resolved": False},
    )
    empty = await client.post("/v1/feedback", json={"answer_id": answer["id"]})
    missing = await client.post("/v1/feedback", json={"answer_id": "ans-0", "rating": "up"})
    passed = await client.post("/v1/handovers", json={"answer_id": answer["id"], "note": "call back"})
    place, tag = passed.headers["location"], passed.headers["etag"]
    taken = await client.patch(place, json={"state": "taken", "assignee": "李"}, headers={"If-Match": tag})
    late = await client.patch(place, json={"state": "closed"}, headers={"If-Match": tag})
    seen = await client.get(place, headers={"If-None-Match": taken.headers["etag"]})
    listed = (await client.get("/v1/handovers", params={"state": "taken"})).json()["data"]
    none = (await client.get("/v1/handovers", params={"state": "open"})).json()["data"]
    usage = (await client.get("/v1/usage", params={"group_by": "language"})).json()["data"]
    assert (told.status_code, empty.status_code, missing.status_code) == (201, 400, 404)
    assert (await client.get("/v1/feedback")).json()["data"] == [told.json()]
    summary = passed.json()["summary"]
    assert (passed.status_code, summary["question"], summary["last_answer"]) == (201, EN, answer["text"])
    assert summary["cited"][0]["quote"] == answer["citations"][0]["quote"]
    assert (taken.status_code, late.status_code, seen.status_code) == (200, 412, 304)
    assert late.json()["type"] == "urn:deskmate:problem:precondition-failed"
    assert [row["assignee"] for row in listed] == ["李"]
    assert none == []
    (line,) = usage
    assert (line["group"], line["answers"], line["handovers"], line["down"], line["unresolved"]) == (
        *("en", 1, 1),
        *(1, 1),
    )


async def test_usage_of_days_and_of_nothing(client: AsyncTestClient[Any]) -> None:
    await client.post("/v1/answers", json={"question": "How far is Mars?"})
    await client.post("/v1/answers", json={"question": ZH})
    (whole,) = (await client.get("/v1/usage")).json()["data"]
    later = (await client.get("/v1/usage", params={"from": "2999-01-01"})).json()["data"]
    wrong = await client.get("/v1/usage", params={"from": "yesterday"})
    assert (whole["answers"], whole["abstentions"]) == (2, 1)
    assert whole["completion_tokens"] > 0
    assert all(line["answers"] == 0 for line in later)
    assert (wrong.status_code, wrong.headers["content-type"]) == (400, "application/problem+json")


async def test_pages_by_cursor_miss_nothing(client: AsyncTestClient[Any]) -> None:
    for number in range(5):
        await client.post("/v1/conversations", json={"title": str(number)})
    titles: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/v1/conversations", params=params)).json()
        titles += [row["title"] for row in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        await client.post("/v1/conversations", json={"title": "new"})  # shifts nothing
    assert titles == ["4", "3", "2", "1", "0"]
    for limit in (0, -1, 201, "many"):
        reply = await client.get("/v1/conversations", params={"limit": limit})
        assert (reply.status_code, reply.json()["errors"][0]["field"]) == (400, "limit")
    for bad in ("x", "YWZ0ZXI6LTE", "4" * 500):
        reply = await client.get("/v1/conversations", params={"cursor": bad})
        assert (reply.status_code, reply.json()["errors"][0]["field"]) == (400, "cursor")


async def test_lists_of_few_have_pages_too(client: AsyncTestClient[Any]) -> None:
    made = (await client.post("/v1/keys", json={"name": "k0", "role": "admin"})).json()["secret"]
    mine = {"Authorization": f"Bearer {made}"}
    for number in (1, 2):
        await client.post("/v1/keys", json={"name": f"k{number}"}, headers=mine)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        given = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/keys", params=given, headers=mine)).json()
        seen += [row["name"] for row in page["data"]]
        await client.post("/v1/keys", json={"name": "new"}, headers=mine)  # shifts nothing
        if (cursor := page["next_cursor"]) is None:
            break
    gone = await client.get("/v1/keys", params={"cursor": encode_cursor("key-gone")}, headers=mine)
    collections = (await client.get("/v1/collections?limit=1", headers=mine)).json()
    rest = await client.get(f"/v1/collections?cursor={collections['next_cursor']}", headers=mine)
    assert seen == ["k2", "k1", "k0"]
    assert gone.status_code == 400
    assert [row["name"] for row in [*collections["data"], *rest.json()["data"]]] == ["default", "plain"]


async def test_an_idempotency_key_does_a_post_once(client: AsyncTestClient[Any]) -> None:
    key = {"Idempotency-Key": "order-1"}
    first = await client.post("/v1/conversations", json={"title": "a"}, headers=key)
    again = await client.post("/v1/conversations", json={"title": "a"}, headers=key)
    other = await client.post("/v1/conversations", json={"title": "b"}, headers=key)
    bad = await client.post("/v1/conversations", json={}, headers={"Idempotency-Key": "two words"})
    listed = (await client.get("/v1/conversations")).json()["data"]
    assert (first.status_code, again.status_code, len(listed)) == (201, 201, 1)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert (other.status_code, other.json()["type"]) == (422, "urn:deskmate:problem:idempotency-key-reused")
    assert bad.status_code == 400


@pytest.mark.parametrize("question", [EN, ZH])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_came_at_a_bad_moment_may_be_sent_again(
    serve_in_memory: Serve, make_pipelines: Callable[..., Any], question: str, *, stream: bool
) -> None:
    pipelines = make_pipelines()
    body, key = {"question": question, "stream": stream}, {"Idempotency-Key": "patience"}
    async with serve_in_memory(pipelines) as client:
        pipelines.engine.error, pipelines.engine._fails_after = EngineBusy("too many wait"), 0
        busy = await client.post("/v1/answers", json=body, headers=key)
        pipelines.engine._fails_after = None
        first, again = [await client.post("/v1/answers", json=body, headers=key) for _ in range(2)]
        stored = (await client.get("/v1/answers")).json()["data"]
    assert (busy.status_code, "engine-busy" in busy.text) == (200 if stream else 429, True)
    assert (first.status_code, "engine-busy" in first.text) == (200 if stream else 201, False)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    assert len(stored) == 1


async def test_a_secret_is_made_once_and_never_kept(client: AsyncTestClient[Any]) -> None:
    key = {"Idempotency-Key": "order-2"}
    refused = [await client.post("/v1/keys", json={"name": "a"}, headers=key) for _ in range(2)]
    made = await client.post(
        "/v1/keys", json={"name": "a", "role": "admin"}, headers={"Idempotency-Key": "3"}
    )
    mine = {"Authorization": f"Bearer {made.json()['secret']}", "Idempotency-Key": "4"}
    first, again = [await client.post("/v1/keys", json={"name": "b"}, headers=mine) for _ in range(2)]
    other = await client.post("/v1/keys", json={"name": "c"}, headers=mine)
    names = [row["name"] for row in (await client.get("/v1/keys", headers=mine)).json()["data"]]
    database = Database(Home.from_environment().database_url)
    with database.read() as session:
        kept = list(session.scalars(select(IdempotencyRow.body)))
    database.close()
    assert refused[0].content == refused[1].content
    assert refused[1].headers["idempotent-replayed"] == "true"
    assert (made.status_code, first.status_code, again.status_code, other.status_code) == (201, 201, 409, 422)
    assert first.headers["location"] in again.json()["detail"]
    assert names == ["b", "a"]
    assert not any(b"dmk_" in body for body in kept)


async def test_forged_ids_of_other_tenants_are_not_there(serve_in_memory: Serve) -> None:
    first, second, owner, elsewhere = make_keys(
        NewKey(name="a"),
        NewKey(name="b"),
        NewKey(name="owner", role="owner"),
        NewKey(name="owner of another", role="owner", collections=("plain",)),
    )
    async with serve_in_memory() as client:
        begun = await client.post("/v1/conversations", json={}, headers=first)
        made = await client.post(
            "/v1/answers", json={"question": EN, "conversation_id": begun.json()["id"]}, headers=first
        )
        answer = made.json()["id"]
        places = [begun.headers["location"], f"{begun.headers['location']}/turns", made.headers["location"]]
        mine = [(await client.get(place, headers=first)).status_code for place in places]
        theirs = [(await client.get(place, headers=second)).status_code for place in places]
        forged = [
            (await client.post(path, json=body, headers=second)).status_code
            for path, body in (
                ("/v1/feedback", {"answer_id": answer, "rating": "up"}),
                ("/v1/handovers", {"answer_id": answer}),
                ("/v1/handovers", {"conversation_id": begun.json()["id"]}),
                ("/v1/answers", {"question": EN, "conversation_id": begun.json()["id"]}),
            )
        ]
        seen = [(await client.get(places[2], headers=who)).status_code for who in (owner, elsewhere)]
        used = (await client.get("/v1/usage", headers=elsewhere)).json()["data"]
        default = await client.post("/v1/answers", json={"question": EN}, headers=elsewhere)
    assert mine == [200, 200, 200]
    assert theirs == [404, 404, 404]
    assert forged == [404, 404, 404, 404]
    assert seen == [200, 404]
    assert all(line["answers"] == 0 for line in used)
    assert default.status_code == 404


async def test_embeddings_in_openais_shape(client: AsyncTestClient[Any]) -> None:
    reply = await client.post("/v1/embeddings", json={"input": ["a", "泵"], "model": "x"})
    packed = await client.post("/v1/embeddings", json={"input": "a", "encoding_format": "base64"})
    short = await client.post("/v1/embeddings", json={"input": "a", "dimensions": 1})
    body = reply.json()
    assert [row["embedding"] for row in body["data"]] == [[0.6, 0.8], [0.6, 0.8]]
    assert (body["object"], body["usage"]["total_tokens"]) == ("list", 2)
    assert isinstance(packed.json()["data"][0]["embedding"], str)
    assert (short.status_code, short.json()["error"]["param"]) == (400, "dimensions")


async def test_metrics_count_by_operation_and_not_by_path(client: AsyncTestClient[Any]) -> None:
    await client.post("/v1/answers", json={"question": EN})
    await client.get("/v1/chunks/c1")
    await client.get("/v1/chunks/nothing")
    reply = await client.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'deskmate_http_requests_total{method="GET",operation="getChunk",status="200"} 1.0' in reply.text
    assert 'deskmate_http_requests_total{method="GET",operation="getChunk",status="404"} 1.0' in reply.text
    assert 'deskmate_answers_total{abstained="false",arm="rag+ft",language="en"} 1.0' in reply.text
    assert 'deskmate_jobs{state="queued"} 0.0' in reply.text
    assert "c1" not in reply.text
