"""What holds of all routes alike: pages that nothing shifts, ETags, posts that are done once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from assistant.core.home import Home
from assistant.core.records import Arm
from assistant.core.settings import EmbedderSettings, EngineSettings, Settings, WebhookSettings
from assistant.service.app import create_app
from assistant.store.adapters import Adapter, Adapters
from assistant.store.database import Database
from assistant.store.documents import Documents
from assistant.store.releases import ReleaseContent, Releases

SETTINGS = Settings(
    embedder=EmbedderSettings(model="hashing"),
    engine=EngineSettings(kind="scripted"),
    webhooks=WebhookSettings(hosts=("desk.corp.example",)),
)
EN, ZH = "What does fault code E07 mean?", "故障代码 E12 表示什么？"
URL = "/v1/chat/completions"
TUNED: tuple[Arm, ...] = ("base", "rag", "ft", "rag+ft")


@pytest.fixture
def database() -> Any:
    opened = Database(Home.from_environment().make().database_url)
    with opened.write() as session:
        for name in ("default", "pumps", "泵"):
            Documents(session).make_collection(name)
    yield opened
    opened.close()


@pytest.fixture
async def empty(database: Database) -> AsyncIterator[AsyncTestClient[Any]]:
    """Serve three collections without documents, as they lie in the data folder."""
    app = create_app(SETTINGS, home=Home.from_environment())
    async with AsyncTestClient(app, base_url="http://127.0.0.1:8080") as client:
        yield client


def adapter(name: str, collection: str) -> Adapter:
    return Adapter(
        name=name, collection=collection, folder="f", base_fingerprint="b", dataset_hash="d", created="2026"
    )


def content(adapter_name: str | None) -> ReleaseContent:
    return ReleaseContent(
        collection="pumps",
        snapshot="000001",
        snapshot_sha256="s",
        embedder="e",
        base_model="b",
        adapter=adapter_name,
        adapter_sha256={},
        templates="t",
        settings={},
        report_sha256=None,
        version="1",
    )


async def pages(
    client: AsyncTestClient[Any], path: str, limit: int, between: Any = None, **params: str
) -> list[Any]:
    rows: list[Any] = []
    cursor = None
    while True:
        given = {"limit": limit, **params} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(path, params=given)).json()
        assert len(page["data"]) <= limit
        rows += page["data"]
        if (cursor := page["next_cursor"]) is None:
            return rows
        if between:
            between(len(rows))


async def test_models_come_at_once_or_in_pages(empty: AsyncTestClient[Any], database: Database) -> None:
    with database.write() as session:
        for name in ("pumps", "泵"):
            Adapters(session).save(adapter(f"of-{name}", name))
            Adapters(session).activate(f"of-{name}")
        releases = Releases(session)
        made = releases.save(content(None), "me")  # serves pumps without its adapter
        releases.switch(made, "promote", None, "me", "")
    whole = (await empty.get("/v1/models")).json()
    assert [(row["collection"], row["arm"]) for row in whole["data"]] == [
        *(("default", arm) for arm in (None, "base", "rag")),
        *(("pumps", arm) for arm in (None, "base", "rag")),
        *(("泵", arm) for arm in (None, *TUNED)),
    ]
    assert whole["next_cursor"] is None
    assert await pages(empty, "/v1/models", 4) == whole["data"]
    shown = [(await empty.get(f"/v1/collections/{name}")).json()["arms"] for name in ("pumps", "泵")]
    assert shown == [["base", "rag"], list(TUNED)]
    refused = [await empty.get("/v1/models", params=given) for given in ({"limit": 0}, {"cursor": "x"})]
    assert [reply.status_code for reply in refused] == [400, 400]
    assert [reply.json()["error"]["param"] for reply in refused] == ["limit", "cursor"]


async def test_a_releases_history_has_pages_that_nothing_shifts(
    empty: AsyncTestClient[Any], database: Database
) -> None:
    with database.write() as session:
        releases = Releases(session)
        old, new = (releases.save(content(name), "安娜") for name in ("a", "b"))
        releases.switch(old, "promote", None, "安娜", "p1")
        releases.switch(new, "promote", old.id, "安娜", "p2")

    def go_on(seen: int) -> None:
        if seen == 2:
            with database.write() as session:
                Releases(session).switch(old, "rollback", new.id, "Bob", "")

    rows = await pages(empty, f"/v1/releases/{old.id}/history", 1, go_on)
    assert [(row["release"], row["action"], row["before"]) for row in rows] == [
        (new.id, "promote", old.id),
        (old.id, "promote", None),
        (old.id, "create", None),
    ]
    again = await pages(empty, f"/v1/releases/{old.id}/history", 3)
    assert [row["action"] for row in again] == ["rollback", "promote", "promote", "create"]


async def test_new_runs_and_releases_shift_nothing(empty: AsyncTestClient[Any], database: Database) -> None:
    home = Home.from_environment()

    def run(day: int) -> None:
        folder = home.runs / f"train-{day}"
        folder.mkdir(parents=True)
        about = {"kind": "train", "name": str(day), "started": f"2026-01-0{day}", "settings": {}}
        (folder / "run.json").write_text(json.dumps(about), "utf-8")

    def release(day: int) -> None:
        with database.write() as session:
            Releases(session).save(content(str(day)), "me")

    for day in (1, 2, 3):
        run(day)
        release(day)
    runs = await pages(empty, "/v1/runs", 1, lambda seen: run(3 + seen))
    assert [row["id"] for row in runs] == ["train-3", "train-2", "train-1"]
    releases = await pages(empty, "/v1/releases", 2, lambda seen: release(9), collection="pumps")
    assert {row["content"]["adapter"] for row in releases} >= {"1", "2", "3"}
    assert len({row["id"] for row in releases}) == len(releases)


async def test_one_thing_has_an_etag_that_guards_it(empty: AsyncTestClient[Any]) -> None:
    hook = {"url": "https://desk.corp.example/hook", "events": ["job.ended"]}
    made = {
        "term": await empty.post("/v1/glossary", json={"said": "趴窝", "meant": "停机"}),
        "webhook": await empty.post("/v1/webhooks", json=hook),
        "key": await empty.post("/v1/keys", json={"name": "k", "role": "admin"}),
    }
    mine = {"Authorization": f"Bearer {made['key'].json()['secret']}"}
    for name, reply in made.items():
        place = reply.headers["location"]
        shown = await empty.get(place, headers=mine)
        seen = await empty.get(place, headers=mine | {"If-None-Match": shown.headers["etag"]})
        assert (shown.status_code, seen.status_code, seen.content) == (200, 304, b""), name
    hooked = made["webhook"].headers["location"]
    late = [
        await empty.post(f"{hooked}/enable", headers=mine | {"If-Match": '"of-another"'}),
        await empty.delete(hooked, headers=mine | {"If-Match": '"of-another"'}),
    ]
    tag = (await empty.get(hooked, headers=mine)).headers["etag"]
    gone = await empty.delete(hooked, headers=mine | {"If-Match": tag})
    assert [reply.status_code for reply in late] == [412, 412]
    assert gone.status_code == 204


async def test_a_conversation_has_an_etag(client: AsyncTestClient[Any]) -> None:
    place = (await client.post("/v1/conversations", json={"title": "泵"})).headers["location"]
    tag = (await client.get(place)).headers["etag"]
    assert (await client.get(place, headers={"If-None-Match": tag})).status_code == 304


@pytest.mark.parametrize("stream", [False, True])
async def test_a_completion_is_made_once(client: AsyncTestClient[Any], *, stream: bool) -> None:
    key = {"Idempotency-Key": "order-1"}
    asked = {"messages": [{"role": "user", "content": ZH}], "stream": stream}
    first = await client.post(URL, json=asked, headers=key)
    again = await client.post(URL, json=asked, headers=key)
    other = await client.post(URL, json=asked | {"seed": 7}, headers=key)
    answers = (await client.get("/v1/answers")).json()["data"]
    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotent-replayed"] == "true"
    assert len(answers) == 1
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


async def test_a_completion_is_not_told_again_once_answers_were_deleted(client: AsyncTestClient[Any]) -> None:
    """What is deleted may be quoted by any kept reply."""
    key = {"Idempotency-Key": "order-1"}
    asked = {"messages": [{"role": "user", "content": EN}]}
    first = await client.post(URL, json=asked, headers=key)
    assert first.headers["content-location"].startswith("/v1/answers/ans-")
    assert (await client.get(first.headers["content-location"])).status_code == 200
    talk = (await client.post("/v1/conversations", json={})).headers["location"]
    await client.delete(talk)
    again = await client.post(URL, json=asked, headers=key)
    assert "idempotent-replayed" not in again.headers
    assert again.json()["id"] != first.json()["id"]
