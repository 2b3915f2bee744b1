"""Curated answers, glossary, syncs, uploads in pieces; and what is told of removed documents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from assistant.core.home import Home
from assistant.core.ids import content_id
from assistant.core.records import Answer, Chunk, Citation, Passage
from assistant.core.settings import EmbedderSettings, EngineSettings, Settings
from assistant.core.settings_limits import LimitSettings
from assistant.core.settings_syncs import SyncFolder, SyncsSettings
from assistant.jobs.job_queue import JobQueue
from assistant.jobs.records import Outcome
from assistant.service.app import create_app
from assistant.store.answers import Answers, Lineage
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Documents, NewVersion
from assistant.store.keys import Keys, NewKey
from assistant.store.upload_tables import UploadRow
from indexing.removal import remove_document

TEXT = "The warranty covers 24 months from the date of delivery."
Open = Callable[[], AbstractAsyncContextManager[AsyncTestClient[Any]]]


@pytest.fixture
def home() -> Home:
    return Home.from_environment().make()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = SyncFolder(path=str(tmp_path / "manuals"), collections=("default",))
    return Settings(
        embedder=EmbedderSettings(model="hashing"),
        engine=EngineSettings(kind="scripted"),
        limits=LimitSettings(resumable_mebibytes=1),
        syncs=SyncsSettings(folders={"manuals": folder}),
    )


@pytest.fixture
def database(home: Home) -> Any:
    """Two collections, one with a document that everybody may read and one that only acme may."""
    with closing(Database(home.database_url)) as opened:
        with opened.write() as session:
            documents = Documents(session)
            documents.make_collection("other")
            collection = documents.make_collection("default")
            for name, metadata in (("policy.md", {}), ("acme.md", {"customer": "acme"})):
                new = NewVersion(
                    document=name,
                    number=1,
                    sha256=name,
                    recipe="r",
                    size_bytes=9,
                    title=name,
                    metadata=metadata,
                )
                chunk = Chunk(id=content_id(name), document=name, version=1, position=0, text=TEXT)
                Chunks(session).save(documents.save_version(collection.id, new), [chunk], [TEXT])
        home.collection("default").mkdir(parents=True)
        yield opened


@pytest.fixture
def serve(home: Home, settings: Settings, database: Database) -> Open:
    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncTestClient[Any]]:
        app = create_app(settings, home=home)
        async with AsyncTestClient(app, base_url="http://127.0.0.1:8080") as client:
            yield client

    return opened


@pytest.fixture
async def client(serve: Open) -> AsyncIterator[AsyncTestClient[Any]]:
    async with serve() as opened:
        yield opened


def bearers(database: Database, **keys: dict[str, Any]) -> dict[str, dict[str, str]]:
    with database.write() as session:
        made = {name: Keys(session).create(NewKey(name=name, **fields))[1] for name, fields in keys.items()}
    return {name: {"Authorization": f"Bearer {secret}"} for name, secret in made.items()}


async def test_a_curated_answer_is_made_changed_and_taken_back_as_it_was_seen(
    client: AsyncTestClient[Any],
) -> None:
    body = {
        "questions": ["保修期多久？"],
        "text": "24 个月 [1]。",
        "citations": [{"document": "policy.md", "quote": "24 months"}],
        "valid_until": "2099-12-31",
    }
    made = await client.post("/v1/curated-answers", json=body, headers={"Idempotency-Key": "1"})
    again = await client.post("/v1/curated-answers", json=body, headers={"Idempotency-Key": "1"})
    place = made.headers["location"]
    shown = await client.get(place)
    changed = await client.put(
        place, json={**body, "text": "两年 [1]。"}, headers={"If-Match": made.headers["etag"]}
    )
    late = await client.delete(place, headers={"If-Match": made.headers["etag"]})
    listed = (await client.get("/v1/curated-answers", params={"limit": 1})).json()
    gone = await client.delete(place, headers={"If-Match": changed.headers["etag"]})
    assert (made.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert shown.json() == made.json() == again.json()
    assert shown.headers["etag"] == made.headers["etag"]
    assert shown.json()["citations"][0]["quote"] == "24 months"
    assert (changed.status_code, changed.json()["text"], late.status_code) == (200, "两年 [1]。", 412)
    assert [row["text"] for row in listed["data"]] == ["两年 [1]。"]
    assert (gone.status_code, (await client.get(place)).status_code) == (204, 404)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"citations": [{"document": "policy.md", "quote": "36 months"}]}, 400),
        ({"citations": [{"document": "gone.md", "quote": "24 months"}]}, 404),
        ({"text": "24 months [2]."}, 400),
        ({"questions": []}, 400),
        ({"questions": ["?!"]}, 400),
        ({"valid_from": "tomorrow"}, 400),
        ({"metadata": {"a b c!": ["x"]}}, 400),
        ({"collection": "nowhere"}, 404),
        ({"more": 1}, 400),
    ],
)
async def test_what_is_no_curated_answer(
    client: AsyncTestClient[Any], fields: dict[str, Any], status: int
) -> None:
    reply = await client.post("/v1/curated-answers", json={"questions": ["x y"], "text": "z", **fields})
    assert reply.status_code == status, reply.text


async def test_curated_answers_exist_for_those_only_who_may_read_such_documents(
    serve: Open, database: Database
) -> None:
    keys = bearers(
        database,
        owner={"role": "owner"},
        acme={"role": "owner", "filters": {"customer": ("acme",)}},
        foreign={"role": "owner", "collections": ("other",)},
    )
    quote = {"quote": "24 months"}
    async with serve() as client:

        async def post(who: str, **fields: Any) -> Any:
            body = {"questions": ["How long?"], "text": "24 months.", "collection": "default", **fields}
            return await client.post("/v1/curated-answers", json=body, headers=keys[who])

        everybodys = await post("owner")
        own = await post("acme", citations=[{"document": "acme.md", **quote}])
        reaching = await post("acme", citations=[{"document": "policy.md", **quote}])
        grasping = await post("acme", metadata={"customer": "blue"})
        foreign = await post("foreign")
        seen = {
            who: [
                row["id"]
                for row in (await client.get("/v1/curated-answers", headers=keys[who])).json()["data"]
            ]
            for who in keys
        }
        hidden = await client.get(everybodys.headers["location"], headers=keys["acme"])
    assert own.json()["metadata"] == {"customer": "acme"}
    assert (reaching.status_code, grasping.status_code, foreign.status_code) == (404, 403, 404)
    assert seen == {
        "owner": [own.json()["id"], everybodys.json()["id"]],
        "acme": [own.json()["id"]],
        "foreign": [],
    }
    assert hidden.status_code == 404


async def test_terms_are_added_decided_on_and_listed(client: AsyncTestClient[Any], home: Home) -> None:
    made = [
        await client.post("/v1/glossary", json={"said": said, "meant": "停机"})
        for said in ("趴窝", "罢工", "死机")
    ]
    place = made[0].headers["location"]
    rejected = await client.patch(
        place, json={"state": "rejected"}, headers={"If-Match": made[0].headers["etag"]}
    )
    late = await client.patch(
        place, json={"state": "approved"}, headers={"If-Match": made[0].headers["etag"]}
    )
    first = (await client.get("/v1/glossary", params={"limit": 2})).json()
    rest = (await client.get("/v1/glossary", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    approved = (await client.get("/v1/glossary", params={"state": "approved"})).json()["data"]
    gone = await client.delete(place)
    mined = await client.post("/v1/glossary/mine", json={})
    empty = await client.post("/v1/glossary", json={"said": " ", "meant": "x"})
    assert (rejected.json()["state"], late.status_code, gone.status_code) == ("rejected", 412, 204)
    assert len(first["data"] + rest["data"]) == 3
    assert rest["next_cursor"] is None
    assert {row["said"] for row in approved} == {"罢工", "死机"}
    assert (await client.get(place)).status_code == 404
    assert (mined.status_code, mined.json()["kind"]) == (202, "glossary.mine")
    assert mined.headers["location"] == f"/v1/jobs/{mined.json()['id']}"
    assert empty.status_code == 400
    assert json.loads((home.collection("default") / "glossary.json").read_text("utf-8"))


async def test_a_sync_names_a_folder_and_never_a_path(
    client: AsyncTestClient[Any], home: Home, database: Database, tmp_path: Path
) -> None:
    body = {"folder": "manuals", "is_dry_run": True}
    queued = await client.post("/v1/syncs", json=body)
    unknown = await client.post("/v1/syncs", json={"folder": str(tmp_path)})
    other = await client.post("/v1/syncs", json={**body, "collection": "other"})
    assert (queued.status_code, unknown.status_code, other.status_code) == (202, 404, 404)
    queue = JobQueue(database, home)
    job = queue.claim("worker-1")
    assert job
    assert job.arguments["folder"] == str(tmp_path / "manuals")
    assert job.arguments["is_dry_run"] is True
    report = {
        "folder": str(tmp_path / "manuals"),
        "refused": [{"path": str(tmp_path / "manuals" / "炉.pdf")}],
    }
    queue.finish(job, Outcome(result=report), ())
    listed = (await client.get("/v1/syncs")).json()
    shown = await client.get(f"/v1/syncs/{job.id}")
    assert listed["folders"] == [{"name": "manuals", "collections": ["default"]}]
    assert shown.json()["result"] == {"folder": "manuals", "refused": [{"path": "manuals/炉.pdf"}]}
    assert str(tmp_path) not in json.dumps(listed)
    mined = await client.post("/v1/glossary/mine", json={})
    assert (await client.get(f"/v1/syncs/{mined.json()['id']}")).status_code == 404


async def test_who_sees_some_documents_only_is_kept_from_what_all_of_them_made(
    serve: Open, database: Database
) -> None:
    keys = bearers(
        database, root={"role": "admin"}, acme={"role": "owner", "filters": {"customer": ("acme",)}}
    )
    async with serve() as client:
        for path in ("glossary", "syncs", "datasets", "runs", "adapters", "evals", "releases"):
            assert (await client.get(f"/v1/{path}", headers=keys["root"])).status_code == 200, path
            assert (await client.get(f"/v1/{path}", headers=keys["acme"])).status_code == 403, path


async def test_a_file_in_pieces_survives_a_restart_and_is_checked(
    serve: Open, home: Home, database: Database
) -> None:
    content = ("# 手册\n\n" + "故障代码 E12 表示炉门开关没有闭合。\n" * 200).encode()
    body = {"name": "手册/大.md", "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    half = len(content) // 2
    async with serve() as client:
        made = await client.post("/v1/uploads", json=body)
        place = made.headers["location"]
        first = await client.patch(place, content=content[:half], headers={"Upload-Offset": "0"})
    async with serve() as client:
        shown = (await client.get(place)).json()
        early = await client.post(f"{place}/complete")
        wrong = await client.patch(place, content=b"x", headers={"Upload-Offset": "3"})
        long = await client.patch(place, content=content, headers={"Upload-Offset": str(half)})
        kept = (await client.get(place)).json()["offset"]
        second = await client.patch(place, content=content[half:], headers={"Upload-Offset": str(half)})
        queued = await client.post(f"{place}/complete")
        after = await client.get(place)
    assert (made.status_code, first.json()["offset"], shown["offset"]) == (201, half, half)
    assert (early.status_code, wrong.status_code, long.status_code, kept) == (409, 409, 400, half)
    assert str(half) in wrong.json()["detail"]
    assert (second.json()["offset"], queued.status_code, after.status_code) == (len(content), 202, 404)
    job = JobQueue(database, home).get(queued.json()["id"])
    (folder,) = job.arguments["paths"]  # type: ignore[misc]
    assert (Path(folder) / "手册" / "大.md").read_bytes() == content
    assert not list((home.root / "uploads" / "parts").glob("*"))


async def test_an_upload_is_refused_begun_anew_and_given_up(
    serve: Open, home: Home, database: Database
) -> None:
    keys = bearers(database, one={"role": "owner"}, two={"role": "owner"})
    body = {"name": "a.md", "size_bytes": 3, "sha256": "0" * 64}
    async with serve() as client:
        for bad in ({"size_bytes": 2 << 20}, {"name": "../a.md"}, {"sha256": "x"}, {"size_bytes": 0}):
            reply = await client.post("/v1/uploads", json={**body, **bad}, headers=keys["one"])
            assert reply.status_code == 400, bad
        place = (await client.post("/v1/uploads", json=body, headers=keys["one"])).headers["location"]
        foreign = await client.get(place, headers=keys["two"])
        await client.patch(place, content=b"abc", headers={**keys["one"], "Upload-Offset": "0"})
        broken = await client.post(f"{place}/complete", headers=keys["one"])
        offset = (await client.get(place, headers=keys["one"])).json()["offset"]
        with database.write() as session:
            session.query(UploadRow).update({"expires": "2020-01-01T00:00:00+00:00"})
        expired = await client.get(place, headers=keys["one"])
        await client.post("/v1/uploads", json=body, headers=keys["one"])
    assert (foreign.status_code, broken.status_code, offset, expired.status_code) == (404, 400, 0, 404)
    assert not list((home.root / "uploads" / "parts").glob("*"))


async def test_what_removed_documents_said_is_withheld_from_answers_and_hand_overs(
    client: AsyncTestClient[Any], home: Home, database: Database
) -> None:
    conversation = (await client.post("/v1/conversations", json={})).json()["id"]
    with database.write() as session:
        for document in ("policy.md", "acme.md"):
            save_answer(Answers(session), document, conversation)
    handover = await client.post("/v1/handovers", json={"answer_id": "ans-policy.md"})
    before = (await client.get("/v1/answers/ans-policy.md")).json()["answer"]
    remove_document("default", home, database, "policy.md")
    shown = await client.get("/v1/answers/ans-policy.md")
    turns = (await client.get(f"/v1/conversations/{conversation}/turns")).text
    kept = (await client.get("/v1/answers/ans-acme.md")).json()["answer"]
    told = await client.get(handover.headers["location"])
    listed = (await client.get("/v1/handovers")).text
    assert (before["text"], before["is_withheld"]) == ("24 months [1]", False)
    answer = shown.json()["answer"]
    assert (answer["text"], answer["citations"], answer["is_withheld"]) == ("", [], True)
    assert (kept["text"], kept["is_withheld"]) == ("24 months [1]", False)
    assert turns.count("24 months") == 2  # text and quote of the one that stays
    assert "24 months" not in told.text + listed + shown.text
    assert told.json()["summary"]["question"] == "How long?"


async def test_a_deleted_conversation_is_gone_from_its_hand_overs(
    client: AsyncTestClient[Any], database: Database
) -> None:
    conversation = (await client.post("/v1/conversations", json={})).json()["id"]
    with database.write() as session:
        save_answer(Answers(session), "policy.md", conversation)
    handover = await client.post(
        "/v1/handovers", json={"answer_id": "ans-policy.md", "note": "call 555-0100"}
    )
    await client.delete(f"/v1/conversations/{conversation}")
    told = (await client.get(handover.headers["location"])).json()
    assert (told["summary"], told["note"], told["state"]) == ({}, "", "open")


def save_answer(answers: Answers, document: str, conversation: str) -> None:
    chunk = Chunk(id=content_id(document), document=document, version=1, position=0, text=TEXT)
    citation = Citation(
        number=1,
        document=document,
        version=1,
        page=None,
        quote="24 months",
        heading_path=(),
        chunk_id=chunk.id,
        start=20,
        end=29,
    )
    answer = Answer(
        id=f"ans-{document}",
        question="How long?",
        text="24 months [1]",
        abstained=False,
        citations=(citation,),
        passages=(Passage(rank=1, score=1.0, chunk=chunk),),
        arm="rag",
        language="en",
        timings={},
    )
    answers.save(
        answer, key_id="local", collection="default", lineage=Lineage(), conversation_id=conversation
    )
