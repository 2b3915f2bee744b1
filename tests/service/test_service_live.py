"""The service on a real port, with the official client."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from click.testing import CliRunner

from assistant.cli.app import root
from assistant.core.errors import NotFoundError
from assistant.core.settings import EngineSettings, ServiceSettings, Settings

EN = "What does fault code E07 mean?"
ZH = "故障代码 E12 表示什么？"
TURNS = {EN: [{"role": "user", "content": EN}], ZH: [{"role": "user", "content": ZH}]}


@pytest.fixture
def server(serve_live: Callable[..., Any]) -> Any:
    return serve_live()


@pytest.fixture
def official(server: Any) -> Any:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=3) as client:
        wait_until_ready(server.url)
        yield client


def wait_until_ready(url: str) -> None:
    for _ in range(200):
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    pytest.fail("the service did not get ready")


@pytest.mark.parametrize(("question", "said"), [(EN, "95 °C"), (ZH, "炉门开关没有闭合")])
def test_the_official_client_reads_an_answer(official: openai.OpenAI, question: str, said: str) -> None:
    answer = official.chat.completions.create(model="default", messages=TURNS[question])
    message = answer.choices[0].message
    assert said in message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens > 0
    (annotation,) = message.annotations
    link = annotation.url_citation
    assert annotation.type == "url_citation"
    assert message.content[link.start_index : link.end_index].startswith("[")
    assert httpx.get(link.url).status_code == 200
    assert message.context["citations"][0]["quote"]


@pytest.mark.parametrize("question", [EN, ZH])
def test_the_official_client_reads_a_stream(official: openai.OpenAI, question: str) -> None:
    whole = official.chat.completions.create(model="default", messages=TURNS[question])
    chunks = list(
        official.chat.completions.create(
            model="default", messages=TURNS[question], stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].choices[0].delta.context["citations"]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-2].deskmate.get("text") or text) == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


async def test_the_official_async_client(server: Any) -> None:
    wait_until_ready(server.url)
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        models = [model.id async for model in client.models.list()]
        stream = await client.chat.completions.create(model="plain:rag", messages=TURNS[EN], stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        answers = await asyncio.gather(
            *(client.chat.completions.create(model="plain", messages=TURNS[EN]) for _ in range(20))
        )
    assert "plain:rag" in models
    assert "95 °C" in text
    assert len({answer.id for answer in answers}) == 20


@pytest.mark.parametrize("stream", [False, True])
def test_the_official_client_raises_the_right_errors(official: openai.OpenAI, *, stream: bool) -> None:
    ask = official.with_options(max_retries=0).chat.completions.create
    with pytest.raises(openai.NotFoundError) as missing:
        ask(model="nowhere", messages=TURNS[EN], stream=stream)
    with pytest.raises(openai.BadRequestError) as refused:
        ask(model="default", messages=TURNS[EN], n=3, stream=stream)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    assert (refused.value.type, refused.value.param) == ("invalid_request_error", "n")


def test_the_official_client_raises_when_a_stream_breaks_off(
    serve_live: Callable[..., Any], watched_engine: Callable[..., Any]
) -> None:
    server = serve_live(watched_engine(fails_after=3))
    wait_until_ready(server.url)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        pieces: list[str | None] = []
        chunks = client.chat.completions.create(model="default", messages=TURNS[EN], stream=True)
        with pytest.raises(openai.APIError, match="its log says what"):
            pieces.extend(chunk.choices[0].delta.content for chunk in chunks)
    assert "".join(pieces) == "Fault code E07"


def test_the_official_client_with_a_key(serve_live: Callable[..., Any]) -> None:
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
    server = serve_live(settings=Settings(service=ServiceSettings(api_key_sha256=(digest,))))
    wait_until_ready(server.url)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="secret", max_retries=0) as client:
        assert client.models.list().data
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="guess").models.list()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_cancels_the_generation(
    serve_live: Callable[..., Any], watched_engine: Callable[..., Any], *, stream: bool
) -> None:
    engine = watched_engine(token_seconds=0.2)
    server = serve_live(engine)
    wait_until_ready(server.url)
    body = json.dumps({"messages": TURNS[EN], "stream": stream})
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"))
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    if stream:
        connection.getresponse().readline()
    assert engine.begun.wait(20)
    connection.close()
    assert engine.ended.wait(5)
    assert engine.ends == ["closed"]


def test_the_stream_arrives_piece_by_piece(
    serve_live: Callable[..., Any], watched_engine: Callable[..., Any]
) -> None:
    server = serve_live(watched_engine(token_seconds=0.02))
    wait_until_ready(server.url)
    times = []
    body = {"messages": TURNS[EN], "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body) as reply:
        times.extend(time.perf_counter() for line in reply.iter_lines() if line.startswith("data: {"))
    assert len(times) > 10
    # the citations are there long before the text is complete
    assert times[1] - times[0] < (times[-1] - times[0]) / 2
    assert times[-1] - times[0] > 0.02 * 10


def test_too_many_waiting_questions_are_turned_away(
    serve_live: Callable[..., Any], watched_engine: Callable[..., Any]
) -> None:
    settings = Settings(engine=EngineSettings(queue_limit=1), service=ServiceSettings(concurrent_answers=1))
    server = serve_live(watched_engine(token_seconds=0.05), settings)
    wait_until_ready(server.url)
    statuses: list[tuple[int, str | None]] = []

    def ask() -> None:
        reply = httpx.post(f"{server.url}/v1/chat/completions", json={"messages": TURNS[EN]}, timeout=30)
        statuses.append((reply.status_code, reply.headers.get("retry-after")))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert sorted(statuses, key=str) == [(200, None), (200, None), (429, "5"), (429, "5")]


def test_stopping_ends_open_streams(
    serve_live: Callable[..., Any], watched_engine: Callable[..., Any]
) -> None:
    engine = watched_engine(token_seconds=0.2)
    server = serve_live(engine)
    wait_until_ready(server.url)
    with httpx.stream(
        "POST", f"{server.url}/v1/chat/completions", json={"messages": TURNS[EN], "stream": True}
    ) as reply:
        next(reply.iter_raw())
        server.__exit__()
    assert server.pipelines.is_closed
    assert engine.ended.wait(5)


def test_the_command_line_asks_a_service_elsewhere(serve_live: Callable[..., Any]) -> None:
    server = serve_live()
    wait_until_ready(server.url)
    arguments = ["ask", ZH, "--url", server.url]
    said = CliRunner().invoke(root, arguments)
    plain = CliRunner().invoke(root, [*arguments, "--json", "--collection", "plain"])
    missing = CliRunner().invoke(root, [*arguments, "--collection", "nothing"])
    assert "炉门开关没有闭合" in said.output
    assert "] ovens/手册.pdf v1, p. 8" in said.output
    assert json.loads(plain.output)["collection"] == "plain"
    assert isinstance(missing.exception, NotFoundError)
