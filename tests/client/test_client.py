"""The client against the service itself, without a port."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import inspect
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from assistant.client import AsyncDeskmateClient, DeskmateClient, calls, desk_routes, routes
from assistant.client.calls import NotOurs, Refused, Unreachable
from assistant.core.errors import DeskmateError, InputError, NotFoundError
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.settings import EmbedderSettings, EngineSettings, Settings
from assistant.service.app import create_app
from assistant.service.schemas_answers import AnswerReply, PassagesEvent, TokenEvent
from assistant.store.database import Database
from assistant.store.keys import Keys, NewKey
from indexing.build import Builder
from indexing.embedding import HashingEmbedder

URL, OK = "http://127.0.0.1:8080", 200
SETTINGS = Settings(embedder=EmbedderSettings(model="hashing"), engine=EngineSettings(kind="scripted"))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "pump.md").write_text("# Pump\n\nFault code E07 means that the motor is too hot.\n", "utf-8")
    (folder / "炉.md").write_text("# 烤炉\n\n故障代码 E12 表示炉门开关没有闭合。\n", "utf-8")
    return folder


@contextlib.asynccontextmanager
async def serving(home: Home, files: Path) -> AsyncIterator[httpx.AsyncBaseTransport]:
    database = Database(home.database_url)
    Builder("default", home, SETTINGS, database, HashingEmbedder(), NoProgress()).add([files])
    database.close()
    app = create_app(SETTINGS, home=home)
    async with app.lifespan():
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=URL) as opening:
            while (await opening.get("/readyz")).status_code != OK:  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.01)
        yield transport


def test_every_route_has_a_call() -> None:
    """Those left out are not JSON: a form, streams, a document's text, pages for machines."""
    app = create_app(SETTINGS, home=Home.from_environment().make())
    wanted = {
        (method.upper(), re.sub(r"\{\w+\}", "x", path))
        for path, item in app.openapi_schema.to_schema()["paths"].items()
        for method in item
        if path.startswith("/v1")
    }
    found = set()
    for module in (calls, routes, desk_routes):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ != module.__name__ or not is_call(function):
                continue
            needed = [
                parameter
                for parameter in inspect.signature(function).parameters.values()
                if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
            ]
            call = function(**{row.name: made_up(str(row.annotation)) for row in needed})
            assert isinstance(call, calls.Call), name
            found.add((call.method, call.path))
    assert found - wanted == set()
    assert {path for _, path in wanted - found} == {
        "/v1/chat/completions",
        "/v1/documents/files",
        "/v1/documents/x/text",
        "/v1/jobs/x/events",
        "/v1/session",
    }


def made_up(annotation: str) -> Any:
    return None if "None" in annotation else {} if "Mapping" in annotation else "x"


def is_call(function: Any) -> bool:
    return "Call[" in str(function.__annotations__.get("return")) and "path" not in function.__annotations__


async def test_every_method(home: Home, files: Path) -> None:
    async with serving(home, files) as transport, AsyncDeskmateClient(URL, transport=transport) as client:
        await use_every_method(client)


async def use_every_method(client: AsyncDeskmateClient) -> None:
    (first, *_) = await client.search("故障代码 E12", top_k=1)
    answer = await client.answer("What does fault code E07 mean?")
    events = [event async for event in client.stream("故障代码 E12 表示什么？")]
    shown = await client.show_answer(answer.id)
    told = await client.send_feedback(answer.id, "up", is_resolved=True)
    passed = await client.hand_over(answer.id, "please call")
    job = await client.add_documents({"new.md": "# New\n\nText."}, idempotency_key="1")
    again = await client.add_documents({"new.md": "# New\n\nText."}, idempotency_key="1")
    assert first.document == "炉.md"
    assert "too hot" in answer.text
    assert isinstance(events[0], PassagesEvent)
    assert isinstance(events[1], TokenEvent)
    assert isinstance(events[-1], AnswerReply)
    assert "炉门开关没有闭合" in events[-1].text
    assert shown.answer.text == answer.text
    assert (told.rating, told.is_resolved, passed.state, job.state) == ("up", True, "open", "queued")
    assert (await client.job(job.id)).id == again.id == job.id
    assert [row.name for row in await client.collections()] == ["default"]
    assert [row.name async for row in client.documents()] == ["pump.md", "炉.md"]


async def test_problems_are_our_errors(home: Home, files: Path) -> None:
    async with serving(home, files) as transport, AsyncDeskmateClient(URL, transport=transport) as client:
        await meet_every_problem(client, transport, home)


async def meet_every_problem(
    client: AsyncDeskmateClient, transport: httpx.AsyncBaseTransport, home: Home
) -> None:
    with pytest.raises(NotFoundError, match="no collection 'nothing'"):
        await client.answer("x", "nothing")
    with pytest.raises(InputError, match="rating"):
        await client.send_feedback("ans-0")
    with pytest.raises(InputError, match="empty"):
        [event async for event in client.stream(" ")]
    database = Database(home.database_url)
    with database.write() as session:
        _, secret = Keys(session).create(NewKey(name="x"))
    database.close()
    async with AsyncDeskmateClient(URL, "dmk_wrong", transport=transport) as wrong:
        with pytest.raises(Refused, match="API key"):
            await wrong.search("pump")
    async with AsyncDeskmateClient(URL, secret, transport=transport) as agent:
        assert await agent.search("pump")
        with pytest.raises(Refused, match="'manage'"):
            await agent.add_documents({"a.md": "x"})


def test_no_service_is_told() -> None:
    with DeskmateClient("http://127.0.0.1:9") as client, pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        client.search("pump")


def test_the_blocking_client_reads_the_same() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if b'"stream":true' in request.content:
            return httpx.Response(
                200,
                headers={"Content-Type": "text/event-stream"},
                text='event: token\ndata: {"text":"水"}\n\n: beat\n\nevent: odd\ndata: {}\n\n',
            )
        return httpx.Response(429, json={"type": "x", "title": "x", "status": 429, "detail": "wait"})

    seen: list[httpx.Request] = []
    with DeskmateClient("http://x", "dmk_1", transport=httpx.MockTransport(answer)) as client:
        assert list(client.stream("泵?")) == [TokenEvent(text="水")]
        with pytest.raises(Exception, match="wait"):
            client.answer("x")
    assert {request.headers["authorization"] for request in seen} == {"Bearer dmk_1"}


def test_the_client_needs_no_server_library() -> None:
    script = "import sys; sys.modules['litestar'] = None; import assistant.client"
    done: Any = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_kept_knowledge_and_large_files(home: Home, files: Path, tmp_path: Path) -> None:
    large, empty = tmp_path / "大.md", tmp_path / "empty.md"
    empty.write_bytes(b"")
    large.write_bytes(("# 手册\n\n" + "故障代码 E12 表示炉门开关没有闭合。\n" * 20).encode())
    async with serving(home, files) as transport, AsyncDeskmateClient(URL, transport=transport) as client:
        for number in range(3):
            await client.send(routes.curate([f"How long is warranty {number}?"], "24 months."))
        kept = [row async for row in client.pages(routes.curated_answers())]
        await client.send(routes.remove_curated(kept[0].id))
        left = [row.id async for row in client.pages(routes.curated_answers())]
        term = await client.send(routes.add_term("趴窝", "停机"))
        rejected = await client.send(routes.decide_term(term.id, "rejected"))
        job = await client.upload(large, name="手册/大.md")
        await client.send(routes.cancel_job(job.id))
        ended = await client.wait(job.id)
        release = await client.send(routes.make_release(without_adapter=True))
        same = await client.send(routes.release(release.id))
        with pytest.raises(NotFoundError):
            await client.send(routes.release("rel-none"))
        with pytest.raises(InputError, match="empty"):
            await client.upload(empty)
    assert len(kept) == 3
    assert left == [row.id for row in kept[1:]]
    assert (rejected.said, rejected.state) == ("趴窝", "rejected")
    assert (ended.state, ended.kind) == ("cancelled", "index.add")
    assert same == release


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b"<html>Please log in</html>"),
        (502, b"<html>Bad Gateway</html>"),
        (200, b"\xff\xfe"),
        (200, b"{}"),
    ],
)
def test_what_is_not_the_service_is_told(status: int, content: bytes) -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(status, content=content))
    with DeskmateClient(URL, transport=transport) as client:
        with pytest.raises(NotOurs, match=f"status {status}"):
            client.search("x")
        with pytest.raises(NotOurs):
            list(client.stream("x"))


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.iterdir()]


@pytest.mark.parametrize("cut", [False, True])
async def test_a_file_that_does_not_come_whole_is_not_written(cut: bool, tmp_path: Path) -> None:
    whole, target = "手册".encode() * 100_000, tmp_path / "手册.pdf"
    headers = {"ETag": f'"{hashlib.sha256(whole).hexdigest()}"'}
    sent = whole[:-1] if cut else whole
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, content=sent, headers=headers))
    with DeskmateClient(URL, transport=transport) as client:
        async with AsyncDeskmateClient(URL, transport=transport) as other:
            if cut:
                with pytest.raises(NotOurs):
                    client.download("doc-1", target)
                with pytest.raises(NotOurs):
                    await other.download("doc-1", target, 2)
            else:
                assert client.download("doc-1", target) == await other.download("doc-1", target) == len(whole)
    assert contents(tmp_path) == ([] if cut else [whole])


def test_pieces_of_a_large_file_are_sent_in_order_and_taken_up_again(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40_000
    file = tmp_path / "large.pdf"
    file.write_bytes(content)
    received = bytearray(content[:1000])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH":
            assert int(request.headers["Upload-Offset"]) == len(received)
            received.extend(request.read())
        if request.url.path.endswith("/complete"):
            return httpx.Response(409, json={"type": "x", "title": "x", "status": 409, "detail": "done"})
        shown = {"id": "upl-1", "collection": "c", "name": "n", "size_bytes": len(content)}
        more = {"offset": len(received), "sha256": None, "created": "", "expires": ""}
        return httpx.Response(200, json=shown | more)

    transport = httpx.MockTransport(answer)
    with DeskmateClient(URL, transport=transport) as client, pytest.raises(DeskmateError, match="done"):
        client.upload(file, resume="upl-1")
    assert bytes(received) == content
