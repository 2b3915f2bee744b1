"""Datasets, runs, adapters and evaluations as they lie on the disk, over the API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from assistant.core.home import Home
from assistant.core.jsonl import read_jsonl
from assistant.core.records import Case
from assistant.core.settings import EmbedderSettings, EngineSettings, Settings
from assistant.jobs.job_queue import JobQueue
from assistant.service.app import create_app
from assistant.store.adapters import Adapter, Adapters
from assistant.store.database import Database
from assistant.store.documents import Documents
from assistant.store.keys import Keys, NewKey

SETTINGS = Settings(embedder=EmbedderSettings(model="hashing"), engine=EngineSettings(kind="scripted"))
MANIFEST = {
    "id": "88da97c8",
    "collection": "default",
    "snapshot": "000001",
    "example_count": 3,
    "recipes": {"grounded": 3},
    "languages": {"zh": 3},
    "rejected": {},
    "covered_chunk_share": 0.5,
    "key": "a newer Deskmate writes more fields",
}


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = value if isinstance(value, list) else [value]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


@pytest.fixture
def home() -> Home:
    home = Home.from_environment().make()
    datasets = home.collection("default") / "datasets"
    write(datasets / "88da97c8" / "manifest.json", MANIFEST)
    write(datasets / "88da97c8" / "examples.jsonl", [{"id": number} for number in range(3)])
    write(datasets / "old" / "manifest.json", {**MANIFEST, "id": "old"})
    write(datasets / "broken" / "manifest.json", {"id": 1})
    write(datasets / "current", "88da97c8")
    settings = {"train": {"steps": 3}, "service": {"api_key_sha256": ["secret"]}}
    for name, kind, started, about in (
        ("train-tuned", "train", "2026-01-01", {"dataset_hash": "88da97c8"}),
        ("eval-default-suite", "eval", "2026-01-02", {}),
        ("eval-other-suite", "eval", "2026-01-03", {"collection": "other"}),
    ):
        run = {
            "kind": kind,
            "name": name.partition("-")[2],
            "started": started,
            "settings": settings,
            **about,
        }
        write(home.runs / name / "run.json", run)
    write(home.runs / "train-tuned" / "metrics.jsonl", [{"step": step, "loss": 1.5} for step in range(3)])
    write(home.runs / "eval-default-suite" / "report.json", {"about": {"collection": "default"}})
    write(home.runs / "train-tuned" / "report.json", {"adapter": str(home.adapters / "tuned")})
    write(home.runs / "broken" / "run.json", [])
    write(home.adapters / "tuned" / "adapter.json", {"base_hash": "x", "folder": str(home.adapters)})
    return home


@pytest.fixture
def database(home: Home) -> Any:
    with closing(Database(home.database_url)) as opened:
        with opened.write() as session:
            for name in ("default", "other"):
                Documents(session).make_collection(name)
            Adapters(session).save(
                Adapter(
                    name="tuned",
                    collection="default",
                    folder=str(home.adapters / "tuned"),
                    base_fingerprint="x",
                    dataset_hash="88da97c8",
                    created="2026-01-01",
                )
            )
        yield opened


@pytest.fixture
async def client(home: Home, database: Database) -> AsyncIterator[AsyncTestClient[Any]]:
    async with AsyncTestClient(create_app(SETTINGS, home=home), base_url="http://127.0.0.1:8080") as opened:
        yield opened


async def test_datasets_with_their_rows(client: AsyncTestClient[Any]) -> None:
    listed = (await client.get("/v1/datasets", params={"limit": 1})).json()
    rest = (await client.get("/v1/datasets", params={"cursor": listed["next_cursor"]})).json()
    shown = (await client.get("/v1/datasets/88da97c8")).json()
    first = (await client.get("/v1/datasets/88da97c8/examples", params={"limit": 2})).json()
    last = await client.get("/v1/datasets/88da97c8/examples", params={"cursor": first["next_cursor"]})
    assert [(row["id"], row["is_current"]) for row in listed["data"] + rest["data"]] == [
        ("88da97c8", True),
        ("old", False),
    ]
    assert shown == listed["data"][0]
    assert [row["id"] for row in first["data"] + last.json()["data"]] == [0, 1, 2]
    assert last.json()["next_cursor"] is None
    for bad in ("none", "..", "%2e%2e%2fdefault"):
        assert (await client.get(f"/v1/datasets/{bad}")).status_code == 404


async def test_runs_and_evaluations_tell_no_path_and_no_secret(
    client: AsyncTestClient[Any], home: Home
) -> None:
    listed = (await client.get("/v1/runs")).json()["data"]
    shown = await client.get("/v1/runs/train-tuned")
    metrics = (await client.get("/v1/runs/train-tuned/metrics", params={"limit": 2})).json()
    evals = (await client.get("/v1/evals", params={"collection": "default"})).json()["data"]
    report = (await client.get("/v1/evals/eval-default-suite")).json()
    assert [(row["id"], row["collection"]) for row in listed] == [
        ("eval-other-suite", "other"),
        ("eval-default-suite", "default"),
        ("train-tuned", "default"),
    ]
    assert shown.json()["report"] == {"adapter": "adapters/tuned"}
    assert str(home.root) not in shown.text
    assert "secret" not in shown.text
    assert [row["step"] for row in metrics["data"]] == [0, 1]
    assert metrics["next_cursor"]
    assert [row["id"] for row in evals] == ["eval-default-suite"]
    assert report["report"] == {"about": {"collection": "default"}}
    assert (await client.get("/v1/evals/train-tuned")).status_code == 404
    assert (await client.get("/v1/runs/..%2f..%2fetc")).status_code == 404


async def test_adapters_with_their_cards(client: AsyncTestClient[Any], home: Home) -> None:
    listed = (await client.get("/v1/adapters")).json()["data"]
    shown = await client.get("/v1/adapters/tuned")
    assert [(row["name"], row["is_active"]) for row in listed] == [("tuned", False)]
    assert shown.json()["card"] == {"base_hash": "x", "folder": "adapters"}
    assert (await client.get("/v1/adapters/none")).status_code == 404


async def test_a_key_of_one_collection_sees_that_one_only(
    client: AsyncTestClient[Any], database: Database
) -> None:
    with database.write() as session:
        _, secret = Keys(session).create(NewKey(name="other", role="owner", collections=("other",)))
    mine = {"Authorization": f"Bearer {secret}"}
    runs = (await client.get("/v1/runs", headers=mine)).json()["data"]
    statuses = [
        (await client.get(f"/v1/{path}", headers=mine)).status_code
        for path in ("datasets?collection=default", "adapters/tuned", "runs/train-tuned", "adapters")
    ]
    assert [row["id"] for row in runs] == ["eval-other-suite"]
    assert statuses == [404, 404, 404, 404]


async def test_long_work_is_a_job(client: AsyncTestClient[Any], home: Home, database: Database) -> None:
    case = {"id": "q1", "lang": "zh", "question": "保修期多久？", "answers": ["24 个月"]}
    bodies: dict[str, dict[str, Any]] = {
        "datasets": {},
        "runs": {},
        "evals": {"cases": [case], "suite": "mine", "arms": ["rag"], "retrieval_only": True},
    }
    kinds = {}
    for path, body in bodies.items():
        reply = await client.post(f"/v1/{path}", json=body)
        assert reply.status_code == 202, reply.text
        assert reply.headers["location"] == f"/v1/jobs/{reply.json()['id']}"
        kinds[path] = reply.json()["kind"]
    job = JobQueue(database, home).get(reply.json()["id"])
    suite = Path(str(job.arguments["suite"]))
    (row,) = read_jsonl(suite, Case)
    assert kinds == {"datasets": "synth", "runs": "train", "evals": "eval"}
    assert (suite.name, row.question) == ("mine.jsonl", "保修期多久？")
    assert job.arguments["arms"] == ["rag"]
    for bad, status in (
        ({"suite": "none"}, 404),
        ({"cases": [{"id": 1}]}, 400),
        ({"cases": [case], "suite": "../x"}, 400),
        ({"arms": ["best"]}, 400),
        ({"collection": "nowhere"}, 404),
    ):
        assert (await client.post("/v1/evals", json=bad)).status_code == status, bad
