"""The service over a real data folder, and ``deskmate serve``."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import openai
import pytest
from litestar.testing import TestClient

from assistant.cli.app import root
from assistant.core.errors import InputError, NotFoundError, ResourceError
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.records import Chunk
from assistant.core.settings import EmbedderSettings, EngineSettings, Settings
from assistant.service.app import create_app
from assistant.store.adapters import Adapter, Adapters
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Documents, NewVersion
from indexing.build import Builder
from indexing.embedding import load_embedder

# the command reads its database from the settings of its own process: the data folder's file
pytestmark = pytest.mark.sqlite

SETTINGS = Settings(engine=EngineSettings(kind="scripted"), embedder=EmbedderSettings(model="hashing"))
VARIABLES = {"DESKMATE__ENGINE__KIND": "scripted", "DESKMATE__EMBEDDER__MODEL": "hashing"}
START = [sys.executable, "-c", "from assistant.cli import main; main()"]
EN = "How long must the Q7 pump cool after fault code E07?"
ZH = "T6 烤箱 E12 表示什么？"
CHUNKS = (
    Chunk(
        id="k1",
        document="manual.md",
        version=1,
        position=0,
        text="Let the Q7 pump cool for 30 minutes after fault code E07.",
        heading_path=("Q7 pump", "Fault codes"),
    ),
    Chunk(
        id="k2",
        document="manual.md",
        version=1,
        position=1,
        text="E12 表示 T6 烤箱的炉门没有闭合。",
        heading_path=("T6 烤箱",),
        language="zh",
    ),
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a data folder with one small collection, its chunks put in without parsing."""
    home = Home(tmp_path / "home").make()
    database = Database(home.database_url)
    with database.write() as session:
        documents = Documents(session)
        collection = documents.make_collection("default")
        new = NewVersion(
            document="manual.md", number=1, sha256="0" * 64, recipe="x", size_bytes=1, title="Manual"
        )
        texts = [chunk.text for chunk in CHUNKS]
        Chunks(session).save(documents.save_version(collection.id, new), CHUNKS, texts)
    builder(home, database).publish(always=True)
    database.close()
    return home


def builder(home: Home, database: Database) -> Builder:
    return Builder("default", home, SETTINGS, database, load_embedder(SETTINGS, home), NoProgress())


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def wait_until_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + 30
    while (reply := client.get("/readyz")).status_code != 200:
        assert time.monotonic() < deadline, reply.text
        time.sleep(0.02)


@pytest.mark.parametrize(("question", "said"), [(EN, "30 minutes"), (ZH, "炉门没有闭合")])
def test_an_answer_from_a_real_data_folder(home: Home, question: str, said: str) -> None:
    app = create_app(SETTINGS, home=home)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        body = {"messages": [{"role": "user", "content": question}]}
        answer = client.post("/v1/chat/completions", json=body).json()
        (citation,) = answer["choices"][0]["message"]["context"]["citations"]
        chunk = client.get(f"/v1/chunks/{citation['chunk_id']}").json()
        found = client.post("/v1/search", json={"query": question, "top_k": 1}).json()["passages"]
        models = [model["id"] for model in client.get("/v1/models").json()["data"]]
    assert said in answer["choices"][0]["message"]["content"]
    assert said in chunk["text"]
    assert chunk["text"][citation["start"] : citation["end"]] == citation["quote"]
    assert (citation["document"], citation["version"]) == ("manual.md", 1)
    assert found[0]["document"] == "manual.md"
    assert models == ["default", "default:base", "default:rag"]


def test_a_tuned_adapter_adds_arms_and_a_deleted_document_takes_its_chunks(
    home: Home, tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    database = Database(home.database_url)
    adapter = Adapter(
        name="a1",
        collection="default",
        folder=str(tmp_path),
        base_fingerprint="x",
        dataset_hash="y",
        created="2026-01-01",
        is_active=True,
    )
    with database.write() as session:
        Adapters(session).save(adapter)
    with TestClient(create_app(SETTINGS, home=home), base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        models = [model["id"] for model in client.get("/v1/models").json()["data"]]
        found = client.post("/v1/search", json={"query": EN}).json()["passages"][0]["chunk_id"]
        answer = client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": EN}]})
        before = client.get(f"/v1/chunks/{found}")
        builder(home, database).remove("manual.md")
        after = client.get(f"/v1/chunks/{found}")
    database.close()
    assert models[-2:] == ["default:ft", "default:rag+ft"]
    assert answer.json()["deskmate"]["arm"] == "rag+ft"
    assert (before.status_code, after.status_code) == (200, 404)


@pytest.fixture
def serving(home: Home) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the service on any free port; give the process and its address."""
    process = subprocess.Popen(
        [*START, "serve", "--port", "0"],
        env={**os.environ, "DESKMATE_HOME": str(home.root), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 60)[0], "nothing was printed"
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line
        yield process, found.group()
    finally:
        process.kill()
        process.communicate()


def test_the_command_serves_page_and_answers_until_ctrl_c(serving: tuple[subprocess.Popen[str], str]) -> None:
    process, url = serving
    with httpx.Client(base_url=url) as client:
        wait_until_ready(client)
        assert "<title>Deskmate</title>" in client.get("/").text
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as official:
        answer = official.chat.completions.create(model="default", messages=[{"role": "user", "content": EN}])
    assert "30 minutes" in str(answer.choices[0].message.content)
    process.send_signal(signal.SIGINT)
    printed, complained = process.communicate(timeout=20)
    assert (process.returncode, printed, complained) == (0, "stopped\n", "")


def serve(*arguments: str) -> None:
    root.main(["serve", *arguments], standalone_mode=False)


@pytest.fixture
def at_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DESKMATE_HOME", str(home.root))
    return home


def test_a_busy_port_is_named_with_a_free_one(at_home: Home) -> None:
    del at_home
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(ResourceError, match=f"port {port} on 127.0.0.1 is busy") as refused:
            serve("--port", str(port))
    found = re.fullmatch(r"deskmate serve --port (\d+)", str(refused.value.next_command))
    assert found
    assert int(found.group(1)) != port


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (["--collection", "pumps"], NotFoundError, "there is default; run: deskmate serve --collection"),
        (["--host", "203.0.113.7"], InputError, "no API key is set"),
        (["--port", "70000"], click.BadParameter, "70000"),
    ],
)
def test_what_cannot_be_served(
    at_home: Home, arguments: list[str], error: type[Exception], said: str
) -> None:
    del at_home
    with pytest.raises(error, match=said):
        serve(*arguments)


@pytest.mark.parametrize(
    ("host", "said"),
    [("203.0.113.7", "no address of this machine"), ("no.such.host.invalid", "is not known")],
)
def test_a_host_that_is_not_here(
    at_home: Home, monkeypatch: pytest.MonkeyPatch, host: str, said: str
) -> None:
    del at_home
    monkeypatch.setenv("DESKMATE__SERVICE__API_KEY_SHA256", "0" * 64)
    with pytest.raises(InputError, match=said):
        serve("--host", host)


def test_without_an_index_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path))
    with pytest.raises(NotFoundError) as refused:
        serve()
    assert refused.value.next_command == "deskmate index add PATH --collection default"
