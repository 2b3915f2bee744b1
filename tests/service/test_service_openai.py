"""The official client and a LangChain chat model on a real port: formats, tools, streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from assistant.core.settings import Settings

EN = "What does fault code E07 mean?"
ZH = "故障代码 E12 表示什么？"
GOOD = '{"meaning": "Fault code E07 means that the motor is hotter than 95 °C. [1]", "severity": "high"}'
TOOL = {
    "type": "function",
    "function": {
        "name": "stock",
        "description": "Parts in stock.",
        "parameters": {"type": "object", "properties": {"part": {"type": "string"}}, "required": ["part"]},
    },
}


class Fault(BaseModel):
    meaning: str
    severity: str


@pytest.fixture
def url(serve_live: Callable[..., Any], watched_engine: Any) -> str:
    rules = [
        ("7 seals", "We have 7 seals in stock."),
        ("seals", 'call: stock {"part": "seal"}'),
        ("JSON Schema", GOOD),
    ]
    server = serve_live(watched_engine(rules, offers=frozenset({"tools", "json_schema"})), Settings())
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=9) as official:
        official.models.list()  # retried until the service is there
        official.chat.completions.create(model="default", messages=[{"role": "user", "content": EN}])
    return f"{server.url}/v1"


def test_the_official_client_parses_a_format_and_calls_tools(url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="none") as official:
        parsed = official.chat.completions.parse(
            model="default", messages=[{"role": "user", "content": EN}], response_format=Fault
        )
        refused = official.chat.completions.parse(
            model="default", messages=[{"role": "user", "content": "火星有多远？"}], response_format=Fault
        )
        turns: list[Any] = [{"role": "user", "content": "How many seals are there?"}]
        called = official.chat.completions.create(model="default", messages=turns, tools=[TOOL])  # type: ignore[list-item]
        (call,) = called.choices[0].message.tool_calls or []
        turns += [
            called.choices[0].message,
            {"role": "tool", "tool_call_id": call.id, "content": "7 seals"},
        ]
        done = official.chat.completions.create(model="default", messages=turns, tools=[TOOL])  # type: ignore[list-item]
        with pytest.raises(openai.BadRequestError) as raised:
            official.chat.completions.create(model="default", messages=turns[:1], n=2)
    fault = parsed.choices[0].message.parsed
    assert fault
    assert fault.severity == "high"
    assert refused.choices[0].message.parsed is None
    assert "文档" in (refused.choices[0].message.refusal or "")
    assert called.choices[0].finish_reason == "tool_calls"
    assert json.loads(call.function.arguments) == {"part": "seal"}
    assert done.choices[0].message.content == "We have 7 seals in stock."
    assert (raised.value.param, raised.value.type) == ("n", "invalid_request_error")


async def test_the_official_client_streams_for_asyncio(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=url, api_key="none") as official:
        stream = await official.chat.completions.create(
            model="default",
            messages=[{"role": "user", "content": ZH}],
            stream=True,
            stream_options={"include_usage": True},
            extra_headers={"X-Deskmate-Strict": "true"},
        )
        chunks = [chunk async for chunk in stream]
        async with official.chat.completions.stream(
            model="default", messages=[{"role": "user", "content": EN}], response_format=Fault
        ) as events:
            async for _ in events:
                pass
            final = await events.get_final_completion()
    assert len({chunk.id for chunk in chunks}) == 1
    assert "炉门开关没有闭合" in "".join(
        choice.delta.content or "" for chunk in chunks for choice in chunk.choices
    )
    assert chunks[-1].usage
    assert chunks[-1].usage.total_tokens > 0
    assert not any(chunk.model_extra for chunk in chunks)
    parsed = final.choices[0].message.parsed
    assert parsed
    assert parsed.severity == "high"


@pytest.mark.slow
def test_a_langchain_chat_model_answers_streams_and_is_structured(url: str) -> None:
    module = pytest.importorskip("langchain_openai")
    model = module.ChatOpenAI(base_url=url, api_key="none", model="default", max_retries=0)
    answer = model.invoke(EN)
    streamed = "".join(chunk.text for chunk in model.stream(ZH))
    structured = model.with_structured_output(Fault).invoke(EN)
    called = model.bind_tools([TOOL]).invoke("How many seals are there?")
    assert "95 °C" in answer.content
    assert answer.usage_metadata["total_tokens"] > 0
    assert "炉门开关没有闭合" in streamed
    assert structured.severity == "high"
    assert called.tool_calls[0]["args"] == {"part": "seal"}
