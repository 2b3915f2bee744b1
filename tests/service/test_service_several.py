"""Two service processes on one database: what one keeps, the other knows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

DESKMATE = [sys.executable, "-c", "from assistant.cli import main; main()"]
QUESTION = {"question": "故障代码 E12 表示什么？"}

pytestmark = pytest.mark.slow


@pytest.fixture(params=["sqlite", "postgres"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[httpx.Client]]:
    (tmp_path / "a.md").write_text("# T6 烤箱\n\n故障代码 E12 表示炉门没有闭合。\n", "utf-8")
    environment = {
        **os.environ,
        "DESKMATE_HOME": str(tmp_path / "home"),
        "DESKMATE__ENGINE__KIND": "scripted",
        "DESKMATE__EMBEDDER__MODEL": "hashing",
    }
    if request.param == "postgres":
        cluster: Any = request.getfixturevalue("postgres")
        environment["DESKMATE_DATABASE_URL"] = cluster.new_database()
    add = [*DESKMATE, "index", "add", str(tmp_path / "a.md")]
    subprocess.run(add, env=environment, check=True, capture_output=True)
    serve = [*DESKMATE, "serve", "--port", "0"]
    processes = [
        subprocess.Popen(serve, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    clients = []
    for process in processes:
        assert process.stdout
        found = re.search(r"http://[\d.]+:\d+", process.stdout.readline())
        assert found
        clients.append(httpx.Client(base_url=found.group(), timeout=30))
    for client in clients:
        wait_for(lambda client=client: client.get("/readyz").status_code == 200)  # type: ignore[misc]
    yield clients
    for client, process in zip(clients, processes, strict=True):
        client.close()
        process.terminate()
        process.communicate()


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_two_processes_on_one_database(pair: list[httpx.Client]) -> None:
    one, other = pair
    with ThreadPoolExecutor(8) as pool:
        asked = list(
            pool.map(lambda place: pair[place % 2].post("/v1/answers", json=QUESTION).json(), range(40))
        )
    assert len({answer["id"] for answer in asked}) == 40
    assert all(other.get(f"/v1/answers/{answer['id']}").status_code == 200 for answer in asked)
    named = {"Idempotency-Key": "once"}
    with ThreadPoolExecutor(4) as pool:
        sent = list(
            pool.map(
                lambda place: pair[place % 2].post("/v1/conversations", json={}, headers=named), range(8)
            )
        )
    assert {reply.status_code for reply in sent} <= {201, 409}
    assert len({reply.json()["id"] for reply in sent if reply.status_code == 201}) == 1
    made = one.post("/v1/keys", json={"name": "desk", "role": "admin"}).json()
    mine = {"Authorization": f"Bearer {made['secret']}"}
    wait_for(lambda: other.get("/v1/models").status_code == 401)
    assert other.get("/v1/models", headers=mine).status_code == 200
    assert other.get("/v1/audit/verify", headers=mine).json()["broken_at"] is None
    one.delete(f"/v1/keys/{made['key']['id']}", headers=mine)
    wait_for(lambda: other.get("/v1/models", headers=mine).status_code == 401)
