from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assistant.cli.app import root
from assistant.core.errors import DeskmateError, InputError, NotFoundError
from assistant.core.home import Home
from assistant.store.audit import AuditEvent, AuditLog
from assistant.store.database import Database
from assistant.store.keys import Keys, key_digest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path))
    return Home.from_environment()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, list(arguments))


def test_a_key_is_made_listed_rotated_and_revoked(home: Home) -> None:
    made = json.loads(
        run(
            *("keys", "create", "前台", "--role", "owner", "--scope", "ask", "--collection", "pumps"),
            *("--filter", "customer=红", "--days", "9", "--json"),
        ).output
    )
    key = made["key"]
    listed = run("keys", "list").output
    rotated = json.loads(run("keys", "rotate", key["id"], "--grace-hours", "1", "--json").output)
    database = Database(home.database_url)
    with database.read() as session:
        for secret in (made["secret"], rotated["secret"]):
            caller = Keys(session).caller(key_digest(secret.encode()))
            assert caller is not None
            assert (caller.scopes, caller.filters) == (("ask",), {"customer": ("红",)})
    database.close()
    revoked = run("keys", "revoke", key["id"]).output
    assert "前台" in listed
    assert "customer=红" in listed
    assert made["secret"] not in listed
    assert "revoked" in revoked
    assert isinstance(run("keys", "revoke", "key-0").exception, NotFoundError)
    assert isinstance(run("keys", "create", "x", "--filter", "date=2026").exception, InputError)
    assert isinstance(run("keys", "create", "x", "--collection", "../x").exception, InputError)


def test_the_audit_log_is_verified_and_exported(home: Home) -> None:
    database = Database(home.database_url)
    for number in range(2):
        with database.write() as session:
            entry = AuditLog(session).append(
                AuditEvent(
                    actor="key-1", role="admin", action="x", target=str(number), status=200, request_id="r"
                )
            )
    database.close()
    good = run("audit", "verify", "--head", entry.digest)
    lines = [json.loads(line) for line in run("audit", "export").output.splitlines()]
    other = run("audit", "verify", "--head", "0" * 64)
    connection = sqlite3.connect(home.root / "deskmate.sqlite3")
    connection.execute("DROP TRIGGER audit_no_update")
    connection.execute("UPDATE audit_log SET target = 'other' WHERE number = 1")
    connection.commit()
    connection.close()
    bad = run("audit", "verify")
    assert good.output.startswith("2 entries, whole")
    assert [line["resources"][0]["name"] for line in lines] == ["0", "1"]
    assert isinstance(other.exception, DeskmateError)
    assert "entry 1: it was changed" in str(bad.exception)


def test_old_entries_are_moved_to_a_file_and_the_rest_stays_verifiable(home: Home, tmp_path: Path) -> None:
    database = Database(home.database_url)
    with database.write() as session:
        log = AuditLog(session, lambda: datetime(2026, 1, 2, tzinfo=UTC))
        event = AuditEvent(actor="key-1", role="admin", action="x", target="甲", status=200, request_id="r")
        first, second, third = (log.append(event) for _ in range(3))
    database.close()
    connection = sqlite3.connect(home.root / "deskmate.sqlite3")
    (guards,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()
    file = tmp_path / "old.jsonl"
    none = run("audit", "prune", "--days", "36500", "--to", str(tmp_path / "none.jsonl"), "--json")
    pruned = run("audit", "prune", "--days", "1", "--to", str(file))
    again = run("audit", "prune", "--days", "1", "--to", str(file))
    good = run("audit", "verify", "--head", third.digest)
    lost = run("audit", "verify", "--head", first.digest)
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    (kept,) = (json.loads(line) for line in run("audit", "export").output.splitlines())
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("DELETE FROM audit_log")
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone() == (
        guards,
    )
    connection.execute("UPDATE meta SET value = '2 ' || ? WHERE name = 'audit_anchor'", (second.digest,))
    connection.commit()
    connection.close()
    forged = run("audit", "verify")
    assert json.loads(none.output)["pruned"] == 0
    assert "3 entries older" in pruned.output
    assert isinstance(again.exception, InputError)
    assert "1 entries after 3 pruned ones, whole" in good.output
    assert isinstance(lost.exception, DeskmateError)
    assert [line["unmapped"]["digest"] for line in lines] == [first.digest, second.digest, third.digest]
    assert kept["resources"][0]["name"] == f"entries up to 3, {third.digest}"
    assert kept["unmapped"]["previous"] == third.digest
    assert "entry 3 is missing" in str(forged.exception)


def test_a_backup_is_written_and_restored(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("keys", "create", "desk")
    written = run("backup", str(tmp_path / "b.tar.gz"))
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "other"))
    restored = run("restore", str(tmp_path / "b.tar.gz"))
    assert "files written" in written.output
    assert "files restored" in restored.output
    assert "desk" in run("keys", "list").output
