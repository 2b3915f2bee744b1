"""Three tenants over the real index: nobody gets a passage, citation or usage row of another's."""

from __future__ import annotations

import random
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.records import Element, ParsedDocument
from assistant.core.settings import EmbedderSettings, EngineSettings, IndexSettings, ServiceSettings, Settings
from assistant.core.settings_limits import LimitSettings
from assistant.service.app import create_app
from assistant.store.database import Database
from assistant.store.keys import Keys, NewKey
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
from indexing.parsing.ocr_pages import PageProgress, no_page_progress
from indexing.sources import SourceFile

TENANTS = {"red": "RED-101", "green": "GRN-202", "blue": "BLU-303"}
SETTINGS = Settings(
    embedder=EmbedderSettings(model="hashing"),
    engine=EngineSettings(kind="scripted"),
    service=ServiceSettings(collection="shared"),
    limits=LimitSettings(requests_per_minute=0),  # a quick machine asks more than 600 times a minute
)
WORDS = ("pump", "motor", "seal", "warranty", "fault code", "cable", "水泵", "密封圈", "保修", "故障代码")
ASKED = (
    "How do I replace the {}?",
    "{} price",
    "What about the {} of {}?",
    "{} 怎么更换？",
    "{} {} 多少钱？",
)


class Lines:
    """Takes each line of a file as a paragraph."""

    def parse(self, source: SourceFile, on_page: PageProgress = no_page_progress) -> ParsedDocument:
        lines = source.path.read_text("utf-8").splitlines()
        return ParsedDocument(
            title=source.path.stem,
            elements=tuple(
                Element(kind="title", text=line[2:], depth=1)
                if line.startswith("# ")
                else Element(kind="text", text=line)
                for line in lines
            ),
        )


@contextmanager
def open_lines(settings: IndexSettings) -> Iterator[Lines]:
    yield Lines()


def fill(home: Home, folder: Path) -> None:
    """Make one collection that all share, each tenant's documents marked, and one collection each."""
    database = Database(home.database_url)
    for tenant, code in TENANTS.items():
        place = folder / tenant
        place.mkdir(parents=True)
        for number, word in enumerate(WORDS):
            text = f"The {word} of {code}-{number} costs {number}00 EUR.\n更换 {word}：型号 {code}-{number}。"
            (place / f"{tenant}-{number}.txt").write_text(text, "utf-8")
        others = [("only-green", {})] if tenant == "green" else []
        for collection, metadata in (("shared", {"customer": tenant}), *others):
            builder = Builder(
                collection, home, SETTINGS, database, HashingEmbedder(), NoProgress(), open_lines
            )
            builder.add([place], metadata)
    database.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tenants")
    fill(Home(folder / "home").make(), folder / "files")
    return folder / "home"


@pytest.fixture
async def desk(
    filled: Path, tmp_path: Path
) -> AsyncIterator[tuple[AsyncTestClient[Any], Mapping[str, dict[str, str]]]]:
    home = Home(Path(shutil.copytree(filled, tmp_path / "home")))
    database = Database(home.database_url)
    with database.write() as session:
        secrets = {
            tenant: Keys(session).create(
                NewKey(
                    name=tenant,
                    role="owner",
                    collections=("shared", f"only-{tenant}"),
                    filters={"customer": (tenant,)} if tenant != "blue" else {"Customer": ("ＢＬＵＥ",)},
                )
            )[1]
            for tenant in TENANTS
        }
    database.close()
    async with AsyncTestClient(create_app(SETTINGS, home=home), base_url="http://127.0.0.1:8080") as client:
        while (await client.get("/readyz")).status_code != 200:
            pass
        yield client, {name: {"Authorization": f"Bearer {secret}"} for name, secret in secrets.items()}


async def mixed_queries(
    client: AsyncTestClient[Any], keys: Mapping[str, dict[str, str]], count: int
) -> tuple[int, list[str]]:
    """Ask in turn as every tenant, also for what is another's; return the passages seen and the leaks."""
    chance, leaks, seen = random.Random(7), list[str](), 0
    talks: dict[str, str] = {}
    given = dict.fromkeys(TENANTS, 0)
    for number in range(count):
        tenant = chance.choice(sorted(TENANTS))
        other = TENANTS[chance.choice(sorted(TENANTS))]
        text = chance.choice(ASKED).format(chance.choice(WORDS), chance.choice([*WORDS, f"{other}-3"]))
        body: dict[str, Any] = {"collection": "shared"}
        route = chance.choice(("search", "answers", "chat/completions", "conversations", "usage"))
        if route == "usage":
            leaks += await _look_around(client, keys[tenant], tenant, talks, given)
            continue
        if route == "search":
            body |= {"query": text, "top_k": 50}
        elif route == "answers":
            body |= {"question": text, "stream": number % 2 == 0}
        elif route == "conversations":
            began = await client.post("/v1/conversations", json=body, headers=keys[tenant])
            talks[began.json()["id"]] = tenant
            body |= {"question": text, "conversation_id": began.json()["id"]}
            route = "answers"
        else:
            body = {"model": "shared", "messages": [{"role": "user", "content": text}]}
        given[tenant] += route != "search"
        reply = await client.post(f"/v1/{route}", json=body, headers=keys[tenant])
        assert reply.status_code in {200, 201}, reply.text
        seen += reply.text.count("chunk_id")
        answered = reply.text.replace(text, "")
        for name, code in TENANTS.items():
            if name != tenant and (f"{name}-" in answered or (code in answered and code not in text)):
                leaks.append(f"{tenant} asked {text!r} by {route} and got {name}'s")
    return seen, leaks


async def _look_around(
    client: AsyncTestClient[Any],
    key: dict[str, str],
    tenant: str,
    talks: dict[str, str],
    given: dict[str, int],
) -> list[str]:
    """List what a tenant has and ask by name for what others have; return what was another's."""
    rows = (await client.get("/v1/usage", headers=key)).json()["data"]
    listed = (await client.get("/v1/conversations?limit=200", headers=key)).json()["data"]
    leaks = [f"{tenant} was shown conversation {row['id']}" for row in listed if talks[row["id"]] != tenant]
    if sum(row["answers"] for row in rows) != given[tenant]:
        leaks.append(f"{tenant} made {given[tenant]} answers, its usage says {rows}")
    for talk, owner in list(talks.items())[-3:]:
        reply = await client.get(f"/v1/conversations/{talk}/turns", headers=key)
        if (reply.status_code == 200) != (owner == tenant):
            leaks.append(f"{tenant} asked for {owner}'s {talk}: {reply.status_code}")
    return leaks


async def test_mixed_queries_without_one_foreign_passage(desk: Any) -> None:
    client, keys = desk
    seen, leaks = await mixed_queries(client, keys, 120)
    assert seen > 120
    assert leaks == []


@pytest.mark.slow
async def test_a_thousand_mixed_queries_without_one_foreign_passage(desk: Any) -> None:
    client, keys = desk
    seen, leaks = await mixed_queries(client, keys, 1000)
    assert seen > 1000
    assert leaks == []


async def test_asking_around_the_access_list(desk: Any) -> None:
    client, keys = desk
    red = keys["red"]
    foreign = {"query": "pump", "collection": "shared", "filters": {"customer": ["green"]}}
    refused = await client.post("/v1/search", json=foreign, headers=red)
    both = await client.post(
        "/v1/search", json=foreign | {"filters": {"CUSTOMER": ["green", "Red"]}}, headers=red
    )
    hidden = await client.post("/v1/search", json={"query": "pump", "collection": "only-green"}, headers=red)
    missing = await client.post("/v1/search", json={"query": "pump", "collection": "nothing"}, headers=red)
    adapter = await client.post(
        "/v1/answers", json={"question": "pump?", "collection": "shared", "arm": "ft"}, headers=red
    )
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:deskmate:problem:forbidden")
    assert {row["metadata"]["customer"] for row in both.json()["passages"]} == {"red"}
    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert hidden.json()["detail"].replace("only-green", "nothing") == missing.json()["detail"]
    assert adapter.status_code == 403


async def test_neighbours_are_those_that_the_key_may_see(desk: Any, tmp_path: Path) -> None:
    client, keys = desk
    home, files = Home(tmp_path / "home"), tmp_path / "steps"
    files.mkdir()
    database = Database(home.database_url)
    for tenant, code in TENANTS.items():
        steps = ("Close the valve", "关闭电源", "Loosen the screws")
        lines = [f"# {step}\n{step}: {code}." for step in steps]
        file = files / f"{tenant}-steps.txt"
        file.write_text("\n".join(lines), "utf-8")
        builder = Builder("shared", home, SETTINGS, database, HashingEmbedder(), NoProgress(), open_lines)
        builder.add([file], {"customer": tenant})
    database.close()
    for query, place in (("关闭电源", 1), ("Close the valve", 0)):
        ask = {"query": query, "collection": "shared", "top_k": 50, "neighbours": 1}
        for tenant, code in TENANTS.items():
            rows = (await client.post("/v1/search", json=ask, headers=keys[tenant])).json()["passages"]
            first = next(row for row in rows if row["text"].startswith(query))
            assert [row["text"] for row in first["before"]] == [f"Close the valve: {code}."] * place
            assert all(code in row["text"] for row in (*first["before"], *first["after"]))
            assert first["after"]


async def test_chunks_documents_and_usage_of_others_are_not_there(desk: Any) -> None:
    client, keys = desk
    found = (
        await client.post("/v1/search", json={"query": "pump", "collection": "shared"}, headers=keys["green"])
    ).json()["passages"]
    chunk = f"/v1/chunks/{found[0]['chunk_id']}"
    documents = {
        name: (await client.get("/v1/documents?collection=shared&limit=3", headers=key)).json()
        for name, key in keys.items()
    }
    green = documents["green"]["data"][0]["id"]
    statuses = [
        (await client.get(f"/v1/documents/{green}{rest}", headers=keys[name])).status_code
        for name in ("green", "red")
        for rest in ("", "/versions", "/text")
    ]
    removed = await client.delete(f"/v1/documents/{green}", headers=keys["red"])
    taken = await client.post(
        "/v1/documents",
        json={"collection": "shared", "documents": [{"name": "green-0.txt", "text": "x"}]},
        headers=keys["red"],
    )
    marked = await client.post(
        "/v1/documents",
        json={
            "collection": "shared",
            "documents": [{"name": "new.txt", "text": "x"}],
            "metadata": {"customer": "green"},
        },
        headers=keys["red"],
    )
    await client.post("/v1/answers", json={"question": "pump?", "collection": "shared"}, headers=keys["blue"])
    used = {
        name: (await client.get("/v1/usage", headers=key)).json()["data"][0]["answers"]
        for name, key in keys.items()
    }
    listed = (await client.get("/v1/collections", headers=keys["red"])).json()["data"]
    assert [(await client.get(chunk, headers=keys[name])).status_code for name in ("green", "red")] == [
        200,
        404,
    ]
    for name, page in documents.items():
        assert {row["metadata"]["customer"] for row in page["data"]} == {name}
        assert page["next_cursor"]
    assert statuses == [200, 200, 200, 404, 404, 404]
    assert (removed.status_code, taken.status_code, marked.status_code) == (404, 403, 403)
    assert used == {"red": 0, "green": 0, "blue": 1}
    assert {row["name"]: row["document_count"] for row in listed} == {"shared": 10}
