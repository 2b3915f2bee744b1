"""Every route of the API by every role; a route that has no row here fails the test."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from sqlalchemy import update
from sqlalchemy.orm import Session

from assistant.core.access import KeyRole
from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.service.app import create_app
from assistant.service.door import Door
from assistant.service.kept import Kept
from assistant.store.database import Database
from assistant.store.keys import Keys, NewKey
from assistant.store.service_tables import ApiKeyRow

Serve = Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]]
ROLES: tuple[KeyRole, ...] = ("agent", "integrator", "owner", "admin")
CHAT = {"messages": [{"role": "user", "content": "What does E07 mean?"}]}
# method, path, body → the least role; of those above each is let in, whatever it is then answered
ROUTES: dict[tuple[str, str], tuple[KeyRole, object]] = {
    ("POST", "/v1/chat/completions"): ("agent", CHAT),
    ("GET", "/v1/models"): ("agent", None),
    ("GET", "/v1/models/{model_id:str}"): ("agent", None),
    ("POST", "/v1/search"): ("agent", {"query": "E07"}),
    ("GET", "/v1/chunks/{chunk_id:str}"): ("agent", None),
    ("POST", "/v1/answers"): ("agent", {"question": "What does E07 mean?"}),
    ("GET", "/v1/answers"): ("agent", None),
    ("GET", "/v1/answers/{answer_id:str}"): ("agent", None),
    ("POST", "/v1/conversations"): ("agent", {}),
    ("GET", "/v1/conversations"): ("agent", None),
    ("GET", "/v1/conversations/{conversation_id:str}"): ("agent", None),
    ("GET", "/v1/conversations/{conversation_id:str}/turns"): ("agent", None),
    ("DELETE", "/v1/conversations/{conversation_id:str}"): ("agent", None),
    ("POST", "/v1/feedback"): ("agent", {"answer_id": "x", "rating": "up"}),
    ("GET", "/v1/feedback"): ("owner", None),
    ("POST", "/v1/handovers"): ("agent", {"answer_id": "x"}),
    ("GET", "/v1/handovers"): ("agent", None),
    ("GET", "/v1/handovers/{handover_id:str}"): ("agent", None),
    ("PATCH", "/v1/handovers/{handover_id:str}"): ("agent", {}),
    ("GET", "/v1/collections"): ("agent", None),
    ("POST", "/v1/collections"): ("owner", {"name": "pumps"}),
    ("GET", "/v1/collections/{name:str}"): ("agent", None),
    ("GET", "/v1/documents"): ("agent", None),
    ("POST", "/v1/documents"): ("owner", {"documents": [{"name": "a.md", "text": "x"}]}),
    ("POST", "/v1/documents/files"): ("owner", None),
    ("GET", "/v1/documents/{document_id:str}"): ("agent", None),
    ("GET", "/v1/documents/{document_id:str}/versions"): ("agent", None),
    ("GET", "/v1/documents/{document_id:str}/text"): ("agent", None),
    ("GET", "/v1/documents/{document_id:str}/download"): ("agent", None),
    ("DELETE", "/v1/documents/{document_id:str}"): ("owner", None),
    ("POST", "/v1/documents/{document_id:str}/versions/{number:int}/restore"): ("owner", None),
    ("GET", "/v1/uploads"): ("owner", None),
    ("POST", "/v1/uploads"): ("owner", {"name": "a.md", "size_bytes": 1}),
    ("GET", "/v1/uploads/{upload_id:str}"): ("owner", None),
    ("PATCH", "/v1/uploads/{upload_id:str}"): ("owner", None),
    ("POST", "/v1/uploads/{upload_id:str}/complete"): ("owner", None),
    ("DELETE", "/v1/uploads/{upload_id:str}"): ("owner", None),
    ("GET", "/v1/curated-answers"): ("agent", None),
    ("POST", "/v1/curated-answers"): ("owner", {"questions": ["x"], "text": "y"}),
    ("GET", "/v1/curated-answers/{answer_id:str}"): ("agent", None),
    ("PUT", "/v1/curated-answers/{answer_id:str}"): ("owner", {"questions": ["x"], "text": "y"}),
    ("DELETE", "/v1/curated-answers/{answer_id:str}"): ("owner", None),
    ("GET", "/v1/glossary"): ("agent", None),
    ("POST", "/v1/glossary"): ("owner", {"said": "x", "meant": "y"}),
    ("POST", "/v1/glossary/mine"): ("owner", {}),
    ("GET", "/v1/glossary/{term_id:str}"): ("agent", None),
    ("PATCH", "/v1/glossary/{term_id:str}"): ("owner", {"state": "approved"}),
    ("DELETE", "/v1/glossary/{term_id:str}"): ("owner", None),
    ("GET", "/v1/syncs"): ("owner", None),
    ("POST", "/v1/syncs"): ("owner", {"folder": "manuals"}),
    ("GET", "/v1/syncs/{sync_id:str}"): ("owner", None),
    ("GET", "/v1/datasets"): ("owner", None),
    ("POST", "/v1/datasets"): ("owner", {}),
    ("GET", "/v1/datasets/{dataset_id:str}"): ("owner", None),
    ("GET", "/v1/datasets/{dataset_id:str}/examples"): ("owner", None),
    ("GET", "/v1/runs"): ("owner", None),
    ("POST", "/v1/runs"): ("owner", {}),
    ("GET", "/v1/runs/{run_id:str}"): ("owner", None),
    ("GET", "/v1/runs/{run_id:str}/metrics"): ("owner", None),
    ("GET", "/v1/adapters"): ("owner", None),
    ("GET", "/v1/adapters/{name:str}"): ("owner", None),
    ("GET", "/v1/evals"): ("owner", None),
    ("POST", "/v1/evals"): ("owner", {}),
    ("GET", "/v1/evals/{eval_id:str}"): ("owner", None),
    ("GET", "/v1/releases"): ("owner", None),
    ("POST", "/v1/releases"): ("owner", {}),
    ("GET", "/v1/releases/{release_id:str}"): ("owner", None),
    ("GET", "/v1/releases/{release_id:str}/history"): ("owner", None),
    ("GET", "/v1/releases/{release_id:str}/diff"): ("owner", None),
    ("POST", "/v1/releases/{release_id:str}/promote"): ("owner", None),
    ("POST", "/v1/releases/{release_id:str}/rollback"): ("owner", None),
    ("GET", "/v1/jobs"): ("owner", None),
    ("GET", "/v1/jobs/{job_id:str}"): ("owner", None),
    ("GET", "/v1/jobs/{job_id:str}/events"): ("owner", None),
    ("POST", "/v1/jobs/{job_id:str}/cancel"): ("owner", None),
    ("POST", "/v1/jobs/{job_id:str}/retry"): ("owner", None),
    ("GET", "/v1/usage"): ("integrator", None),
    ("GET", "/v1/usage/topics"): ("owner", None),
    ("POST", "/v1/webhooks"): ("owner", {"url": "https://a.example", "events": ["job.ended"]}),
    ("GET", "/v1/webhooks"): ("owner", None),
    ("GET", "/v1/webhooks/{webhook_id:str}"): ("owner", None),
    ("GET", "/v1/webhooks/{webhook_id:str}/deliveries"): ("owner", None),
    ("POST", "/v1/webhooks/{webhook_id:str}/test"): ("owner", None),
    ("POST", "/v1/webhooks/{webhook_id:str}/enable"): ("owner", None),
    ("DELETE", "/v1/webhooks/{webhook_id:str}"): ("owner", None),
    ("POST", "/v1/embeddings"): ("integrator", {"input": "x"}),
    ("GET", "/metrics"): ("integrator", None),
    ("GET", "/v1/session"): ("agent", None),
    ("DELETE", "/v1/session"): ("agent", None),
    ("GET", "/v1/keys"): ("admin", None),
    ("POST", "/v1/keys"): ("admin", {"name": "x"}),
    ("GET", "/v1/keys/{key_id:str}"): ("admin", None),
    ("POST", "/v1/keys/{key_id:str}/rotate"): ("admin", {}),
    ("DELETE", "/v1/keys/{key_id:str}"): ("admin", None),
    ("GET", "/v1/audit"): ("admin", None),
    ("GET", "/v1/audit/verify"): ("admin", None),
}
OPEN = {
    "/",
    "/login",
    "/login/callback",
    "/livez",
    "/readyz",
    "/openapi.json",
    "/console/{name:str}",
    "/docs",
}
WHO = (None, "wrong", "revoked", "narrow", *ROLES)
_ABOVE = """# Every route by every role

Written by `tests/service/test_service_rights.py`: the status that each caller saw. `in` marks those who are
expected to be let in; the others are expected to get just the status that stands there. What somebody who was
let in then gets is the route's matter (404: the test has nothing of that name).
"""
# what a row may be answered with once the caller is let in
LET_IN = {200, 201, 202, 204, 400, 404, 409, 412, 422, 503}


@pytest.fixture
def secrets() -> dict[str, str]:
    database = Database(Home.from_environment().make().database_url)
    with database.write() as session:
        made = {role: Keys(session).create(NewKey(name=role, role=role))[1] for role in ROLES}
        gone, made["revoked"] = Keys(session).create(NewKey(name="gone", role="admin"))
        Keys(session).revoke(gone.id)
        _, made["narrow"] = Keys(session).create(NewKey(name="narrow", role="admin", scopes=("usage",)))
    database.close()
    return made


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def test_every_route_has_a_row(make_pipelines: Callable[..., Any]) -> None:
    app = create_app(pipelines=make_pipelines())
    found = {
        (method, route.path)
        for route in app.routes
        if route.path not in {*OPEN, "/mcp"} and not route.path.startswith("/docs")
        for method in getattr(route, "methods", ())
        if method != "OPTIONS"
    }
    assert found == set(ROUTES)


async def test_every_route_by_every_role(
    serve_in_memory: Serve, secrets: dict[str, str], check_golden: Callable[[str, str], None]
) -> None:
    seen: dict[str, dict[str, int]] = {}
    expected: dict[str, dict[str, str]] = {}
    async with serve_in_memory() as client:
        for (method, path), (least, body) in ROUTES.items():
            row = f"{method} {path}"
            url = re.sub(r"\{\w+:int\}", "1", re.sub(r"\{\w+:str\}", "c1", path))
            seen[row], expected[row] = {}, {}
            for who in WHO:
                secret = secrets.get(who or "", "dmk_wrong")
                headers = bearer(secret) if who else {}
                content = json.dumps(body).encode() if body is not None else None
                if content:
                    headers["Content-Type"] = "application/json"
                reply = await client.request(method, url, headers=headers, content=content)
                seen[row][str(who)] = reply.status_code
                expected[row][str(who)] = _expected(who, least, path)
    wrong = {
        (row, who): status
        for row, statuses in seen.items()
        for who, status in statuses.items()
        if not _fits(status, expected[row][who])
    }
    assert not wrong
    check_golden("../../docs/rights.md", _table(seen, expected))


def _table(seen: dict[str, dict[str, int]], expected: dict[str, dict[str, str]]) -> str:
    """Return every route by every caller: the status that was seen, and whether letting in is expected."""
    names = {"None": "no key", "wrong": "wrong key", "revoked": "revoked key", "narrow": "admin, usage only"}
    heads = [names.get(str(who), str(who)) for who in WHO]
    lines = [_ABOVE, f"| route | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for row, statuses in sorted(seen.items(), key=lambda item: item[0].split()[::-1]):
        cells = [
            f"{status} in" if expected[row][who] == "let in" else str(status)
            for who, status in statuses.items()
        ]
        route = re.sub(r":\w+\}", "}", row)
        lines.append(f"| `{route}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _expected(who: str | None, least: KeyRole, path: str) -> str:
    if who is None or who in {"wrong", "revoked"}:
        return "401"
    if who == "narrow":
        return "let in" if path in {"/v1/usage", "/metrics"} else "403"
    return "let in" if ROLES.index(who) >= ROLES.index(least) else "403"  # type: ignore[arg-type]


def _fits(status: int, expected: str) -> bool:
    return status in LET_IN if expected == "let in" else str(status) == expected


async def test_a_key_made_closes_the_door_and_a_revoked_one_does_not_open_it(
    serve_in_memory: Serve,
) -> None:
    async with serve_in_memory() as client:
        assert (await client.get("/v1/models")).status_code == 200
        refused = await client.post("/v1/keys", json={"name": "agent first"})
        made = await client.post("/v1/keys", json={"name": "值班 admin", "role": "admin"})
        body = made.json()
        mine = bearer(body["secret"])
        closed = await client.get("/v1/models")
        shown = await client.get(made.headers["location"], headers=mine)
        rotated = await client.post(f"{made.headers['location']}/rotate", headers=mine, json={})
        old = await client.get("/v1/models", headers=mine)
        mine = bearer(rotated.json()["secret"])
        audit = (await client.get("/v1/audit", headers=mine)).json()["data"]
        revoked = await client.delete(made.headers["location"], headers=mine)
        after = await client.get("/v1/models", headers=mine)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:deskmate:problem:conflict")
    assert (made.status_code, closed.status_code, old.status_code) == (201, 401, 401)
    assert made.headers["cache-control"] == "no-store"
    assert shown.json() == body["key"]
    assert "secret" not in shown.text
    assert [entry["action"] for entry in audit if entry["status"] < 400] == [
        "rotateKey",
        "getKey",
        "createKey",
    ]
    assert {entry["actor"] for entry in audit if entry["status"] == 401} == {"unknown"}
    assert revoked.json()["revoked"]
    assert after.status_code == 401


async def test_the_list_of_keys_says_no_secret_and_refuses_bad_filters(
    serve_in_memory: Serve, secrets: dict[str, str]
) -> None:
    admin = bearer(secrets["admin"])
    async with serve_in_memory() as client:
        text = (await client.get("/v1/keys", headers=admin)).text
        dated = await client.post(
            "/v1/keys", headers=admin, json={"name": "x", "filters": {"日期": ["2026"]}}
        )
        empty = await client.post("/v1/keys", headers=admin, json={"name": "x", "filters": {"tags": [""]}})
    assert not [secret for secret in secrets.values() if secret in text]
    assert (dated.status_code, empty.status_code) == (400, 400)
    assert dated.json()["errors"][0]["field"] == "filters"


async def test_limits_of_a_key(serve_in_memory: Serve, secrets: dict[str, str]) -> None:
    admin = bearer(secrets["admin"])
    async with serve_in_memory() as client:
        made = await client.post(
            "/v1/keys", headers=admin, json={"name": "slow", "role": "agent", "requests_per_minute": 2}
        )
        mine = bearer(made.json()["secret"])
        statuses = [await client.get("/v1/models", headers=mine) for _ in range(3)]
        other = await client.get("/v1/models", headers=admin)
    assert [reply.status_code for reply in statuses] == [200, 200, 429]
    assert 1 <= int(statuses[-1].headers["retry-after"]) <= 30
    assert statuses[-1].json()["error"]["code"] == "rate_limit_exceeded"
    assert other.status_code == 200


async def test_request_ids_go_in_and_out(client: AsyncTestClient[Any]) -> None:
    given = await client.get("/livez", headers={"X-Request-ID": "trace-1:2"})
    made = await client.get("/livez", headers={"X-Request-ID": "two words"})
    missing = await client.get("/nowhere")
    assert given.headers["x-request-id"] == "trace-1:2"
    assert made.headers["x-request-id"].startswith("req-")
    assert missing.headers["x-request-id"].startswith("req-")


async def test_an_expired_key_is_refused_like_one_that_never_was(
    serve_in_memory: Serve, secrets: dict[str, str]
) -> None:
    database = Database(Home.from_environment().database_url)
    with database.write() as session:
        expired_key = update(ApiKeyRow).where(ApiKeyRow.name == "owner")
        session.execute(expired_key.values(expires="2026-01-01T00:00:00+00:00"))
    database.close()
    async with serve_in_memory() as client:
        expired = await client.get("/v1/models", headers=bearer(secrets["owner"]))
        unknown = await client.get("/v1/models", headers=bearer("dmk_wrong"))
        streamed = await client.post(
            "/v1/answers", headers=bearer(secrets["owner"]), json={"question": "E07?", "stream": True}
        )
    assert (expired.status_code, streamed.status_code) == (401, 401)
    assert expired.json() == unknown.json()


async def test_many_requests_with_one_key_look_it_up_once(secrets: dict[str, str]) -> None:
    class CountingKept(Kept):
        count = 0

        async def read(self, work: Callable[[Session], Any]) -> Any:
            self.count += 1
            return await super().read(work)

    kept = CountingKept(Home.from_environment())
    door = Door(Settings(), kept)
    callers = await asyncio.gather(*(door.caller(f"Bearer {secrets['agent']}") for _ in range(50)))
    assert {caller.name for caller in callers} == {"agent"}
    assert kept.count == 1
    door.forget()
    await door.caller(f"Bearer {secrets['agent']}")
    assert kept.count == 2
    kept.close()
