from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import delete, text

from assistant.core.errors import InputError, ResourceError
from assistant.store.database import Database
from assistant.store.meta import Meta
from assistant.store.tables import SCHEMA_VERSION, MetaRow


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'rows.sqlite3'}"


def test_rows_outlive_the_process(url: str) -> None:
    first = Database(url)
    with first.write() as session:
        Meta(session).put("colour", "blau")
    first.close()
    second = Database(url)
    with second.read() as session:
        assert Meta(session).get("colour") == "blau"
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
    second.close()


def test_what_was_deleted_is_in_none_of_its_files(url: str, tmp_path: Path) -> None:
    database, reader = Database(url), Database(url)  # the log outlives one of the two
    secrets = {f"n{number}": f"secret 密码 {number} " * 10 * number for number in range(60)}
    with database.write() as session:
        for name, secret in secrets.items():
            Meta(session).put(name, secret)
    with database.write() as session:
        session.execute(delete(MetaRow).where(MetaRow.name.in_(secrets)))
    with reader.read() as session:
        assert Meta(session).get("n1") is None
    database.empty_log()
    database.close()
    files = {path.name: path.read_bytes() for path in tmp_path.glob("rows.sqlite3*")}
    assert set(files) == {"rows.sqlite3", "rows.sqlite3-wal", "rows.sqlite3-shm"}
    assert not any("密码".encode() in content for content in files.values())
    reader.close()


def test_a_log_that_is_being_read_is_not_said_to_be_empty(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.store.database.BUSY_TIMEOUT_SECONDS", 0.01)
    database, other = Database(url), Database(url)
    with other.read() as session:
        Meta(session).get("colour")
        with database.write() as writing:
            Meta(writing).put("colour", "red")
        with pytest.raises(ResourceError, match="is being read"):
            database.empty_log()
    database.empty_log()
    for opened in (database, other):
        opened.close()


def test_an_error_rolls_the_whole_transaction_back(url: str) -> None:
    database = Database(url)

    def fail() -> None:
        with database.write() as session:
            Meta(session).put("colour", "red")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with database.write() as session:  # the lock is free again
        assert Meta(session).get("colour") is None
    database.close()


def test_a_newer_schema_is_refused(url: str) -> None:
    database = Database(url)
    with database.write() as session:
        Meta(session).put("schema_version", str(SCHEMA_VERSION + 1))
    database.close()
    with pytest.raises(InputError, match=f"schema version {SCHEMA_VERSION + 1}"):
        Database(url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes.sqlite3"
    file.write_bytes(b"just a text, and longer than the header of a database would be" * 40)
    with pytest.raises(InputError, match="no database"):
        Database(f"sqlite:///{file}")
    assert file.read_bytes().startswith(b"just a text")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="gone"):
        Database(f"sqlite:///{tmp_path / 'gone' / 'rows.sqlite3'}")


def test_a_url_without_a_known_driver_is_refused_without_its_password() -> None:
    with pytest.raises(InputError, match=r"nosuch://me:\*\*\*@host/rows"):
        Database("nosuch://me:secret@host/rows")


def test_writers_in_threads_and_in_another_process_wait_for_each_other(url: str) -> None:
    database = Database(url)
    # another process's writer holds the lock for a moment while ours start
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    numbers: list[int] = []

    def reserve() -> None:
        for _ in range(20):
            with database.write() as session:
                numbers.append(Meta(session).reserve("counter", 3))

    threads = [threading.Thread(target=reserve) for _ in range(4)]
    for thread in threads:
        thread.start()
    other.execute("COMMIT")
    other.close()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 1 + 3 * 80, 3))
    database.close()


_FULL = """
import resource, sys
from assistant.store.database import Database
from assistant.store.meta import Meta
database = Database(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19, 1 << 19))
for number in range(100):
    with database.write() as session:
        Meta(session).put(f"n{number}", "x" * 10_000)
"""


def test_a_disk_that_takes_no_more_is_told_with_what_is_free(url: str) -> None:
    ended = subprocess.run([sys.executable, "-c", _FULL, url], check=False, capture_output=True, text=True)
    assert "ResourceError: the disk" in ended.stderr
    assert "MiB are free at" in ended.stderr
    assert "run: deskmate doctor" in ended.stderr
    database = Database(url)  # what was committed before is there
    with database.read() as session:
        assert Meta(session).get("n0")
    database.close()
