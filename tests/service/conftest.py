"""A small collection in memory behind the service, and the service on a real port."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import re
import shutil
import socket
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from litestar.testing import AsyncTestClient

from assistant.answering.pipeline import Pipeline
from assistant.core.access import Caller
from assistant.core.errors import DeskmateError, NotFoundError
from assistant.core.records import Arm, Chunk, Filters, Neighbours, Passage
from assistant.core.settings import ServiceSettings, Settings
from assistant.engine.protocol import Engine, GenerationRequest, StreamEnd, TextDelta
from assistant.engine.scripted import ScriptedEngine
from assistant.service.app import create_app
from assistant.service.running import server_config
from assistant.service.wiring import Embedded
from assistant.store.reading import FoundChunk

CHUNKS = (
    Chunk(
        id="c1",
        document="pumps/service-manual.pdf",
        version=2,
        position=3,
        # the sign before the quote is one character and two UTF-16 units: offsets must not slip
        text="Table of fault codes 🔧. Fault code E07 means that the motor is hotter than 95 °C. "
        "Let the pump cool for 30 minutes.",
        heading_path=("Faults", "E07"),
        page=12,
    ),
    Chunk(
        id="c2",
        document="company/policy.html",
        version=1,
        position=0,
        text="The warranty covers 24 months from the date of delivery.",
        heading_path=("Warranty",),
    ),
    Chunk(
        id="c3",
        document="ovens/手册.pdf",
        version=1,
        position=7,
        text="故障代码 E12 表示炉门开关没有闭合。请检查门封条。",
        heading_path=("故障", "E12"),
        page=8,
        language="zh",
    ),
)
_WORD = re.compile(r"[a-z0-9]+|[一-鿿]")


class MemoryPassages:
    """Finds the chunks that share most words with the query; knows nothing about Mars and 火星."""

    def search(
        self, query: str, top_k: int | None = None, filters: Filters | None = None
    ) -> tuple[Passage, ...]:
        wanted = set(_WORD.findall(query.lower()))
        ranked = sorted(CHUNKS, key=lambda chunk: -len(wanted & set(_WORD.findall(chunk.text.lower()))))
        allowed = (filters or {}).get("document")
        kept = [chunk for chunk in ranked if allowed is None or chunk.document in allowed]
        return tuple(
            Passage(rank=rank, score=1 / rank, chunk=chunk) for rank, chunk in enumerate(kept[:top_k], 1)
        )

    def search_many(
        self, queries: Sequence[str], top_k: int | None = None, filters: Filters | None = None
    ) -> list[tuple[Passage, ...]]:
        return [self.search(query, top_k, filters) for query in queries]

    def neighbours(self, passage: Passage, count: int, filters: Filters | None = None) -> Neighbours:
        del passage, count, filters
        return Neighbours()

    def evidence(self, query: str, passages: Sequence[Passage]) -> float:
        del passages
        return 0.0 if "Mars" in query or "火星" in query else 1.0

    def unknown_codes(self, question: str, filters: Filters | None = None) -> tuple[str, ...]:
        del question, filters
        return ()


FILE_SHA256 = "f" * 64


class WatchedEngine(ScriptedEngine):
    """Notes what it is asked, and how each of its streams ended; says nothing while its gate is shut."""

    def __init__(self, *args: object, fails_after: int | None = None, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.requests: list[GenerationRequest] = []
        self.ends: list[str] = []
        self.begun, self.ended = threading.Event(), threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception = RuntimeError("a secret of the inside")
        self._fails_after = fails_after

    def stream(self, request: GenerationRequest) -> Generator[TextDelta | StreamEnd, None, None]:
        self.requests.append(request)
        self.begun.set()
        return self._watch(super().stream(request))

    def _watch(
        self, events: Generator[TextDelta | StreamEnd, None, None]
    ) -> Generator[TextDelta | StreamEnd, None, None]:
        end = "closed"
        self.gate.wait(20)
        try:
            for count, event in enumerate(events):
                if count == self._fails_after:
                    raise self.error
                yield event
            end = "finished"
        finally:
            self.ends.append(end)
            self.ended.set()


class MemoryPipelines:
    """Two collections over the same passages; ``default`` has a tuned adapter, ``plain`` has none."""

    def __init__(self, settings: Settings, engine: Engine, adapter: Path) -> None:
        self.settings = settings
        self.engine = engine
        self.failure: DeskmateError | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.is_closed = False
        self.stamps: dict[str, str] = {}
        engine.load_adapter("tuned", str(adapter))

    def collections(self) -> tuple[str, ...]:
        return ("default", "plain")

    def arms(self) -> dict[str, tuple[Arm, ...]]:
        return {"plain": ("base", "rag"), "default": ("base", "rag", "ft", "rag+ft")}

    def open(self, collection: str) -> Pipeline:
        if not self.gate.wait(10):
            raise NotFoundError("the gate stayed shut")
        if self.failure:
            raise self.failure
        return Pipeline(
            engine=self.engine,
            searcher=MemoryPassages(),
            settings=self.settings,
            adapter="tuned" if collection == "default" else None,
        )

    def split(self, collection: str) -> None:
        return None

    def tidy(self) -> None:
        pass

    def stamp(self, collection: str) -> str:
        return self.stamps.get(collection, "")

    def embed(self, texts: Sequence[str], *, are_queries: bool) -> Embedded:
        vectors = tuple((0.6, 0.8 if are_queries else -0.8) for _ in texts)
        return Embedded(model="memory", vectors=vectors, token_count=sum(map(len, texts)))

    def chunk(self, chunk_id: str, caller: Caller) -> FoundChunk | None:
        found = (chunk for chunk in CHUNKS if chunk.id == chunk_id)
        named = (
            FoundChunk(chunk=chunk, collection="default", document_id=1, sha256=FILE_SHA256)
            for chunk in found
        )
        return next(named, None)

    def close(self) -> None:
        self.gate.set()
        self.is_closed = True
        self.engine.close()


Maker = Callable[..., MemoryPipelines]


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Let no test write into the home of whoever runs it, nor two of them into one database."""
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "service-home"))
    if request.config.getoption("--postgres"):
        url = request.getfixturevalue("postgres").new_database()
        monkeypatch.setenv("DESKMATE_DATABASE_URL", url)


@pytest.fixture
def make_pipelines(tmp_path: Path) -> Maker:
    """Make the collections over an engine and settings."""
    (tmp_path / "adapter_config.json").write_text("{}")

    def make(engine: Engine | None = None, settings: Settings | None = None) -> MemoryPipelines:
        return MemoryPipelines(settings or Settings(), engine or WatchedEngine(), tmp_path)

    return make


Client = Callable[..., contextlib.AbstractAsyncContextManager[AsyncTestClient]]  # type: ignore[type-arg]


@pytest.fixture
def serve_in_memory(make_pipelines: Maker) -> Client:
    """Open a client of the service without a port; waits until it is ready."""

    @contextlib.asynccontextmanager
    async def serve(
        pipelines: MemoryPipelines | None = None,
        service: ServiceSettings | None = None,
        *,
        waits: bool = True,
    ) -> AsyncIterator[AsyncTestClient]:  # type: ignore[type-arg]
        settings = Settings(service=service or ServiceSettings())
        source = pipelines or make_pipelines(settings=settings)
        app = create_app(settings, pipelines=source)
        async with AsyncTestClient(app, base_url="http://127.0.0.1:8080") as client:
            while waits and (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.005)
            yield client

    return serve


@pytest.fixture
async def client(serve_in_memory: Client) -> AsyncIterator[AsyncTestClient]:  # type: ignore[type-arg]
    async with serve_in_memory() as opened:
        yield opened


class LiveServer:
    """The service on a real port, in a thread."""

    def __init__(self, pipelines: MemoryPipelines, settings: Settings, port: int = 0) -> None:
        self.pipelines = pipelines
        self._socket = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        app = create_app(settings, pipelines=pipelines)
        config = server_config(app)
        config.log_level, config.timeout_graceful_shutdown, config.lifespan = "critical", 1, "on"
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    @property
    def engine(self) -> WatchedEngine:
        assert isinstance(self.pipelines.engine, WatchedEngine)
        return self.pipelines.engine

    def __enter__(self) -> LiveServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
        assert not self._thread.is_alive()


@pytest.fixture
def serve_live(make_pipelines: Maker) -> Iterator[Callable[..., LiveServer]]:
    """Start the service on a port; all are stopped at the end of the test."""
    with contextlib.ExitStack() as stack:

        def serve(
            engine: WatchedEngine | None = None, settings: Settings | None = None, port: int = 0
        ) -> LiveServer:
            chosen = settings or Settings()
            server = LiveServer(make_pipelines(engine, chosen), chosen, port)
            return stack.enter_context(server)

        yield serve


def ask(question: str, **fields: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}], **fields}


def read_events(text: str) -> list[dict[str, object]]:
    """Return the parsed events of a whole stream but for ``[DONE]``."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.fixture(name="ask")
def _ask() -> Callable[..., dict[str, object]]:
    return ask


@pytest.fixture(name="read_events")
def _read_events() -> Callable[[str], list[dict[str, object]]]:
    return read_events


@pytest.fixture
def watched_engine() -> type[WatchedEngine]:
    return WatchedEngine


def _beside(name: str) -> Any:
    """Import a module that lies here; ``tests`` is no package to import it from."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def _built_desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first state of the documents of ``release_desk.py``, indexed once for all tests."""
    folder = tmp_path_factory.mktemp("built")
    desk = _beside("release_desk").Desk(folder)
    desk.write(48, 12)
    desk.database.empty_log()
    desk.database.close()
    return folder


@pytest.fixture
def desk(tmp_path: Path, _built_desk: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DESKMATE_DATABASE_URL", raising=False)  # its rows are copied with the folder
    shutil.copytree(_built_desk, tmp_path, dirs_exist_ok=True)
    desk = _beside("release_desk").Desk(tmp_path)
    desk.add_adapters()
    return desk


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start the identity provider of ``oidc_provider.py``."""
    module = _beside("oidc_provider")
    monkeypatch.setenv("DESKMATE_OIDC_CLIENT_SECRET", module.PASSWORD)
    opened = module.FakeProvider()
    yield opened
    opened.close()
