"""Releases over the API: made, compared, promoted by a job, asked by name, taken back."""

from __future__ import annotations

from typing import Any

from litestar.testing import TestClient

from assistant.jobs.job_queue import JobQueue
from assistant.service.app import create_app
from assistant.store.keys import Keys, NewKey

EN = "Which torque do the flange bolts of the Q7 take?"


def test_releases_over_the_api_from_making_to_taking_back(desk: Any) -> None:
    with TestClient(create_app(desk.settings, home=desk.home), base_url="http://127.0.0.1:8080") as client:
        desk.wait_for(lambda: client.get("/readyz").status_code == 200)
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
        desk.wait_for(lambda: desk.asked(client, EN)[1] == new["id"])
        late = client.post(f"{place}/promote", headers=seen)
        listed = [(row["id"], row["state"]) for row in client.get("/v1/releases").json()["data"]]
        wrong = client.post(f"/v1/releases/{old['id']}/rollback")
        back = client.post(f"{place}/rollback").json()
        history = client.get(f"{place}/history").json()["data"]
        desk.wait_for(lambda: desk.asked(client, EN)[1] == old["id"])
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


def test_a_candidate_answers_those_only_who_manage_it(desk: Any) -> None:
    candidate = desk.release("first")
    with desk.database.write() as session:
        secrets = {role: Keys(session).create(NewKey(name=role, role=role))[1] for role in ("agent", "owner")}
    body = {"model": candidate, "messages": [{"role": "user", "content": EN}]}
    with TestClient(create_app(desk.settings, home=desk.home), base_url="http://127.0.0.1:8080") as client:
        desk.wait_for(lambda: client.get("/readyz").status_code == 200)
        seen = {
            role: client.post(
                "/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {secret}"}
            ).status_code
            for role, secret in secrets.items()
        }
    assert seen == {"agent": 404, "owner": 200}


def test_a_promotion_decided_on_another_state_fails_and_is_not_tried_for_ever(desk: Any) -> None:
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
