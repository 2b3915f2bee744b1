"""Documents over the API: added through a job, listed, downloaded, replaced, deleted."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import AsyncIterator
from typing import Any

import pytest
from click.testing import CliRunner
from litestar.testing import AsyncTestClient

from assistant.cli.app import root
from assistant.core.home import Home
from assistant.core.settings import EmbedderSettings, EngineSettings, Settings
from assistant.core.settings_limits import LimitSettings
from assistant.service.app import create_app
from assistant.service.problems import RequestRefused
from assistant.service.uploads import check_name

SETTINGS = Settings(
    embedder=EmbedderSettings(model="hashing"),
    engine=EngineSettings(kind="scripted"),
    limits=LimitSettings(upload_mebibytes=1),
)
PUMP = "# Pump\n\nFault code E07 means that the motor is hotter than 95 °C.\n"
OVEN = "# 烤炉\n\n故障代码 E12 表示炉门开关没有闭合。\n"


@pytest.fixture
def home() -> Home:
    return Home.from_environment().make()


@pytest.fixture
async def client(home: Home) -> AsyncIterator[AsyncTestClient[Any]]:
    async with AsyncTestClient(create_app(SETTINGS, home=home), base_url="http://127.0.0.1:8080") as opened:
        assert (await opened.post("/v1/collections", json={"name": "default"})).status_code == 201
        yield opened


def work() -> None:
    """Run the queued jobs as ``deskmate worker`` does; signals are for the main thread, so the loop waits."""
    done = CliRunner().invoke(root, ["--set", "embedder.model=hashing", "worker", "--once"])
    assert done.exit_code == 0, done.output


@pytest.mark.slow
async def test_from_upload_to_answer_to_deletion(client: AsyncTestClient[Any], home: Home) -> None:
    files = [("files", ("pumps/e07.md", PUMP.encode())), ("files", ("炉.md", OVEN.encode()))]
    form = {"metadata": '{"product": "Q7"}'}
    queued = await client.post(
        "/v1/documents/files", files=files, data=form, headers={"Idempotency-Key": "1"}
    )
    again = await client.post("/v1/documents/files", files=files, data=form, headers={"Idempotency-Key": "1"})
    assert (queued.status_code, queued.json()["state"], queued.json()["has_worker"]) == (202, "queued", False)
    assert again.json()["id"] == queued.json()["id"]
    work()
    job = (await client.get(queued.headers["location"])).json()
    events = (await client.get(f"{queued.headers['location']}/events")).text
    assert job["state"] == "succeeded"
    assert sorted(job["result"]["added"]) == ["pumps/e07.md", "炉.md"]
    assert "event: done\n" in events
    assert str(home.root) not in events
    listed = (await client.get("/v1/documents")).json()["data"]
    assert [(row["name"], row["version"], row["metadata"]["product"]) for row in listed] == [
        ("pumps/e07.md", 1, "Q7"),
        ("炉.md", 1, "Q7"),
    ]
    place = f"/v1/documents/{listed[0]['id']}"
    answer = await client.post("/v1/answers", json={"question": "What does fault code E07 mean?"})
    assert "95 °C" in answer.json()["text"]
    text = await client.get(f"{place}/text")
    assert "hotter than 95 °C" in text.text
    assert text.headers["content-type"].startswith("text/plain")
    oven = await client.get(f"/v1/documents/{listed[1]['id']}/download")
    assert oven.content == OVEN.encode()
    changed = PUMP.replace("95", "90")
    json = {
        "documents": [{"name": "pumps/e07.md", "content_base64": base64.b64encode(changed.encode()).decode()}]
    }
    assert (await client.post("/v1/documents", json=json)).status_code == 202
    tag = (await client.get(place)).headers["etag"]
    work()
    versions = (await client.get(f"{place}/versions")).json()["data"]
    assert [(row["version"], row["state"]) for row in versions] == [(1, "replaced"), (2, "live")]
    assert "95 °C" in (await client.get(f"{place}/text", params={"version": 1})).text
    assert (await client.get(f"{place}/download", params={"version": 1})).content == PUMP.encode()
    assert (await client.get(f"{place}/download")).content == changed.encode()
    assert (await client.get(f"{place}/text", params={"version": 9})).status_code == 404
    late = await client.delete(place, headers={"If-Match": tag})
    gone = await client.delete(place)
    after = await client.get(place)
    found = (await client.post("/v1/search", json={"query": "fault code E07"})).json()["passages"]
    audit = (await client.get("/v1/audit")).json()["data"]
    assert (late.status_code, gone.status_code, after.status_code) == (412, 204, 404)
    assert all(row["document"] != "pumps/e07.md" for row in found)
    assert [row["action"] for row in audit][:2] == ["deleteDocument", "deleteDocument"]
    assert {row["action"] for row in audit} >= {"uploadDocuments", "addDocuments", "createCollection"}
    assert not [path for path in (home.root / "uploads").rglob("*") if path.suffix == ".md"]
    originals = home.collection("default") / "originals"
    assert [path.read_text("utf-8") for path in originals.glob("??/*")] == [OVEN]


async def test_a_job_is_cancelled_and_retried(client: AsyncTestClient[Any]) -> None:
    body = {"documents": [{"name": "a.md", "text": "# A\n\nSome text."}]}
    place = (await client.post("/v1/documents", json=body)).headers["location"]
    cancelled = await client.post(f"{place}/cancel")
    twice = await client.post(f"{place}/cancel")
    retried = await client.post(f"{place}/retry")
    listed = (await client.get("/v1/jobs", params={"state": "queued"})).json()["data"]
    none = (await client.get("/v1/jobs", params={"state": "failed"})).json()["data"]
    wrong = await client.get("/v1/jobs", params={"state": "asleep"})
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")
    assert (twice.status_code, twice.json()["type"]) == (409, "urn:deskmate:problem:conflict")
    assert (retried.json()["state"], len(listed), none, wrong.status_code) == ("queued", 1, [], 400)


@pytest.mark.parametrize(
    "body",
    [
        {"documents": []},
        {"documents": [{"name": "../up.md", "text": "x"}]},
        {"documents": [{"name": "a.md"}]},
        {"documents": [{"name": "a.md", "text": "x", "content_base64": "eA=="}]},
        {"documents": [{"name": "a.md", "content_base64": "?"}]},
        {"documents": [{"name": "a.md", "text": "x"}, {"name": "a.md", "text": "y"}]},
        {"documents": [{"name": "a", "text": "x"}, {"name": "a/b", "text": "y"}]},
        {"documents": [{"name": "a.md", "text": "x"}], "metadata": {"date": "soon"}},
    ],
)
async def test_documents_that_cannot_be_added(client: AsyncTestClient[Any], body: dict[str, Any]) -> None:
    reply = await client.post("/v1/documents", json=body)
    assert (reply.status_code, reply.headers["content-type"]) == (400, "application/problem+json")
    assert reply.json()["errors"]
    assert (await client.get("/v1/jobs")).json()["data"] == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a/./.ssh/x",
        "..\\x",
        "C:\\x",
        "a\x00b",
        "a\nb",
        ".hidden",
        "x" * 600,
        "\ud800",
    ],
)
def test_names_that_could_leave_their_folder(name: str) -> None:
    with pytest.raises(RequestRefused):
        check_name(name)


@pytest.mark.parametrize("name", ["a.md", "手册/第 1 版.pdf", "a//b.md", "a/./b.md", "%2e%2e/x.md"])
def test_names_that_stay_inside(name: str) -> None:
    assert not check_name(name).startswith((".", "/"))


async def test_uploads_have_a_limit_of_their_own(client: AsyncTestClient[Any]) -> None:
    files = [("files", ("big.txt", b"x" * (2 << 20)))]
    plain = await client.post("/v1/documents/files", files=files)
    keyed = await client.post("/v1/documents/files", files=files, headers={"Idempotency-Key": "big"})
    none = await client.post("/v1/documents/files", data={"collection": "default"})
    assert (plain.status_code, keyed.status_code, none.status_code) == (413, 413, 400)


async def test_collections_by_name(client: AsyncTestClient[Any]) -> None:
    twice = await client.post("/v1/collections", json={"name": "default"})
    bad = await client.post("/v1/collections", json={"name": "../x"})
    shown = await client.get("/v1/collections/default")
    same = await client.get("/v1/collections/default", headers={"If-None-Match": shown.headers["etag"]})
    missing = await client.get("/v1/documents", params={"collection": "nothing"})
    statuses = [reply.status_code for reply in (twice, bad, shown, same, missing)]
    assert statuses == [409, 400, 200, 304, 404]
    assert shown.json()["document_count"] == 0


async def test_a_key_held_to_some_documents_adds_no_archives(client: AsyncTestClient[Any]) -> None:
    made = await client.post("/v1/keys", json={"name": "boss", "role": "admin"})
    boss = {"Authorization": f"Bearer {made.json()['secret']}"}
    wanted = {"name": "held", "role": "owner", "filters": {"customer": ["green"]}}
    held = (await client.post("/v1/keys", headers=boss, json=wanted)).json()["secret"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("e07.md", PUMP)
    statuses = []
    for key in (boss, {"Authorization": f"Bearer {held}"}):
        for name, content in (("pumps", packed.getvalue()), ("e07.md", PUMP.encode())):
            sent = await client.post(
                "/v1/documents/files",
                headers=key,
                files=[("files", (name, content))],
                data={"metadata": "{}"},
            )
            statuses.append(sent.status_code)
        statuses.append((await client.get("/metrics", headers=key)).status_code)
    assert statuses == [202, 202, 200, 403, 202, 403]


async def test_an_idempotency_key_opens_no_door_and_lifts_no_limit(client: AsyncTestClient[Any]) -> None:
    boss = (await client.post("/v1/keys", json={"name": "boss", "role": "admin"})).json()["secret"]
    wanted = {"name": "asks", "role": "agent"}
    headers = {"Authorization": f"Bearer {boss}"}
    agent = (await client.post("/v1/keys", headers=headers, json=wanted)).json()["secret"]
    for content in (b"one", b"two"):  # had the first refusal been kept, the second would be a reuse
        keyed = {"Authorization": f"Bearer {agent}", "Idempotency-Key": "1"}
        refused = await client.post(
            "/v1/documents/files", headers=keyed, files=[("files", ("a.md", content))]
        )
        assert refused.status_code == 403
    large = b'{"question": "' + b"x" * (SETTINGS.service.max_body_mebibytes << 20) + b'"}'
    keyed = {**headers, "Idempotency-Key": "2", "Content-Type": "application/json"}
    assert (await client.post("/v1/answers", headers=keyed, content=large)).status_code == 413
