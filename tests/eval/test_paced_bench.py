"""What the bench of added time counts, and the engine of a steady pace that it stands before."""

from __future__ import annotations

import asyncio
import itertools
import json

import httpx
import pytest

from eval.paced_bench import ARRIVALS, Asker, Pace, Turn, has_text, show
from eval.paced_engine import PacedEngine

AT_ONCE = Pace(first_seconds=0.0, token_seconds=0.0, tokens=4, seconds=0.01, rounds=1)


def test_the_engine_gives_text_in_openais_shape_and_lengths_by_question() -> None:
    engine = PacedEngine(0.0, 0.0, 8)

    async def ask(question: str) -> list[str]:
        body = {"messages": [{"role": "user", "content": question}], "stream": True}
        transport = httpx.ASGITransport(app=engine)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://engine") as http:
            assert (await http.get("/v1/models")).json()["data"][0]["id"] == "paced"
            reply = await http.post("/v1/chat/completions", json=body)
        return [line.removeprefix("data: ") for line in reply.text.splitlines() if line]

    *events, done = asyncio.run(ask("阀门？"))
    counted = json.loads(events[-1])["usage"]["completion_tokens"]
    assert done == "[DONE]"
    assert sum(has_text(f"data: {event}".encode()) for event in events) == counted
    lengths = {
        engine.length({"messages": [{"role": "user", "content": str(number)}]}) for number in range(200)
    }
    assert lengths == set(range(4, 13))


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        (b'data: {"choices":[{"delta":{"content":""}}]}\n\n', False),
        (b'data: {"choices":[{"delta":{"content":""}}]}\n\ndata: {"delta":{"content": "a"}}', True),
        ('data: {"delta":{"content":"阀"}}'.encode(), True),
        (b'data: {"usage":{"prompt_tokens":3}}', False),
    ],
)
def test_what_opens_an_answer_is_no_text(chunk: bytes, expected: bool) -> None:
    assert has_text(chunk) is expected


@pytest.mark.parametrize("name", ARRIVALS)
def test_however_askers_come_no_answer_is_lost(name: str) -> None:
    done: list[int] = []

    async def ask() -> float:
        await asyncio.sleep(0)
        done.append(1)
        return 0.25

    firsts = asyncio.run(ARRIVALS[name](ask, 3, AT_ONCE))
    assert firsts
    assert set(firsts) == {0.25}
    assert len(done) == len(firsts) + (3 if name == "steady" else 0)


def test_a_refused_question_ends_the_bench() -> None:
    async def ask() -> float:
        transport = httpx.MockTransport(lambda _request: httpx.Response(503))
        async with httpx.AsyncClient(transport=transport, base_url="http://desk") as http:
            return await Asker(http, "pumps:base", itertools.repeat("Pump?")).ask()

    with pytest.raises(httpx.HTTPStatusError):
        asyncio.run(ask())


def test_the_figures_set_one_way_beside_the_other() -> None:
    def turn(way: str, first: float, seconds: float) -> Turn:
        return Turn(way=way, firsts=(first,) * 20, seconds=seconds, cpu_seconds=0.4)

    text = show("steady", 8, [turn("engine", 0.1, 10.0), turn("deskmate", 0.1075, 10.5)])
    assert "+7.5 ms" in text
    assert "95%" in text
    assert "20.0 CPU ms" in text
