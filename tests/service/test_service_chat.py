from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from assistant.core.errors import EngineError
from assistant.core.settings import Settings
from assistant.core.settings_answer import AnswerSettings
from assistant.engine.scripted import ScriptedEngine

EN = "What does fault code E07 mean?"
ZH = "故障代码 E12 表示什么？"
URL = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("question", "said", "document", "page", "version"),
    [
        (EN, "hotter than 95 °C", "pumps/service-manual.pdf", 12, 2),
        (ZH, "炉门开关没有闭合", "ovens/手册.pdf", 8, 1),
    ],
)
async def test_whole_answer_has_marks_annotations_and_citations(
    client: AsyncTestClient[Any],
    ask: Callable[..., dict[str, object]],
    question: str,
    said: str,
    document: str,
    page: int | None,
    version: int,
) -> None:
    reply = await client.post(URL, json=ask(question, model="default"))
    body = reply.json()
    message = body["choices"][0]["message"]
    text = message["content"]
    assert reply.status_code == 200
    assert said in text
    assert body["id"].startswith("chatcmpl-")
    assert abs(body["created"] - time.time()) < 10
    assert (body["object"], body["model"]) == ("chat.completion", "default")
    assert body["choices"][0]["finish_reason"] == "stop"
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    (annotation,) = message["annotations"]
    link = annotation["url_citation"]
    assert re.fullmatch(r"\[\d\]", text[link["start_index"] : link["end_index"]])
    assert link["title"].startswith(document)
    (citation,) = message["context"]["citations"]
    assert link["url"] == f"http://127.0.0.1:8080/#chunk={citation['chunk_id']}"
    assert (citation["document"], citation["page"], citation["version"]) == (document, page, version)
    chunk = (await client.get(f"/v1/chunks/{citation['chunk_id']}")).json()
    assert chunk["text"][citation["start"] : citation["end"]] == citation["quote"]
    assert said in citation["quote"]
    assert (body["deskmate"]["arm"], body["deskmate"]["abstained"]) == ("rag+ft", False)
    assert body["deskmate"]["answer_id"].startswith("ans-")


async def test_stream_shows_citations_before_text_and_the_right_ones_at_the_end(
    client: AsyncTestClient[Any],
    ask: Callable[..., dict[str, object]],
    read_events: Callable[[str], list[Any]],
) -> None:
    whole = (await client.post(URL, json=ask(EN))).json()["choices"][0]["message"]
    reply = await client.post(URL, json=ask(EN, stream=True))
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.text.endswith("data: [DONE]\n\n")
    events = read_events(reply.text)
    assert len({event["id"] for event in events}) == 1
    assert all("usage" not in event for event in events)
    choices = [event["choices"][0] for event in events]
    first, *texts, last = choices
    assert first["delta"]["role"] == "assistant"
    assert first["delta"]["content"] == ""
    assert {item["document"] for item in first["delta"]["context"]["citations"]} > {
        "pumps/service-manual.pdf"
    }
    streamed = "".join(item["delta"]["content"] for item in texts)
    assert streamed == "Fault code E07 means that the motor is hotter than 95 °C. [3]"
    assert events[-1]["deskmate"]["text"] == whole["content"]
    assert [item["finish_reason"] for item in choices[:-1]] == [None] * (len(choices) - 1)
    assert last["finish_reason"] == "stop"
    assert events[-1]["deskmate"]["context"] == whole["context"]
    (annotation,) = last["delta"]["annotations"]
    assert streamed[annotation["url_citation"]["start_index"] :] == "[3]"
    assert "content" not in last["delta"]


async def test_usage_comes_in_a_chunk_without_choices(
    client: AsyncTestClient[Any],
    ask: Callable[..., dict[str, object]],
    read_events: Callable[[str], list[Any]],
) -> None:
    reply = await client.post(URL, json=ask(EN, stream=True, stream_options={"include_usage": True}))
    *others, last = read_events(reply.text)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] > 5
    assert all(event["usage"] is None and event["choices"] for event in others)


@pytest.mark.parametrize(
    ("name", "question"),
    [("en", EN), ("zh", ZH), ("abstained_en", "How far is Mars?"), ("abstained_zh", "火星有多远？")],
)
async def test_stream_transcript(
    client: AsyncTestClient[Any],
    ask: Callable[..., dict[str, object]],
    check_golden: Callable[[str, str], None],
    name: str,
    question: str,
) -> None:
    reply = await client.post(URL, json=ask(question, stream=True, stream_options={"include_usage": True}))
    text = re.sub(r"(chatcmpl|ans)-[0-9a-f]+", r"\1-ID", reply.text)
    text = re.sub(r'"created":\d+', '"created":0', text)
    text = re.sub(r'"(retrieve|total|first_token)":[\d.e-]+', r'"\1":0', text)
    check_golden(f"sse_{name}.txt", _PIECES.sub(_join, text))


# how many pieces a text comes in hangs on how busy the service is
_PIECE = r'data: [^\n]*"delta":\{"content":"([^"]*)"\}[^\n]*\n\n'
_PIECES = re.compile(f"(?:{_PIECE})+")


def _join(pieces: re.Match[str]) -> str:
    texts = re.findall(_PIECE, pieces.group())
    first = pieces.group().partition("\n\n")[0]
    return first.replace(f'"content":"{texts[0]}"', f'"content":"{"".join(texts)}"') + "\n\n"


@pytest.mark.parametrize(
    ("question", "said"), [("How far is Mars?", "not in the documents"), ("火星有多远？", "文档中没有")]
)
async def test_what_the_documents_do_not_cover_is_said_so(
    client: AsyncTestClient[Any], ask: Callable[..., dict[str, object]], question: str, said: str
) -> None:
    body = (await client.post(URL, json=ask(question))).json()
    message = body["choices"][0]["message"]
    assert body["deskmate"]["abstained"] is True
    assert said in message["content"]
    assert message["annotations"] == []
    assert message["context"]["citations"] == []


async def test_a_mark_that_does_not_hold_is_corrected_at_the_end(
    serve_in_memory: Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]],
    make_pipelines: Callable[..., Any],
    ask: Callable[..., dict[str, object]],
    read_events: Callable[[str], list[Any]],
) -> None:
    said = "The warranty covers 24 months from the date of delivery [1]. Bananas are blue [2]."
    engine = ScriptedEngine([("warranty", said)])
    async with serve_in_memory(make_pipelines(engine)) as client:
        reply = await client.post(URL, json=ask("How long is the warranty?", stream=True))
    events = read_events(reply.text)
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == said
    last = events[-1]
    (citation,) = last["deskmate"]["context"]["citations"]
    checked = last["deskmate"]["text"]
    assert citation["document"] == "company/policy.html"
    assert checked.count("[") == 1
    assert f"[{citation['number']}]" in checked
    assert "Bananas are blue." in checked
    # offsets are of the text as it was streamed, which is what the client holds
    for annotation in last["choices"][0]["delta"]["annotations"]:
        link = annotation["url_citation"]
        assert said[link["start_index"] : link["end_index"]] == f"[{citation['number']}]"


@pytest.mark.parametrize(
    ("error", "kind", "shown"),
    [(EngineError("out of memory"), "server_error", "out of memory"), (None, "server_error", "its log says")],
)
async def test_an_error_after_the_first_byte_is_an_event_and_no_text(
    serve_in_memory: Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]],
    make_pipelines: Callable[..., Any],
    ask: Callable[..., dict[str, object]],
    read_events: Callable[[str], list[Any]],
    watched_engine: Callable[..., Any],
    error: Exception | None,
    kind: str,
    shown: str,
) -> None:
    engine = watched_engine(fails_after=3)
    engine.error = error or engine.error
    async with serve_in_memory(make_pipelines(engine)) as client:
        reply = await client.post(URL, json=ask(EN, stream=True))
        after = await client.post(URL, json=ask("How far is Mars?"))
    *events, last = read_events(reply.text)
    assert reply.status_code == 200
    assert last["error"]["type"] == kind
    assert shown in last["error"]["message"]
    assert "secret" not in reply.text
    assert "[DONE]" not in reply.text
    assert all("choices" in event for event in events)
    assert after.status_code == 200


async def test_an_error_before_the_first_byte_is_a_status(
    serve_in_memory: Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]],
    make_pipelines: Callable[..., Any],
    ask: Callable[..., dict[str, object]],
    watched_engine: Callable[..., Any],
) -> None:
    engine = watched_engine(fails_after=0)
    async with serve_in_memory(make_pipelines(engine)) as client:
        unforeseen = await client.post(URL, json=ask(EN))
        engine.error = EngineError("out of memory")
        foreseen = await client.post(URL, json=ask(EN))
    assert (unforeseen.status_code, foreseen.status_code) == (500, 502)
    assert "secret" not in unforeseen.text
    assert foreseen.json()["error"] == {
        "message": "out of memory",
        "type": "server_error",
        "param": None,
        "code": "engine_failed",
    }


async def test_generation_options_reach_the_engine(
    serve_in_memory: Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]],
    make_pipelines: Callable[..., Any],
    ask: Callable[..., dict[str, object]],
    watched_engine: Callable[..., Any],
) -> None:
    engine = watched_engine()
    fields = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "max_tokens": 3, "stop": "###", "user": "u1"}
    async with serve_in_memory(make_pipelines(engine)) as client:
        body = (await client.post(URL, json=ask(EN, **fields, logit_bias={}, tools=None))).json()
        await client.post(URL, json=ask(EN, max_completion_tokens=10**6, stop=["a", "b"]))
    cut, limited = engine.requests
    assert (cut.temperature, cut.top_p, cut.seed, cut.max_new_tokens, cut.stop) == (0.5, 0.9, 7, 3, ("###",))
    assert body["choices"][0]["finish_reason"] == "length"
    assert limited.max_new_tokens == Settings().engine.max_new_tokens
    assert limited.stop == ("a", "b")


async def test_system_messages_stand_behind_our_own_instructions(
    serve_in_memory: Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]],
    make_pipelines: Callable[..., Any],
    watched_engine: Callable[..., Any],
) -> None:
    engine = watched_engine()
    turns = [
        {"role": "system", "content": "Answer like a pirate."},
        {"role": "user", "content": "Hello"},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "assistant", "content": "Ahoy"},
        {"role": "assistant", "content": None},
        {"role": "user", "content": [{"type": "text", "text": "What does fault code E07 mean?"}]},
    ]
    async with serve_in_memory(make_pipelines(engine)) as client:
        reply = await client.post(URL, json={"messages": turns})
    assert reply.status_code == 200
    first, *rest = engine.requests[0].messages
    assert first.role == "system"
    assert first.content.startswith("You are a support assistant.")
    assert first.content.endswith("Answer like a pirate.\n\nBe kind.")
    assert [(turn.role, turn.content) for turn in rest] == [
        ("user", "Hello"),
        ("assistant", "Ahoy"),
        ("user", EN),
    ]


async def test_a_long_history_keeps_the_system_message_and_the_latest_turns(
    serve_in_memory: Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]],
    make_pipelines: Callable[..., Any],
    watched_engine: Callable[..., Any],
) -> None:
    engine = watched_engine()
    turns = [{"role": "system", "content": "Stay."}]
    for number in range(50):
        turns += [{"role": "user", "content": f"q{number}"}, {"role": "assistant", "content": f"a{number}"}]
    turns.append({"role": "user", "content": EN})
    async with serve_in_memory(make_pipelines(engine)) as client:
        await client.post(URL, json={"messages": turns})
    sent = engine.requests[0].messages
    assert sent[0].content.endswith("Stay.")
    assert sent[-2].content == "a49"
    assert len(sent) <= 2 * AnswerSettings().history_turns + 2


@pytest.mark.parametrize(
    ("model", "arm", "adapter"),
    [
        (None, "rag+ft", "tuned"),
        ("default:rag", "rag", None),
        ("default:ft", "ft", "tuned"),
        ("plain", "rag", None),
        ("plain:base", "base", None),
    ],
)
async def test_a_model_is_a_collection_and_an_arm(
    serve_in_memory: Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]],
    make_pipelines: Callable[..., Any],
    ask: Callable[..., dict[str, object]],
    watched_engine: Callable[..., Any],
    model: str | None,
    arm: str,
    adapter: str | None,
) -> None:
    engine = watched_engine([("E07", "It is hot.")])
    async with serve_in_memory(make_pipelines(engine)) as client:
        body = (await client.post(URL, json=ask(EN, model=model))).json()
    assert body["deskmate"]["arm"] == arm
    assert body["model"] == (model or "default")
    assert engine.requests[0].adapter == adapter


@pytest.mark.parametrize(
    ("fields", "status", "param", "code"),
    [
        ({"model": "nowhere"}, 404, "model", "model_not_found"),
        ({"model": "../../etc"}, 404, "model", "model_not_found"),
        ({"model": "default:best"}, 404, "model", "model_not_found"),
        ({"model": "plain:ft"}, 404, "model", "model_not_found"),
        ({"n": 2}, 400, "n", "bad_input"),
        ({"temperature": 9}, 400, "temperature", None),
        ({"max_tokens": 0}, 400, "max_tokens", None),
        ({"stop": ["1", "2", "3", "4", "5"]}, 400, "stop", None),
        ({"messages": []}, 400, "messages", None),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, 400, "messages", "bad_input"),
        ({"messages": [{"role": "user", "content": "  "}]}, 400, None, "bad_input"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, 400, "messages[0].role", None),
        (
            {"messages": [{"role": "function", "content": "x"}, {"role": "user", "content": "y"}]},
            400,
            "messages.0.role",
            "bad_input",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            400,
            "messages.0.content",
            "bad_input",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_cannot_be_asked(
    client: AsyncTestClient[Any],
    ask: Callable[..., dict[str, object]],
    fields: dict[str, Any],
    status: int,
    param: str | None,
    code: str | None,
    *,
    stream: bool,
) -> None:
    reply = await client.post(URL, json={**ask(EN, stream=stream), **fields})
    error = reply.json()["error"]
    assert reply.status_code == status
    assert (error["param"], error["code"]) == (param, code)
    assert error["type"] == "invalid_request_error"
    assert error["message"]


async def test_an_unknown_collection_is_told_with_where_the_known_ones_stand(
    client: AsyncTestClient[Any], ask: Callable[..., dict[str, object]]
) -> None:
    reply = await client.post(URL, json=ask(EN, model="$(reboot)"))
    message = reply.json()["error"]["message"]
    assert message == "no collection '$(reboot)'; GET /v1/models lists what can be asked"


async def test_models_are_collections_and_arms(client: AsyncTestClient[Any]) -> None:
    body = (await client.get("/v1/models")).json()
    assert body["object"] == "list"
    assert [item["id"] for item in body["data"]] == [
        *("default", "default:base", "default:rag", "default:ft", "default:rag+ft"),
        *("plain", "plain:base", "plain:rag"),
    ]
    assert json.dumps(body["data"][4]).startswith('{"id": "default:rag+ft", "created":')


async def test_a_model_is_shown_under_its_name(client: AsyncTestClient[Any]) -> None:
    listed = (await client.get("/v1/models")).json()["data"]
    shown = [(await client.get(f"/v1/models/{row['id']}")).json() for row in listed]
    missing = await client.get("/v1/models/gpt")
    assert shown == listed
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("role", ["developer", "system"])
async def test_what_is_said_alone_is_what_is_asked(
    client: AsyncTestClient[Any], ask: Callable[..., dict[str, object]], role: str
) -> None:
    said = [{"role": role, "content": "What does fault code E07 mean?"}]
    alone = await client.post("/v1/chat/completions", json={"messages": said})
    never = await client.post(
        "/v1/chat/completions", json={"messages": [*said, {"role": "assistant", "content": "Hi"}]}
    )
    assert "95 °C" in alone.json()["choices"][0]["message"]["content"]
    assert never.status_code == 400
