"""Missing topics by route and by command, from the questions that the service itself could not answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from litestar.testing import AsyncTestClient

from assistant.cli.app import root
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.records import Element, ParsedDocument
from assistant.core.settings import EmbedderSettings, EngineSettings, IndexSettings, ServiceSettings, Settings
from assistant.service.app import create_app
from assistant.store.database import Database
from assistant.store.keys import Keys, NewKey
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
from indexing.parsing.ocr_pages import PageProgress, no_page_progress
from indexing.sources import SourceFile

SETTINGS = Settings(
    embedder=EmbedderSettings(model="hashing"),
    engine=EngineSettings(kind="scripted"),
    service=ServiceSettings(collection="pumps"),
)
ASKED = (
    "Where can I park my bicycle?",
    "Where can I park my bicycle? 13812345678",
    "Park my bicycle where?",
    "食堂的菜单在哪里看？",
)


class Lines:
    def parse(self, source: SourceFile, on_page: PageProgress = no_page_progress) -> ParsedDocument:
        lines = source.path.read_text("utf-8").splitlines()
        return ParsedDocument(
            title=source.path.stem, elements=tuple(Element(kind="text", text=line) for line in lines)
        )


@contextmanager
def open_lines(settings: IndexSettings) -> Iterator[Lines]:
    yield Lines()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[tuple[AsyncTestClient[Any], dict[str, dict[str, str]]]]:
    home = Home.from_environment().make()
    (tmp_path / "pump.txt").write_text("The pump stops with fault code E07.\n水泵因故障代码停止。", "utf-8")
    database = Database(home.database_url)
    Builder("pumps", home, SETTINGS, database, HashingEmbedder(), NoProgress(), open_lines).add(
        [tmp_path / "pump.txt"], {"customer": "red"}
    )
    with database.write() as session:
        secrets = {
            name: Keys(session).create(NewKey(name=name, role="owner", **values))[1]
            for name, values in {
                "all": {},
                "elsewhere": {"collections": ("ovens",)},
                "part": {"filters": {"customer": ("red",)}},
            }.items()
        }
    database.close()
    async with AsyncTestClient(create_app(SETTINGS), base_url="http://127.0.0.1:8080") as client:
        while (await client.get("/readyz")).status_code != 200:
            pass
        yield client, {name: {"Authorization": f"Bearer {secret}"} for name, secret in secrets.items()}


async def test_questions_without_an_answer_become_topics(
    desk: tuple[AsyncTestClient[Any], dict[str, dict[str, str]]],
) -> None:
    client, keys = desk
    empty = (await client.get("/v1/usage/topics", headers=keys["all"])).json()
    for question in ASKED:
        answer = await client.post("/v1/answers", json={"question": question}, headers=keys["all"])
        assert answer.json()["abstained"], question
    reply = (await client.get("/v1/usage/topics", headers=keys["all"])).json()
    before = await client.get("/v1/usage/topics?to=2020-01-01", headers=keys["all"])
    one = await client.get("/v1/usage/topics?limit=1", headers=keys["all"])
    statuses = {name: (await client.get("/v1/usage/topics", headers=keys[name])).status_code for name in keys}
    assert empty == {"collection": "pumps", "questions": 0, "data": []}
    assert reply["questions"] == 4
    assert [(topic["count"], topic["languages"]) for topic in reply["data"]] == [
        (3, {"en": 3}),
        (1, {"zh": 1}),
    ]
    assert "13812345678" not in json.dumps(reply)
    assert reply["data"][0]["nearest"][0]["document"] == "pump.txt"
    assert before.json()["data"] == []
    assert len(one.json()["data"]) == 1
    assert statuses == {"all": 200, "elsewhere": 404, "part": 403}
    options = ["--set", "embedder.model=hashing", "topics", "--collection", "pumps"]
    shown = CliRunner().invoke(root, options)
    printed = CliRunner().invoke(root, [*options, "--json", "--limit", "1"])
    assert shown.exit_code == 0, shown.output
    assert "4 questions of the last 90 days were not answered" in shown.output
    assert "3 x  " in shown.output
    assert "13812345678" not in shown.output
    assert json.loads(printed.stdout)["topics"] == reply["data"][:1]
