"""Releases through the service and the commands: proven, switched under traffic, taken back, never half."""

from __future__ import annotations

import threading
import time
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient
from sqlalchemy import select

from assistant.answering.events import Question
from assistant.answering.opening import Resources
from assistant.answering.releases import measured_parts
from assistant.core.errors import CollectionBusy, InputError, NotFoundError
from assistant.core.jsonl import write_json
from assistant.service.app import create_app
from assistant.store.adapters import Adapter, Adapters
from assistant.store.audit import AuditLog
from assistant.store.release_tables import ReleaseRow
from assistant.store.releases import ReleaseContent, Releases
from assistant.store.service_tables import AnswerRow
from eval.summary import Report

EN = "Which torque do the flange bolts of the Q7 take?"
ZH = "T6 烤箱的门封条多久更换一次？"


def test_two_releases_switch_under_traffic_and_back_without_a_failure(desk: Any) -> None:
    old = desk.release("first")
    desk.promote(old)
    desk.write(52, 18)
    new = desk.release("second")
    seen: list[tuple[str, str | None]] = []
    stopping = threading.Event()
    with TestClient(create_app(desk.settings, home=desk.home), base_url="http://127.0.0.1") as client:
        desk.wait_for(lambda: client.get("/readyz").status_code == 200)

        def ask_on() -> None:
            while not stopping.is_set():
                seen.append(desk.asked(client, EN))

        threads = [threading.Thread(target=ask_on) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert desk.asked(client, EN)[1] == old  # the documents changed since; the release did not
        desk.promote(new)
        desk.wait_for(lambda: desk.asked(client, ZH)[1] == new)
        began = time.monotonic()
        desk.run("release", "rollback")
        desk.wait_for(lambda: desk.asked(client, ZH)[1] == old)
        assert time.monotonic() - began < 5
        desk.wait_for(lambda: len(seen) >= 200, 60)
        stopping.set()
        for thread in threads:
            thread.join()
        assert "12" in desk.asked(client, ZH)[0]
    torque = {old: "48", new: "52"}
    assert {release for _, release in seen} == {old, new}
    assert all(torque[str(release)] in text for text, release in seen)


def test_a_promoted_adapter_takes_effect_without_a_restart(desk: Any) -> None:
    def adapter() -> str | None:
        desk.asked(client, EN)
        with desk.database.read() as session:
            found = session.scalars(select(AnswerRow.lineage).order_by(AnswerRow.number.desc())).first()
            return found["adapter"] if found else None

    with TestClient(create_app(desk.settings, home=desk.home), base_url="http://127.0.0.1") as client:
        desk.wait_for(lambda: client.get("/readyz").status_code == 200)
        assert adapter() == "first"
        with desk.database.write() as session:
            Adapters(session).activate("second")
        desk.wait_for(lambda: adapter() == "second")
        (desk.home.adapters / "first" / "adapter_config.json").unlink()
        with desk.database.write() as session:
            Adapters(session).save(
                Adapter(
                    name="broken",
                    collection="default",
                    folder=str(desk.home.adapters / "first"),
                    base_fingerprint="x",
                    dataset_hash="x",
                    created="2026-01-09",
                )
            )
            Adapters(session).activate("broken")
        time.sleep(1.5)
        assert adapter() == "second"  # what cannot be opened is not served


def test_an_answer_is_made_again_from_the_release_it_names(desk: Any) -> None:
    old = desk.release("first")
    desk.promote(old)
    first = desk.json("ask", EN)
    assert first["release"] == old
    desk.write(52, 18)
    new = desk.release("first")
    desk.promote(new)
    assert "52" in desk.json("ask", EN)["answer"]
    again = desk.json("ask", EN, "--release", old)
    assert {key: again[key] for key in ("answer", "release", "citations")} == {
        key: first[key] for key in ("answer", "release", "citations")
    }
    assert isinstance(desk.run("ask", EN, "--release", "rel-none", fails=True).exception, NotFoundError)


def test_an_evaluation_measures_what_the_next_release_would_be(desk: Any) -> None:
    desk.promote(desk.release("first"))
    desk.write(52, 18)
    resources = Resources(desk.home, desk.settings)
    answer = resources.candidate("default").answer(Question(text=EN))
    resources.close()
    assert "52" in answer.text
    assert answer.release is None


def test_released_snapshots_are_not_pruned_until_they_are_retired(desk: Any) -> None:
    old = desk.release("first")
    for number in range(2):  # [index] snapshots_kept is 2
        desk.write(60 + number, 20 + number)
    desk.promote(old)
    assert "48" in desk.json("ask", EN)["answer"]
    desk.promote(desk.release("first"))
    desk.run("release", "retire", old)
    desk.write(70, 30)
    kept = {path.name for path in (desk.home.collection("default") / "snapshots").iterdir()}
    assert "000001" not in kept
    refused = desk.run("release", "rollback", old, fails=True).exception
    assert isinstance(refused, InputError)


def test_a_rollback_to_a_pruned_snapshot_is_refused_and_the_old_release_serves_on(desk: Any) -> None:
    old = desk.release("first")
    desk.promote(old)
    desk.write(52, 18)
    new = desk.release("second")
    desk.promote(new)
    desk.run("index", "compact")  # drops all but what is served
    refused = desk.run("release", "rollback", fails=True).exception
    assert isinstance(refused, InputError)
    assert "no longer kept" in str(refused)
    answer = desk.json("ask", ZH)
    assert answer["release"] == new
    assert "18" in answer["answer"]


def test_a_rollback_is_held_to_its_settings_and_to_its_files(desk: Any) -> None:
    old = desk.release("first")
    desk.promote(old)
    desk.write(52, 18)
    new = desk.release("second")
    desk.promote(new)
    refused = desk.run("--set", "engine.base_model=other", "release", "rollback", fails=True).exception
    assert "[engine] base_model" in str(refused)
    chunks = next((desk.home.collection("default") / "snapshots" / "000001" / "base").glob("chunks*"))
    content = chunks.read_bytes()
    chunks.unlink()  # the next snapshot has the same file
    chunks.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused = desk.run("release", "rollback", fails=True).exception
    assert "is damaged" in str(refused)
    assert desk.json("ask", EN)["release"] == new
    chunks.write_bytes(content)
    assert desk.json("release", "rollback") == {"release": old, "before": new}


def test_removed_documents_leave_released_snapshots_at_once(desk: Any) -> None:
    old = desk.release("first")
    desk.promote(old)
    desk.run("index", "remove", "q7.md")
    assert "48" not in desk.json("ask", EN)["answer"]
    assert desk.json("ask", ZH)["release"] == old


def test_of_two_promotions_at_once_the_second_is_refused(desk: Any) -> None:
    first, second = desk.release("first"), desk.release("second")
    with desk.database.read() as session:
        rows = [Releases(session).find(name, "default") for name in (first, second)]
    with desk.database.write() as session:
        Releases(session).switch(rows[0], "promote", None, "a", "")
    with pytest.raises(CollectionBusy, match="promoted meanwhile"), desk.database.write() as session:
        Releases(session).switch(rows[1], "promote", None, "b", "")
    assert desk.json("ask", EN)["release"] == first


def test_what_was_changed_after_the_release_is_refused(desk: Any) -> None:
    release = desk.release("first")
    desk.promote(release)
    (desk.home.adapters / "first" / "adapter_model.safetensors").write_text("other")
    assert "changed after" in str(desk.run("ask", EN, fails=True).exception)
    other = desk.release("second")
    with desk.database.write() as session:
        row = session.get_one(ReleaseRow, other)
        row.content = {**row.content, "adapter": "first"}
    refused = desk.run("release", "promote", other, "--without-gate", fails=True).exception
    assert "hashes to" in str(refused)


def test_without_a_report_the_gate_lets_no_adapter_pass(desk: Any) -> None:
    release = desk.release("second")
    refused = desk.run("release", "promote", release, fails=True).exception
    assert isinstance(refused, InputError)
    assert "no evaluation report" in str(refused)
    bare = desk.json("release", "create", "--without-adapter")["id"]
    assert desk.json("release", "promote", bare)["proof"] == "no adapter"


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("snapshot", "measured snapshot 000000"),
        ("prompts", "measured prompts 000000"),
        ("adapter", "measured adapter 000000"),
        ("", "does not compare"),
    ],
)
def test_a_report_of_another_snapshot_or_of_other_prompts_is_none_of_the_release(
    desk: Any, part: str, says: str
) -> None:
    shown = desk.json("release", "show", desk.release("second"))
    content = msgspec.convert(shown["content"], ReleaseContent)
    about = {
        "collection": "default",
        "adapter": "second",
        **measured_parts(content.snapshot, content.snapshot_sha256, content.templates),
    }
    about |= {part: "000000"} if part else {}
    report = Report(
        about=about,
        arms=("rag+ft",),
        reference="rag+ft",
        summaries=(),
        differences=(),
        losses=(),
        wins=(),
        scores={},
    )
    folder = desk.home.runs / "eval-default-x"
    folder.mkdir(parents=True)
    write_json(folder / "report.json", report)
    release = desk.release("second")
    refused = desk.run("release", "promote", release, fails=True).exception
    assert says in str(refused)


def test_list_show_diff_and_audit(desk: Any) -> None:
    one, two = desk.release("first"), desk.release("second")
    assert desk.release("first") == one  # the same content is the same release
    desk.promote(one)
    listed = desk.json("release", "list")
    assert {row["id"]: row["state"] for row in listed["releases"]} == {one: "active", two: "candidate"}
    assert [event["action"] for event in listed["events"]] == ["promote", "create", "create"]
    assert "gate: left out" in listed["events"][0]["proof"]
    differing = {row["name"] for row in desk.json("release", "diff", one, two)}
    assert differing == {
        "adapter",
        "adapter_sha256.adapter_config.json",
        "adapter_sha256.adapter_model.safetensors",
    }
    assert desk.json("release", "show", one[:8] if one[:8] != two[:8] else one)["id"] == one
    assert "served" in str(desk.run("release", "retire", one, fails=True).exception)
    with desk.database.read() as session:
        assert [entry.action for entry in AuditLog(session).entries()] == ["release.promote"]


def test_an_ab_keeps_conversations_with_their_release_and_counts_apart(desk: Any) -> None:
    old = desk.release("first")
    desk.promote(old)
    desk.write(52, 18)
    new = desk.release("second")
    with TestClient(create_app(desk.settings, home=desk.home), base_url="http://127.0.0.1") as client:
        desk.wait_for(lambda: client.get("/readyz").status_code == 200)

        def answer(**fields: str) -> dict[str, Any]:
            reply = client.post("/v1/answers", json={"question": EN, **fields})
            assert reply.status_code == 201, reply.text
            lineage = client.get(f"/v1/answers/{reply.json()['id']}").json()["lineage"]
            return {**reply.json(), "release": lineage["release"]}

        said = desk.json("release", "ab", old, new, "--weight", "0.5", "--without-gate")
        assert said["split"]["weight"] == 0.5
        conversations = [client.post("/v1/conversations", json={}).json()["id"] for _ in range(24)]

        def releases() -> list[str]:
            return [answer(conversation_id=name)["release"] for name in conversations]

        desk.wait_for(lambda: new in releases(), 20)
        chosen = releases()
        assert releases() == chosen  # each conversation stays with its release
        assert 4 <= chosen.count(new) <= 20
        of_new, of_old = (answer(conversation_id=conversations[chosen.index(name)]) for name in (new, old))
        assert "52" in of_new["text"]
        assert "48" in of_old["text"]
        told = client.post("/v1/feedback", json={"answer_id": of_new["id"], "rating": "down"})
        assert told.status_code == 201, told.text
        refused = desk.run("release", "retire", new, fails=True).exception
        assert "answers in an A/B" in str(refused)
        figures = {line["group"]: line for line in desk.json("release", "ab")["figures"]}
        assert figures[new]["down"] == 1
        assert figures[old]["down"] == 0
        assert figures[new]["answers"] > 2
        metrics = client.get("/metrics").text
        assert f'gen_ai_request_model="qwen2.5-coder-0.5b-instruct:second",release="{new}"' in metrics
        desk.run("release", "ab", "--off")
        desk.wait_for(lambda: set(releases()) == {old}, 20)
    with desk.database.read() as session:
        actions = [entry.action for entry in AuditLog(session).entries()]
    assert "release.ab" in actions
    assert "release.ab-off" in actions


def test_a_revoked_adapter_leaves_disk_engine_and_releases(desk: Any) -> None:
    old, new = desk.release("first"), desk.release("second")
    desk.promote(old)
    desk.promote(new)
    served = desk.run("adapter", "revoke", "second", "--yes", fails=True).exception
    assert isinstance(served, InputError)
    assert f"served with release {new}" in str(served)
    resources = Resources(desk.home, desk.settings, asks_canaries=True)
    with desk.database.read() as session:
        resources.released(Releases(session).find(old, "default"))
    assert resources.engine.adapters() == ("first",)
    listed = {row["adapter"]["name"]: row["releases"] for row in desk.json("adapter", "list")}
    assert listed == {"first": [old], "second": [new]}
    done = desk.json("adapter", "revoke", "first", "--yes")
    assert done["revoked"]["releases"] == [old]
    assert not (desk.home.adapters / "first").exists()
    resources.drop_revoked()
    assert resources.engine.adapters() == ()
    resources.close()
    refused = desk.run("release", "rollback", old, fails=True).exception
    assert "gone" in str(refused) or "retired" in str(refused)
    assert desk.json("ask", EN)["release"] == new
    assert isinstance(desk.run("adapter", "revoke", "first", "--yes", fails=True).exception, NotFoundError)
    with desk.database.read() as session:
        assert "adapter.revoke" in [entry.action for entry in AuditLog(session).entries()]
