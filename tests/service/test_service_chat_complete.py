"""The rest of OpenAI's chat shape: formats, tools, releases as models, the strict form."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

URL = "/v1/chat/completions"
EN = "What does fault code E07 mean?"
ZH = "故障代码 E12 表示什么？"
SCHEMA = {
    "type": "object",
    "properties": {"meaning": {"type": "string"}, "severity": {"enum": ["low", "high"]}},
    "required": ["meaning", "severity"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "fault", "schema": SCHEMA, "strict": True}}
GOOD = '{"meaning": "Fault code E07 means that the motor is hotter than 95 °C. [1]", "severity": "high"}'
ZH_GOOD = '{"meaning": "故障代码 E12 表示炉门开关没有闭合。", "severity": "low"}'
TOOL = {"type": "function", "function": {"name": "stock", "parameters": {"type": "object"}}}
Serve = Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]]
Ask = Callable[..., dict[str, object]]


def message(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["choices"][0]["message"]
    return found


@pytest.mark.parametrize(
    ("question", "written"), [(EN, GOOD), (EN, f"Here it is:\n```json\n{GOOD}\n```"), (ZH, ZH_GOOD)]
)
async def test_the_format_asked_for_is_the_format_delivered(
    serve_in_memory: Serve, make_pipelines: Any, watched_engine: Any, ask: Ask, question: str, written: str
) -> None:
    engine = watched_engine([("E07|E12", written)])
    async with serve_in_memory(make_pipelines(engine)) as client:
        body = (await client.post(URL, json=ask(question, response_format=FORMAT))).json()
        streamed = (await client.post(URL, json=ask(question, response_format=FORMAT, stream=True))).text
    value = json.loads(message(body)["content"])
    assert value["severity"] in {"low", "high"}
    (citation,) = message(body)["context"]["citations"]
    assert f"[{citation['number']}]" in value["meaning"]
    assert '"enum":["low","high"]' in engine.requests[0].messages[0].content
    deltas = [json.loads(line[6:]) for line in streamed.split("\n\n") if line.startswith("data: {")]
    text = "".join(event["choices"][0]["delta"].get("content") or "" for event in deltas)
    assert json.loads(text) == value


@pytest.mark.parametrize(("question", "written"), [(EN, GOOD), (ZH, ZH_GOOD)])
async def test_strings_in_json_hold_no_html_and_no_foreign_link(
    serve_in_memory: Serve, make_pipelines: Any, watched_engine: Any, ask: Ask, question: str, written: str
) -> None:
    bad = "<script>steal()</script>![x](https://evil.example/p.png) See https://evil.example/login"
    engine = watched_engine([("E07|E12", written.replace('": "', f'": "{bad} ', 1))])
    named = {"const": "https://schema.example/v1"}
    with_address = SCHEMA | {
        "properties": SCHEMA["properties"] | {"kind": named, "link": {"pattern": "^https://evil"}},  # type: ignore[operator]
    }
    own = written.replace("}", ', "kind": "https://schema.example/v1"}')
    spoilt = written.replace("}", ', "link": "https://evil.example"}')
    by_schema = watched_engine([("E07|E12", own)])
    broken = watched_engine([("E07|E12", spoilt)])
    asked = ask(question, response_format={"type": "json_schema", "json_schema": {"schema": with_address}})
    said = []
    for one in (engine, by_schema, broken):
        async with serve_in_memory(make_pipelines(one)) as client:
            said.append(message((await client.post(URL, json=asked)).json()))
    clean = json.loads(said[0]["content"])["meaning"]
    assert [text for text in ("evil", "<", "![", "steal") if text in clean] == []
    assert "E07" in clean or "E12" in clean
    assert json.loads(said[1]["content"])["kind"] == named["const"]
    assert said[2]["content"] is None  # without its address it fits the schema no more
    assert said[2]["refusal"]


async def test_an_engine_that_writes_it_wrongly_is_asked_again_once(
    serve_in_memory: Serve, make_pipelines: Any, watched_engine: Any, ask: Ask
) -> None:
    wrong = '{"meaning": "Fault code E07 means that the motor is hotter than 95 °C.", "severity": "medium"}'
    again = watched_engine([("does not fit", GOOD), ("E07", wrong)])
    never = watched_engine([("E07", wrong)])
    async with serve_in_memory(make_pipelines(again)) as client:
        mended = await client.post(URL, json=ask(EN, response_format=FORMAT))
    async with serve_in_memory(make_pipelines(never)) as client:
        refused = await client.post(URL, json=ask(EN, response_format=FORMAT))
    assert json.loads(message(mended.json())["content"])["severity"] == "high"
    assert "medium" in again.requests[1].messages[-1].content
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "format_not_kept")
    assert len(never.requests) == 2


async def test_where_the_documents_do_not_cover_it_there_is_a_refusal_and_no_content(
    client: AsyncTestClient[Any], ask: Ask, read_events: Callable[[str], list[Any]]
) -> None:
    body = (await client.post(URL, json=ask("How far is Mars?", response_format=FORMAT))).json()
    stream = await client.post(URL, json=ask("火星有多远？", response_format=FORMAT, stream=True))
    deltas = [event["choices"][0]["delta"] for event in read_events(stream.text)]
    assert message(body)["content"] is None
    assert "not" in message(body)["refusal"]
    assert not any(delta.get("content") for delta in deltas)
    assert "文档" in deltas[-1]["refusal"]


async def test_an_engine_that_can_is_constrained(
    serve_in_memory: Serve, make_pipelines: Any, watched_engine: Any, ask: Ask
) -> None:
    engine = watched_engine([("E07", GOOD)], offers=frozenset({"json_schema"}))
    async with serve_in_memory(make_pipelines(engine)) as client:
        await client.post(URL, json=ask(EN, response_format=FORMAT))
        await client.post(URL, json=ask(EN, response_format={"type": "json_object"}))
        await client.post(URL, json=ask(EN, response_format={"type": "text"}))
    assert [request.json_schema for request in engine.requests] == [SCHEMA, {"type": "object"}, None]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "x"}}}},
            "response_format",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "http://x/y"}}}},
            "response_format",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"pattern": "(a+)+b"}}}},
            "response_format",
        ),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"tools": [TOOL], "response_format": FORMAT}, "response_format"),
        ({"tools": [TOOL]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"logprobs": True}, "logprobs"),
        ({"n": 2}, "n"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    client: AsyncTestClient[Any], ask: Ask, fields: dict[str, object], param: str
) -> None:
    reply = await client.post(URL, json=ask(EN, **fields))
    assert reply.status_code == 400
    assert param in (reply.json()["error"]["param"] or "")


async def test_tools_are_called_and_their_results_answered_with(
    serve_in_memory: Serve,
    make_pipelines: Any,
    watched_engine: Any,
    ask: Ask,
    read_events: Callable[[str], list[Any]],
) -> None:
    engine = watched_engine(
        [("7 seals in stock", "We have 7 seals in stock."), ("stock", 'call: stock {"part": "seal"}')],
        offers=frozenset({"tools"}),
    )
    question = "How many seals are in stock on Mars?"
    async with serve_in_memory(make_pipelines(engine)) as client:
        called = (await client.post(URL, json=ask(question, tools=[TOOL], tool_choice="auto"))).json()
        stream = await client.post(URL, json=ask(question, tools=[TOOL], stream=True))
        call = message(called)["tool_calls"][0]
        turns = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": "7 seals in stock"},
        ]
        answered = (await client.post(URL, json={"messages": turns, "tools": [TOOL]})).json()
        without = await client.post(URL, json={"messages": turns})
        unused = (await client.post(URL, json=ask(EN, tools=[TOOL], tool_choice="none"))).json()
    assert call["function"] == {"name": "stock", "arguments": '{"part": "seal"}'}
    assert (message(called)["content"], called["choices"][0]["finish_reason"]) == (None, "tool_calls")
    last = read_events(stream.text)[-1]["choices"][0]
    assert last["finish_reason"] == "tool_calls"
    assert last["delta"]["tool_calls"] == [{"index": 0, **call}]
    assert message(answered)["content"] == "We have 7 seals in stock."
    routes = [body["deskmate"]["route"]["name"] for body in (called, answered, unused)]
    assert routes == ["tool", "tool", "retrieval"]
    assert [turn.role for turn in engine.requests[2].messages[-3:]] == ["user", "assistant", "tool"]
    assert engine.requests[0].tools == (TOOL,)
    assert without.status_code == 400
    assert "95 °C" in message(unused)["content"]


@pytest.mark.parametrize("how", ["field", "header"])
async def test_the_strict_form_has_only_what_openai_has(
    client: AsyncTestClient[Any], ask: Ask, read_events: Callable[[str], list[Any]], how: str
) -> None:
    fields = {"strict": True} if how == "field" else {}
    headers = {"X-Deskmate-Strict": "true"} if how == "header" else {}
    whole = (await client.post(URL, json=ask(EN, **fields), headers=headers)).json()
    stream = await client.post(URL, json=ask(EN, stream=True, **fields), headers=headers)
    assert set(whole) == {"id", "created", "model", "choices", "usage", "object"}
    assert set(message(whole)) == {"content", "annotations", "role", "refusal"}
    for event in read_events(stream.text):
        assert "deskmate" not in event
        assert "context" not in event["choices"][0]["delta"]


async def test_an_unknown_release_is_no_model(client: AsyncTestClient[Any], ask: Ask) -> None:
    for name in ("rel-0123456789ab", "default@rel-0123456789ab", "default@x:rag"):
        reply = await client.post(URL, json=ask(EN, model=name))
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")
