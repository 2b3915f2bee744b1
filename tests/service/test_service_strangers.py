"""What a caller must not get: more rights than it has, what it may not read any more, what it deleted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.testing import AsyncTestClient
from sqlalchemy import update
from sqlalchemy.exc import DatabaseError

from assistant.core.access import Caller, Scope
from assistant.core.errors import InputError, NotFoundError
from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.core.settings_limits import LimitSettings
from assistant.service import resumable
from assistant.service.door import Door
from assistant.service.kept import Kept
from assistant.service.limits import Limits
from assistant.service.refusals import TooManyRequests
from assistant.service.resumable import Parts
from assistant.store.database import Database, _ours
from assistant.store.keys import Keys, NewKey
from assistant.store.service_tables import ApiKeyRow
from assistant.store.sessions import OpenSession
from assistant.store.uploads import UploadRows

Serve = Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]]
EN, ZH = "What does fault code E07 mean?", "故障代码 E12 表示什么？"


def make_key(name: str, **fields: Any) -> dict[str, str]:
    database = Database(Home.from_environment().make().database_url)
    with database.write() as session:
        _, secret = Keys(session).create(NewKey(name=name, **fields))
    database.close()
    return {"Authorization": f"Bearer {secret}"}


async def test_a_key_gives_no_more_than_it_has(serve_in_memory: Serve) -> None:
    scopes: tuple[Scope, ...] = ("keys", "ask", "read", "handle")
    admin, hirer = make_key("admin", role="admin"), make_key("hirer", role="admin", scopes=scopes)
    async with serve_in_memory() as client:
        made = {
            name: await client.post("/v1/keys", json={"name": name, **fields}, headers=hirer)
            for name, fields in {
                "agent": {"role": "agent"},
                "equal": {"role": "admin", "scopes": list(scopes)},
                "owner": {"role": "owner"},
                "admin": {"role": "admin"},
                "part": {"role": "owner", "collections": ["plain"]},
            }.items()
        }
        keys = (await client.get("/v1/keys", headers=admin)).json()["data"]
        ids = {row["name"]: row["id"] for row in keys}
        turned = {
            name: (await client.post(f"/v1/keys/{ids[name]}/rotate", json={}, headers=hirer)).status_code
            for name in ("agent", "admin")
        }
        still = await client.get("/v1/keys", headers=admin)
        by_admin = await client.post("/v1/keys", json={"name": "x", "role": "admin"}, headers=admin)
    assert {name: reply.status_code for name, reply in made.items()} == {
        "agent": 201,
        "equal": 201,
        "owner": 403,
        "admin": 403,
        "part": 403,
    }
    assert "'embed'" in made["owner"].json()["detail"]
    assert turned == {"agent": 200, "admin": 403}
    assert (still.status_code, by_admin.status_code) == (200, 201)


def narrow_all(*collections: str) -> None:
    database = Database(Home.from_environment().database_url)
    with database.write() as session:
        session.execute(update(ApiKeyRow).values(collections=list(collections)))
    database.close()


async def test_what_one_may_not_read_any_more_is_not_given_again(
    serve_in_memory: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.service.door.REMEMBERED_SECONDS", 0.0)
    mine = make_key("mine")
    asked = {"question": ZH, "collection": "default"}
    async with serve_in_memory() as client:
        begun = await client.post("/v1/conversations", json={"title": "旧"}, headers=mine)
        place = begun.headers["location"]
        made = await client.post("/v1/answers", json=asked, headers={**mine, "Idempotency-Key": "a"})
        turn = await client.post(
            "/v1/answers", json={"question": EN, "conversation_id": begun.json()["id"]}, headers=mine
        )
        narrow_all("plain")
        again = await client.post("/v1/answers", json=asked, headers={**mine, "Idempotency-Key": "a"})
        passed = await client.post(
            "/v1/handovers", json={"conversation_id": begun.json()["id"]}, headers=mine
        )
        gone = [
            (await client.get(path, headers=mine)).status_code
            for path in (place, f"{place}/turns", made.headers["location"])
        ]
        listed = [
            (await client.get(path, headers=mine)).json()["data"]
            for path in ("/v1/answers", "/v1/conversations")
        ]
        # one's own may be deleted all the same
        deleted = await client.delete(place, headers=mine)
    assert (made.status_code, turn.status_code) == (201, 201)
    assert (again.status_code, passed.status_code, gone) == (404, 404, [404, 404, 404])
    assert listed == [[], []]
    assert deleted.status_code == 204


@pytest.mark.parametrize("question", [EN, ZH])
async def test_an_answer_does_not_outlive_its_conversation(
    serve_live: Callable[..., Any], question: str
) -> None:
    server = serve_live()
    has_begun, may_go_on = threading.Event(), threading.Event()
    stream = server.engine.stream

    def waiting(request: Any) -> Any:
        has_begun.set()
        may_go_on.wait(20)
        return stream(request)

    server.engine.stream = waiting
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        begun = await client.post("/v1/conversations", json={})
        body = {"question": question, "conversation_id": begun.json()["id"]}
        asking = asyncio.create_task(client.post("/v1/answers", json=body))
        await asyncio.to_thread(has_begun.wait, 20)
        deleted = await client.delete(begun.headers["location"])
        may_go_on.set()
        answered = await asking
        listed = (await client.get("/v1/answers")).json()["data"]
    assert (deleted.status_code, answered.status_code, listed) == (204, 404, [])
    assert "was deleted" in answered.json()["detail"]


async def test_a_job_of_others_is_as_one_that_never_was(serve_in_memory: Serve) -> None:
    owner, other = make_key("a", role="owner"), make_key("b", role="owner", collections=("plain",))
    async with serve_in_memory() as client:
        await client.post("/v1/collections", json={"name": "default"}, headers=owner)
        document = {"documents": [{"name": "手册.md", "text": "E07"}]}
        job = (await client.post("/v1/documents", json=document, headers=owner)).json()["id"]
        told = [
            (await client.get(f"/v1/jobs/{name}", headers=other)).text.replace(name, "job-x")
            for name in (job, "job-never")
        ]
    assert "no job 'job-x'" in told[0]
    assert told[0] == told[1]


async def test_a_curated_answer_of_others_is_as_one_that_never_was(serve_in_memory: Serve) -> None:
    owner, other = make_key("a", role="owner"), make_key("b", collections=("plain",))
    async with serve_in_memory() as client:
        await client.post("/v1/collections", json={"name": "default"}, headers=owner)
        new = {"questions": ["怎么退货？"], "text": "请致电。"}
        made = (await client.post("/v1/curated-answers", json=new, headers=owner)).json()["id"]
        told = [
            (await client.get(f"/v1/curated-answers/{name}", headers=other)).text.replace(name, "cur-x")
            for name in (made, "cur-never")
        ]
    assert "no curated answer 'cur-x'" in told[0]
    assert told[0] == told[1]


class SlowRates:
    """Counts somewhere else."""

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()

    async def take(self, name: str, per_minute: int) -> float:
        await self.may_go_on.wait()
        return 0.0

    async def close(self) -> None:
        pass


async def test_requests_at_once_are_counted_before_the_rate_is_known() -> None:
    rates = SlowRates()
    limits = Limits(LimitSettings(concurrent_requests=2), rates)
    done = 0

    async def work(*_: object) -> None:
        nonlocal done
        done += 1

    scope: Any = {"user": Caller(id="key-1")}
    asked = [asyncio.create_task(limits.handle(scope, work, work, work)) for _ in range(5)]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    rates.may_go_on.set()
    came = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(row) for row in came].count(TooManyRequests) == 3
    assert done == 2
    await limits.handle(scope, work, work, work)  # type: ignore[arg-type]
    assert done == 3


async def test_a_session_that_ends_while_it_is_looked_up_is_not_remembered() -> None:
    class SlowKept:
        reads = 0

        async def read(self, _work: object) -> OpenSession:
            self.reads += 1
            door.forget()  # it ends now
            return OpenSession(caller=Caller(id="user-1"), expires=9e9)

    kept: Any = SlowKept()
    door = Door(Settings(), kept)
    await door.person("token")
    await door.person("token")
    assert kept.reads == 2


def test_an_upload_that_was_completed_a_moment_before_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(Home(tmp_path))
    with kept.database.write() as session:
        upload = UploadRows(session).begin(
            "k", "c", name="手册.md", size_bytes=1, sha256=None, metadata={}, expires="9999-01-01"
        )
    parts = Parts(kept)
    monkeypatch.setattr(resumable.fcntl, "flock", lambda *_: parts.path(upload).unlink())
    with pytest.raises(NotFoundError, match="completed or deleted"), parts.changing(upload):
        pass
    kept.close()


async def test_a_zero_byte_in_a_path_does_not_keep_a_refusal_out_of_the_log(serve_in_memory: Serve) -> None:
    admin = make_key("admin", role="admin")
    async with serve_in_memory() as client:
        refused = await client.get("/v1/documents/%00")
        logged = (await client.get("/v1/audit", headers=admin)).json()["data"]
    assert refused.status_code == 401
    assert logged[0]["target"] == "/v1/documents/\ufffd"


def test_what_a_database_server_cannot_store_is_a_bad_request() -> None:
    refused = Exception({"S": "ERROR", "C": "22021", "M": 'invalid byte sequence for encoding "UTF8": 0x00'})
    error = _ours(DatabaseError("INSERT", {}, refused), "postgresql+pg8000://desk@db/desk")
    assert isinstance(error, InputError)
    assert "U+0000" in error.message
