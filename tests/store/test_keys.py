from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from assistant.core.access import ROLE_SCOPES
from assistant.core.errors import DeskmateError, InputError, NotFoundError
from assistant.core.home import Home
from assistant.store.audit import START, AuditEvent, AuditLog, to_ocsf
from assistant.store.database import Database
from assistant.store.keys import Keys, NewKey, key_digest


@pytest.fixture
def database(home: Home) -> Database:
    return Database(home.database_url)


@pytest.mark.sqlite
def test_a_key_is_kept_as_its_hash_only(database: Database, home: Home) -> None:
    with database.write() as session:
        key, secret = Keys(session).create(NewKey(name="desk 前台", role="agent", collections=("pumps",)))
    with database.read() as session:
        caller = Keys(session).caller(key_digest(secret.encode()))
        assert Keys(session).caller(key_digest(b"dmk_other")) is None
    database.empty_log()
    assert caller is not None
    assert (caller.id, caller.name, caller.reads("pumps"), caller.reads("ovens")) == (
        key.id,
        "desk 前台",
        True,
        False,
    )
    assert secret.encode() not in Path(home.database_url.removeprefix("sqlite:///")).read_bytes()
    database.close()


def test_expired_revoked_and_rotated_keys_let_nobody_in(database: Database) -> None:
    now = [1_800_000_000.0]
    with database.write() as session:
        keys = Keys(session, lambda: now[0])
        key, secret = keys.create(NewKey(name="short", expires="2027-01-16"))
        digest = key_digest(secret.encode())
        assert keys.caller(digest)
        _, second = keys.rotate(key.id, grace_seconds=60)
        assert keys.caller(digest)
        assert keys.caller(key_digest(second.encode()))
        now[0] += 60
        assert keys.caller(digest) is None
        assert keys.caller(key_digest(second.encode()))
        now[0] += 2 * 86_400
        assert keys.caller(key_digest(second.encode())) is None
        other, third = keys.create(NewKey(name="long"))
        keys.revoke(other.id)
        assert keys.caller(key_digest(third.encode())) is None
        with pytest.raises(InputError, match="revoked"):
            keys.rotate(other.id)
        assert keys.exist()
    database.close()


@pytest.mark.parametrize("expires", ["tomorrow", "2020-01-01", "9999-99-99", "", "0001-01-01T00:00+23:59"])
def test_a_key_expires_at_a_time_to_come(database: Database, expires: str) -> None:
    with database.write() as session, pytest.raises(InputError, match="expires"):
        Keys(session).create(NewKey(name="x", expires=expires))
    database.close()


def test_an_unknown_key_is_told(database: Database) -> None:
    with database.write() as session, pytest.raises(NotFoundError, match="no key 'key-0'"):
        Keys(session).revoke("key-0")
    database.close()


def test_each_role_holds_what_the_one_below_holds() -> None:
    agent, integrator, owner, admin = (
        ROLE_SCOPES[name] for name in ("agent", "integrator", "owner", "admin")
    )
    assert agent < integrator < owner < admin


def _note(database: Database, target: str) -> None:
    with database.write() as session:
        AuditLog(session).append(
            AuditEvent(
                actor="key-1", role="owner", action="addDocuments", target=target, status=202, request_id="r"
            )
        )


def test_the_audit_log_is_a_chain(database: Database) -> None:
    for target in ("/v1/a", "/v1/文档", "/v1/c"):
        _note(database, target)
    with database.read() as session:
        log = AuditLog(session)
        report = log.verify()
        newest = log.entries(limit=2)
        oldest = log.entries(before=2)
    assert (report.count, report.broken_at) == (3, None)
    assert [entry.number for entry in newest] == [3, 2]
    assert report.head == newest[0].digest
    assert newest[0].previous == newest[1].digest
    assert oldest[0].previous == START
    event = to_ocsf(newest[1])
    assert event["class_uid"] == 6003
    assert event["resources"] == [{"name": "/v1/文档"}]
    database.close()


@pytest.mark.sqlite
def test_the_database_refuses_to_change_an_entry(database: Database) -> None:
    _note(database, "/v1/a")
    for statement in ("UPDATE audit_log SET status = 200", "DELETE FROM audit_log"):
        with pytest.raises(DeskmateError, match="append-only"), database.write() as session:
            session.execute(text(statement))
    database.close()


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("statement", "broken_at", "reason"),
    [
        ("UPDATE audit_log SET actor = 'key-2' WHERE number = 2", 2, "was changed"),
        ("DELETE FROM audit_log WHERE number = 2", 3, "entry 2 is missing"),
        ("DELETE FROM audit_log WHERE number = 3", 3, "cut off"),
    ],
)
def test_who_goes_around_the_database_is_found_out(
    database: Database, statement: str, broken_at: int, reason: str
) -> None:
    for target in "abc":
        _note(database, target)
    with database.write() as session:
        for trigger in ("audit_no_update", "audit_no_delete"):
            session.execute(text(f"DROP TRIGGER {trigger}"))
        session.execute(text(statement))
    with database.read() as session:
        report = AuditLog(session).verify()
    assert report.broken_at == broken_at
    assert reason in report.reason
    database.close()
