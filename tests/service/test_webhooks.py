"""Webhooks: signed, only to hosts of the settings, tried again, and never lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from assistant.core.home import Home
from assistant.core.settings import Settings
from assistant.core.settings_webhooks import WebhookSettings
from assistant.core.signing import SignatureRefused, verify_webhook
from assistant.jobs.job_queue import JobQueue
from assistant.service.app import create_app
from assistant.service.kept import Kept
from assistant.service.webhook_sending import RETRY_SECONDS, WebhookSender
from assistant.store.database import Database
from assistant.store.feedback import Handovers
from assistant.store.keys import Keys, NewKey
from assistant.store.webhooks import EVENT_KINDS, Delivery, Endpoint, Webhooks

Serve = Callable[..., AbstractAsyncContextManager[AsyncTestClient[Any]]]


class Receiver:
    """An address that notes what it gets, and answers as told."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.wait = threading.Event()
        self.wait.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                outer.wait.wait(60)
                status = outer.statuses.pop(0) if outer.statuses else 204
                self.send_response(status)
                self.send_header("Location", f"{outer.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self.wait.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def kept(home: Home) -> Iterator[Kept]:
    opened = Kept(home)
    yield opened
    opened.close()


def settings(*hosts: str, **values: Any) -> WebhookSettings:
    return WebhookSettings(hosts=hosts, allow_http=True, **values)


def add(kept: Kept, url: str, **values: Any) -> tuple[Endpoint, str]:
    with kept.database.write() as session:
        given = {"key_id": "local", "events": EVENT_KINDS, "collections": None} | values
        return Webhooks(session).add(url=url, **given)


def open_handover(kept: Kept, collection: str = "pumps") -> None:
    with kept.database.write() as session:
        Handovers(session).open("key-1", collection, note="Anna ruft 13812345678 an", summary={"q": "泵"})


def deliveries(kept: Kept, endpoint: Endpoint) -> list[Delivery]:
    with kept.database.read() as session:
        return Webhooks(session).deliveries(endpoint.id)


async def send(sender: WebhookSender) -> int:
    begun = await sender.send_due()
    await sender.settle()
    return begun


async def test_events_are_signed_and_tell_no_content(kept: Kept, receiver: Receiver) -> None:
    endpoint, secret = add(kept, f"{receiver.url}/desk")
    sender = WebhookSender(kept, settings(receiver.host))
    open_handover(kept)
    job = kept.queue.enqueue("index.compact", "pumps", {"path": "/secret"})
    kept.queue.cancel(job.id)
    assert [await send(sender), await send(sender), await send(sender)] == [1, 1, 0]
    (path, headers, body), (_, later, second) = receiver.got
    assert path == "/desk"
    assert verify_webhook(secret, headers, body) == headers["webhook-id"]
    told = json.loads(body)
    what = (told["type"], told["data"]["collection"], told["data"]["state"])
    assert what == ("handover.opened", "pumps", "open")
    assert json.loads(second)["data"] | {"id": ""} == {
        "collection": "pumps",
        "id": "",
        "kind": "index.compact",
        "state": "cancelled",
        "error": None,
    }
    assert b"13812345678" not in body
    assert "泵" not in body.decode()
    for changed in (
        {"body": body + b" "},
        {"secret": secret[:-5] + "AAAA="},
        {"headers": headers | {"webhook-id": "evt-other"}},
        {"headers": headers | {"webhook-timestamp": "1"}},
        {"headers": later},
        {"headers": {}},
    ):
        with pytest.raises(SignatureRefused):
            verify_webhook(**({"secret": secret, "headers": headers, "body": body} | changed))
    assert [row.state for row in deliveries(kept, endpoint)] == ["delivered", "delivered"]


async def test_what_fails_is_tried_again_and_later_given_up(kept: Kept, receiver: Receiver) -> None:
    endpoint, _ = add(kept, receiver.url)
    clock = Clock()
    sender = WebhookSender(kept, settings(receiver.host, disable_after=100), clock)
    open_handover(kept)
    receiver.statuses = [500] * 20
    assert await send(sender) == 1
    for wait in RETRY_SECONDS:
        clock.now += wait - 1
        assert await send(sender) == 0
        clock.now += 0.1 * wait + 1
        assert await send(sender) == 1
    clock.now += 1e6
    assert await send(sender) == 0
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    (row,) = deliveries(kept, endpoint)
    assert (row.state, row.status, row.error, row.attempts) == ("failed", 500, "HTTP 500", 10)


async def test_an_address_that_fails_too_often_is_disabled_until_enabled(
    kept: Kept, receiver: Receiver
) -> None:
    endpoint, _ = add(kept, receiver.url)
    clock = Clock()
    sender = WebhookSender(kept, settings(receiver.host, disable_after=3), clock)
    for _ in range(4):
        open_handover(kept)
    receiver.statuses = [503, 200, 503, 503, 503]
    for wait in (0, 0, 0, 0, 10):
        clock.now += wait
        await send(sender)
    with kept.database.read() as session:
        stopped = Webhooks(session).get(endpoint.id)
    clock.now += 86_400.0
    assert (stopped.state, stopped.failures, len(receiver.got)) == ("disabled", 3, 5)
    assert await send(sender) == 0
    open_handover(kept)  # nobody wants it now
    with kept.database.write() as session:
        Webhooks(session).enable(endpoint.id)
    while await send(sender):
        pass
    assert {row.state for row in deliveries(kept, endpoint)} == {"delivered"}
    assert len(deliveries(kept, endpoint)) == 4


async def test_redirects_are_not_followed_and_410_ends_it(kept: Kept, receiver: Receiver) -> None:
    endpoint, _ = add(kept, receiver.url)
    sender = WebhookSender(kept, settings(receiver.host))
    receiver.statuses = [307, 410]
    open_handover(kept)
    open_handover(kept)
    await send(sender)
    await send(sender)
    with kept.database.read() as session:
        assert Webhooks(session).get(endpoint.id).state == "disabled"
    assert [path for path, _, _ in receiver.got] == ["/", "/"]
    assert [row.error for row in deliveries(kept, endpoint)] == ["HTTP 410", "HTTP 307"]


async def test_a_host_that_was_taken_out_of_the_settings_gets_nothing(kept: Kept, receiver: Receiver) -> None:
    endpoint, _ = add(kept, receiver.url)
    open_handover(kept)
    await send(WebhookSender(kept, settings("other.example")))
    assert receiver.got == []
    assert "does not stand in [webhooks] hosts" in deliveries(kept, endpoint)[0].error


async def test_a_hanging_address_holds_up_no_other(kept: Kept, receiver: Receiver) -> None:
    hanging = Receiver()
    hanging.wait.clear()
    add(kept, hanging.url)
    quick, _ = add(kept, receiver.url)
    sender = WebhookSender(kept, settings(receiver.host, hanging.host, timeout_seconds=60))
    for _ in range(3):
        open_handover(kept)
    await sender.send_due()
    while len(receiver.got) < 3:
        await sender.send_due()
    assert len(hanging.got) == 1
    hanging.close()
    await sender.settle()
    assert [row.state for row in deliveries(kept, quick)] == ["delivered"] * 3


async def test_an_address_that_does_not_answer_has_failed(kept: Kept, receiver: Receiver) -> None:
    receiver.wait.clear()
    endpoint, _ = add(kept, receiver.url)
    open_handover(kept)
    await send(WebhookSender(kept, settings(receiver.host, timeout_seconds=0.2)))
    assert deliveries(kept, endpoint)[-1].error == "no answer within 0.2 s"


async def test_an_address_gets_its_next_event_as_soon_as_it_took_one(kept: Kept, receiver: Receiver) -> None:
    add(kept, receiver.url)
    for _ in range(12):
        open_handover(kept)
    running = asyncio.create_task(WebhookSender(kept, settings(receiver.host)).run())
    async with asyncio.timeout(8):  # at one event a look at the outbox it takes twelve seconds
        while len(receiver.got) < 12:  # noqa: ASYNC110 - the receiver is of another thread
            await asyncio.sleep(0.02)
    assert running.cancel()  # it still ran: nothing had failed
    await asyncio.wait([running])


async def test_a_revoked_key_is_told_nothing_more(kept: Kept, receiver: Receiver) -> None:
    with kept.database.write() as session:
        key, _ = Keys(session).create(NewKey(name="x", role="owner"))
    endpoint, _ = add(kept, receiver.url, key_id=key.id)
    open_handover(kept)
    with kept.database.write() as session:
        Keys(session).revoke(key.id)
    open_handover(kept)
    assert await send(WebhookSender(kept, settings(receiver.host))) == 0
    assert len(deliveries(kept, endpoint)) == 1


def test_collections_and_kinds_are_held_to(kept: Kept) -> None:
    one, _ = add(kept, "https://a.example", collections=["pumps"], events=["handover.opened"])
    other, _ = add(kept, "https://b.example", events=["release.promoted"])
    open_handover(kept)
    open_handover(kept, "ovens")
    assert (len(deliveries(kept, one)), deliveries(kept, other)) == (1, [])


_KILLED = """
import os, signal, sys
from assistant.core.home import Home
from assistant.store.database import Database
from assistant.store.feedback import Handovers
database = Database(Home.from_environment().database_url)
with database.write() as session:
    Handovers(session).open("key-1", "pumps", note="", summary={})
print("committed", flush=True)
with database.write() as session:
    Handovers(session).open("key-1", "ovens", note="", summary={})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _kill(home: Home) -> tuple[int, str]:
    """Run a process that kills itself in its second transaction."""
    environment = os.environ | {"DESKMATE_HOME": str(home.root), "DESKMATE_DATABASE_URL": home.database_url}
    command = [sys.executable, "-c", _KILLED]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return done.returncode, done.stdout


async def test_events_survive_kill_9_and_come_with_their_change_or_not_at_all(
    kept: Kept, receiver: Receiver
) -> None:
    endpoint, _ = add(kept, receiver.url)
    assert _kill(kept.home) == (-signal.SIGKILL, "committed\n")
    with kept.database.read() as session:
        assert [row.collection for row in Handovers(session).listed()] == ["pumps"]
    clock = Clock()
    with kept.database.write() as session:  # a process that dies between claiming and telling
        assert len(Webhooks(session).claim(clock.now, clock.now + 90.0)) == 1
    sender = WebhookSender(kept, settings(receiver.host), clock)
    assert await send(sender) == 0
    clock.now += 91.0
    assert (await send(sender), await send(sender)) == (1, 0)
    assert [json.loads(body)["data"]["collection"] for _, _, body in receiver.got] == ["pumps"]
    assert [row.state for row in deliveries(kept, endpoint)] == ["delivered"]


def test_old_events_are_forgotten(kept: Kept) -> None:
    endpoint, _ = add(kept, "https://a.example")
    open_handover(kept)
    with kept.database.write() as session:
        Webhooks(session).prune(1)
    assert len(deliveries(kept, endpoint)) == 1
    with kept.database.write() as session:
        Webhooks(session).prune(-1)
    assert deliveries(kept, endpoint) == []


async def test_routes(make_pipelines: Callable[..., Any], receiver: Receiver) -> None:
    chosen = Settings(webhooks=settings(receiver.host))
    database = Database(Home.from_environment().make().database_url)
    with database.write() as session:
        made = {
            name: Keys(session).create(NewKey(name=name, role="owner", **values))[1]
            for name, values in {
                "whole": {},
                "pumps": {"collections": ("pumps",)},
                "part": {"filters": {"customer": ("acme",)}},
            }.items()
        }
    database.close()
    heads = {name: {"Authorization": f"Bearer {secret}"} for name, secret in made.items()}
    whole, pumps, part = heads["whole"], heads["pumps"], heads["part"]
    app = create_app(chosen, pipelines=make_pipelines(settings=chosen))
    async with AsyncTestClient(app, base_url="http://127.0.0.1:8080") as client:
        wanted = {"url": receiver.url, "events": ["handover.opened"]}
        added = await client.post("/v1/webhooks", json=wanted, headers=whole)
        other = await client.post("/v1/webhooks", json=wanted, headers=pumps)
        location = added.headers["location"]
        statuses = {
            "elsewhere": (
                await client.post("/v1/webhooks", json=wanted | {"url": "http://evil.example"}, headers=whole)
            ).status_code,
            "part": (await client.post("/v1/webhooks", json=wanted, headers=part)).status_code,
            "foreign collection": (
                await client.post("/v1/webhooks", json=wanted | {"collections": ["ovens"]}, headers=pumps)
            ).status_code,
            "foreign": (await client.get(location, headers=pumps)).status_code,
            "unknown event": (
                await client.post("/v1/webhooks", json=wanted | {"events": ["x"]}, headers=whole)
            ).status_code,
        }
        listed = await client.get("/v1/webhooks", headers=whole)
        seen = await client.get("/v1/webhooks", headers=pumps)
        tested = await client.post(f"{location}/test", headers=whole)
        told = await client.get(f"{location}/deliveries", headers=whole)
        enabled = await client.post(f"{location}/enable", headers=whole)
        gone = await client.delete(location, headers=whole)
        after = await client.get(location, headers=whole)
    assert (added.status_code, added.headers["cache-control"]) == (201, "no-store")
    assert added.json()["secret"].startswith("whsec_")
    assert other.json()["webhook"]["collections"] == ["pumps"]
    assert statuses == {
        "elsewhere": 400,
        "part": 403,
        "foreign collection": 404,
        "foreign": 404,
        "unknown event": 400,
    }
    assert len(listed.json()["data"]) == 2
    assert [row["id"] for row in seen.json()["data"]] == [other.json()["webhook"]["id"]]
    assert "whsec_" not in listed.text
    event_id = receiver.got[0][1]["webhook-id"]
    assert tested.json() == {"event_id": event_id, "is_taken": True, "status": 204, "error": ""}
    assert verify_webhook(added.json()["secret"], receiver.got[0][1], receiver.got[0][2])
    assert told.json() == {"data": [], "next_cursor": None}
    assert (enabled.json()["state"], gone.status_code, after.status_code) == ("active", 204, 404)


def test_a_queue_without_listeners_writes_no_event(home: Home) -> None:
    database = Database(home.database_url)
    queue = JobQueue(database, home)
    queue.cancel(queue.enqueue("index.compact", "pumps", {}).id)
    with database.read() as session:
        assert not Webhooks(session).is_due(2e9)
    database.close()
