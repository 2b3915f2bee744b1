"""Commands with ``--url`` against a service on a real port."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from click.testing import CliRunner, Result

from assistant.cli.app import root
from assistant.core.errors import NotFoundError
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.settings import EmbedderSettings, EngineSettings, IndexSettings, Settings
from assistant.service.app import create_app
from assistant.store.database import Database
from indexing.build import Builder
from indexing.embedding import HashingEmbedder

SETTINGS = Settings(
    embedder=EmbedderSettings(model="hashing"),
    engine=EngineSettings(kind="scripted"),
    index=IndexSettings(originals="all"),
)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The service over another data folder than that of the commands."""
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "own"))
    home = Home(tmp_path / "theirs").make()
    (tmp_path / "炉.md").write_text("# 烤炉\n\n故障代码 E12 表示炉门开关没有闭合。\n", "utf-8")
    database = Database(home.database_url)
    Builder("default", home, SETTINGS, database, HashingEmbedder(), NoProgress()).add([tmp_path / "炉.md"])
    database.close()
    listening = socket.create_server(("127.0.0.1", 0))
    place = f"http://127.0.0.1:{listening.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(create_app(SETTINGS, home=home), log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    for _ in range(500):
        if server.started and httpx.get(f"{place}/readyz").is_success:
            break
        time.sleep(0.02)
    yield place
    server.should_exit = True
    thread.join(10)
    listening.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, list(arguments))


def test_search_curated_answers_and_jobs_elsewhere(url: str) -> None:
    found = run("search", "故障代码 E12", "--url", url)
    rows = json.loads(run("search", "E12", "--url", url, "--json").output)["passages"]
    added = run("curated", "add", "保修期多久？", "--answer", "24 个月。", "--url", url)
    listed = json.loads(run("curated", "list", "--url", url, "--json").output)
    removed = run("curated", "remove", listed[0]["id"], "--url", url)
    httpx.post(f"{url}/v1/glossary/mine", json={})
    (job,) = json.loads(run("jobs", "list", "--url", url, "--json").output)["jobs"]
    cancelled = run("jobs", "cancel", job["id"], "--url", url)
    retried = run("jobs", "retry", job["id"], "--url", url)
    shown = run("jobs", "show", job["id"], "--url", url)
    assert "炉门开关没有闭合" in found.output, found.output
    assert rows[0]["document"] == "炉.md"
    assert "answers 1 wordings" in added.output
    assert "is removed" in removed.output
    assert run("curated", "list", "--url", url).output == ""
    assert "cancelled" in cancelled.output
    assert "queued" in retried.output
    assert f"{job['id']}  glossary.mine  default  queued" in shown.output
    assert isinstance(run("jobs", "show", "job-none", "--url", url).exception, NotFoundError)
    assert json.loads(run("jobs", "list", "--json").output)["jobs"] == []


def test_a_documents_file_comes_back_as_it_was(url: str, tmp_path: Path) -> None:
    target = tmp_path / "下载.md"
    told = run("index", "download", "炉.md", "--to", str(target), "--url", url)
    none = run("index", "download", "none.md", "--to", str(tmp_path / "none"), "--url", url)
    late = run("index", "download", "炉.md", "--version", "7", "--to", str(tmp_path / "late"), "--url", url)
    assert told.output.startswith(f"{target.stat().st_size} bytes of 炉.md are in ")
    assert target.read_bytes() == (tmp_path / "炉.md").read_bytes()
    assert isinstance(none.exception, NotFoundError)
    assert isinstance(late.exception, NotFoundError)
    assert not list(tmp_path.glob(".*.unfinished"))
    assert not (tmp_path / "late").exists()
