"""Releases over the API: made, compared, promoted by a job, asked by name, taken back."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from litestar.testing import TestClient

from assistant.cli.app import root
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.settings import EmbedderSettings, EngineSettings, Settings
from assistant.jobs.job_queue import JobQueue
from assistant.service.app import create_app
from assistant.store.adapters import Adapter, Adapters
from assistant.store.database import Database
from assistant.store.keys import Keys, NewKey
from indexing.build import Builder
from indexing.embedding import load_embedder

SETTINGS = Settings(engine=EngineSettings(kind="scripted"), embedder=EmbedderSettings(model="hashing"))
OPTIONS = ["--set", "engine.kind=scripted", "--set", "embedder.model=hashing"]
EN = "Which torque do the flange bolts of the Q7 take?"


class Desk:
    """A data folder with two adapters and two states of its documents, and the commands over it."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home").make()
        self.files = folder / "files"
        self.files.mkdir(exist_ok=True)
        self.database = Database(self.home.database_url)

    def add_adapters(self) -> None:
        for number, name in enumerate(("first", "second")):
            weights = self.home.adapters / name
            weights.mkdir(parents=True)
            for file in ("adapter_config.json", "adapter_model.safetensors"):
                (weights / file).write_text(f"{{}} {number}")
            with self.database.write() as session:
                Adapters(session).save(
                    Adapter(
                        name=name,
                        collection="default",
                        folder=str(weights),
                        base_fingerprint="x",
                        dataset_hash=name,
                        created=f"2026-01-0{number + 1}",
                        is_active=number == 0,
                    )
                )

    def write(self, torque: int, months: int) -> None:
        (self.files / "q7.md").write_text(f"# Q7 pump\n\nThe flange bolts of the Q7 take {torque} Nm.\n")
        (self.files / "t6.md").write_text(f"# T6 烤箱\n\nT6 烤箱的门封条每 {months} 个月更换一次。\n")
        embedder = load_embedder(SETTINGS, self.home)
        Builder("default", self.home, SETTINGS, self.database, embedder, NoProgress()).add([self.files])

    def run(self, *words: str, fails: bool = False) -> Result:
        done = CliRunner().invoke(root, [*OPTIONS, *words])
        assert bool(done.exception) == fails, done.output + repr(done.exception)
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def release(self, adapter: str) -> str:
        return str(self.json("release", "create", "--adapter", adapter)["id"])

    def promote(self, release: str) -> None:
        self.run("release", "promote", release, "--without-gate")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first state of the documents, indexed once for all tests."""
    folder = tmp_path_factory.mktemp("built")
    desk = Desk(folder)
    desk.write(48, 12)
    desk.database.empty_log()
    desk.database.close()
    return folder


@pytest.fixture
def desk(tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "home"))
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    desk = Desk(tmp_path)
    desk.add_adapters()
    return desk


def asked(client: TestClient[Any], question: str) -> tuple[str, str | None]:
    reply = client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": question}]})
    assert reply.status_code == 200, reply.text
    return reply.json()["choices"][0]["message"]["content"], reply.json()["deskmate"].get("release")


def wait_for(holds: Callable[[], bool], seconds: float = 10) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


def test_releases_over_the_api_from_making_to_taking_back(desk: Desk) -> None:
    with TestClient(create_app(SETTINGS, home=desk.home), base_url="http://127.0.0.1:8080") as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        old = client.post("/v1/releases", json={"adapter": "first"}).json()
        desk.promote(old["id"])
        desk.write(52, 18)
        made = client.post("/v1/releases", json={"without_adapter": True})
        place, new = made.headers["location"], made.json()
        seen = {"If-Match": made.headers["etag"]}
        by_model = client.post(
            "/v1/chat/completions",
            json={"model": f"default@{new['id']}", "messages": [{"role": "user", "content": EN}]},
        ).json()
        differing = client.get(f"{place}/diff", params={"against": old["id"]}).json()["data"]
        job = client.post(f"{place}/promote", headers=seen)
        assert job.status_code == 202, job.text
        desk.run("worker", "--once")
        proven = client.get(job.headers["location"]).json()
        wait_for(lambda: asked(client, EN)[1] == new["id"])
        late = client.post(f"{place}/promote", headers=seen)
        listed = [(row["id"], row["state"]) for row in client.get("/v1/releases").json()["data"]]
        wrong = client.post(f"/v1/releases/{old['id']}/rollback")
        back = client.post(f"{place}/rollback").json()
        history = client.get(f"{place}/history").json()["data"]
        wait_for(lambda: asked(client, EN)[1] == old["id"])
    assert (made.status_code, new["state"], new["content"]["adapter"]) == (201, "candidate", None)
    assert "52 Nm" in by_model["choices"][0]["message"]["content"]
    assert by_model["deskmate"]["release"] == new["id"]
    assert {row["name"] for row in differing} >= {"adapter", "snapshot"}
    assert (proven["state"], proven["result"]["before"]) == ("succeeded", old["id"])
    assert (late.status_code, wrong.status_code) == (412, 409)
    assert sorted(listed) == sorted([(new["id"], "active"), (old["id"], "superseded")])
    assert (back["id"], back["state"]) == (old["id"], "active")
    assert [(event["action"], event["actor"]) for event in history][:2] == [
        ("rollback", "local"),
        ("promote", "local"),
    ]


def test_a_candidate_answers_those_only_who_manage_it(desk: Desk) -> None:
    candidate = desk.release("first")
    with desk.database.write() as session:
        secrets = {role: Keys(session).create(NewKey(name=role, role=role))[1] for role in ("agent", "owner")}
    body = {"model": candidate, "messages": [{"role": "user", "content": EN}]}
    with TestClient(create_app(SETTINGS, home=desk.home), base_url="http://127.0.0.1:8080") as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        seen = {
            role: client.post(
                "/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {secret}"}
            ).status_code
            for role, secret in secrets.items()
        }
    assert seen == {"agent": 404, "owner": 200}


def test_a_promotion_decided_on_another_state_fails_and_is_not_tried_for_ever(desk: Desk) -> None:
    old, new = desk.release("first"), str(desk.json("release", "create", "--without-adapter")["id"])
    queue = JobQueue(desk.database, desk.home)
    arguments = {"release": new, "before": None, "actor": "key-1"}
    job = queue.enqueue("release.promote", "default", arguments)
    desk.promote(old)
    desk.run("worker", "--once")
    ended = queue.get(job.id)
    assert ended.state == "failed"
    assert ended.error
    assert "meanwhile" in ended.error.message
