"""Databases that earlier schemas made still open, and go back; ``data/schema_N.sql`` are their dumps."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.orm import Session

from assistant.cli.app import root
from assistant.core.errors import DeskmateError, InputError
from assistant.core.home import Home
from assistant.store import migrations
from assistant.store.audit import AuditLog
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Documents
from assistant.store.embeddings import Embeddings
from assistant.store.history import History
from assistant.store.meta import Meta
from assistant.store.migrations import BASELINE
from assistant.store.tables import SCHEMA_VERSION, Table

HERE = Path(__file__).parent
Rows = dict[str, list[tuple[Any, ...]]]


def stored(folder: Path, version: int) -> str:
    """Return the URL of a database that was made with an earlier schema."""
    file = folder / f"old-{version}.sqlite3"
    connection = sqlite3.connect(file)
    connection.executescript((HERE / "data" / f"schema_{version}.sql").read_text("utf-8"))
    connection.close()
    return f"sqlite:///{file}"


@pytest.fixture
def old(tmp_path: Path) -> str:
    return stored(tmp_path, 1)


@pytest.fixture
def before(tmp_path: Path) -> str:
    """The URL of a database of the release before, with a row in every table."""
    return stored(tmp_path, BASELINE)


@pytest.fixture
def look() -> Iterator[Callable[[str], Engine]]:
    made: list[Engine] = []

    def open_engine(url: str) -> Engine:
        made.append(create_engine(url))
        return made[-1]

    yield open_engine
    for engine in made:
        engine.dispose()


Look = Callable[[str], Engine]


def shape(engine: Engine) -> dict[str, list[tuple[str, type, bool]]]:
    tables = inspect(engine)
    return {
        table: sorted(
            (row["name"], row["type"].python_type, row["nullable"]) for row in tables.get_columns(table)
        )
        for table in tables.get_table_names()
    }


def rows(engine: Engine, tables: Rows | None = None) -> Rows:
    """Return all rows, of ``tables`` only their columns of then; the schema's own version left out."""
    found: Rows = {}
    with engine.connect() as connection:
        for table in tables or inspect(engine).get_table_names():
            if table == "alembic_version":
                continue
            stated = connection.execute(text(f'SELECT * FROM "{table}"')).all()  # noqa: S608
            width = len(tables[table][0]) if tables else None
            found[table] = sorted(
                (tuple(row)[:width] for row in stated if row[0] != "schema_version"), key=repr
            )
    return found


def differences(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection), Table.metadata)


def test_the_revisions_are_one_line_up_to_the_present_schema() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent / "revisions"))
    line = [script.revision for script in scripts.walk_revisions()]
    assert line == [f"{version:04d}" for version in range(SCHEMA_VERSION, BASELINE - 1, -1)]


def test_a_new_database_is_what_the_tables_declare(tmp_path: Path, look: Look) -> None:
    url = f"sqlite:///{tmp_path / 'new.sqlite3'}"
    Database(url).close()
    assert differences(look(url)) == []


@pytest.mark.parametrize("version", [1, BASELINE])
def test_an_old_database_gets_the_tables_of_a_new_one(version: int, tmp_path: Path, look: Look) -> None:
    new, url = f"sqlite:///{tmp_path / 'new.sqlite3'}", stored(tmp_path, version)
    Database(new).close()
    Database(url).close()
    assert shape(look(url)) == shape(look(new))
    if version == BASELINE:  # SQL before Alembic called a column's type by another name
        assert differences(look(url)) == []
    database = Database(url)
    with database.read() as session:
        assert Meta(session).get("schema_version") == str(SCHEMA_VERSION)
    database.close()


def test_forward_and_back_keeps_every_row(before: str, look: Look) -> None:
    engine = look(before)
    was, form = rows(engine), shape(engine)
    assert not [table for table, found in was.items() if not found]
    for _ in range(2):
        database = Database(before)
        assert rows(engine, was) == was
        assert database.downgrade(BASELINE) == SCHEMA_VERSION
        database.close()
        assert rows(engine) == was
        assert {name: columns for name, columns in shape(engine).items() if name != "alembic_version"} == form
    with Session(engine) as session:
        assert Meta(session).get("schema_version") == str(BASELINE)


def test_what_was_written_before_is_still_guarded(before: str) -> None:
    database = Database(before)
    with database.read() as session:
        report = AuditLog(session).verify()
    assert (report.count, report.broken_at) == (2, None)

    def forget() -> None:
        with database.write() as session:
            session.execute(text("DELETE FROM audit_log"))

    with pytest.raises(DeskmateError, match="append-only"):
        forget()
    database.close()


@pytest.mark.parametrize("version", [0, 4, SCHEMA_VERSION + 1])
def test_a_version_that_it_cannot_go_back_to_is_named(before: str, version: int) -> None:
    database = Database(before)
    with pytest.raises(InputError, match=f"version {version}: it can go to 5 up to {SCHEMA_VERSION}"):
        database.downgrade(version)
    database.close()


_OPEN = """
import sys
from assistant.store.database import Database
import alembic.command
for url in sys.argv[1:]:
    print("there", flush=True)
    sys.stdin.readline()
    Database(url).close()
"""


def test_two_processes_that_start_at_once(before: str, tmp_path: Path, look: Look) -> None:
    was = rows(look(before))
    urls = [before, f"sqlite:///{tmp_path / 'new.sqlite3'}"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([sys.executable, "-c", _OPEN, *urls], **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for _ in urls:
        assert [process.stdout.readline() for process in started] == ["there\n"] * 2
        for process in started:
            process.stdin.write("\n")
            process.stdin.flush()
    assert [process.communicate()[1] or process.returncode for process in started] == [0, 0]
    assert [differences(look(url)) for url in urls] == [[], []]
    assert rows(look(before), was) == was


def test_what_an_old_database_holds_can_be_read_and_changed(old: str) -> None:
    database = Database(old)
    with database.write() as session:
        pumps = Documents(session).make_collection("pumps")
        live = Documents(session).live_versions(pumps.id)
        assert [(v.document, v.number, v.metadata) for v in live] == [
            ("en/pump.md", 2, {}),
            ("zh/泵.txt", 1, {}),
        ]
        history = History(session, pumps)
        history.serve(history.version("en/pump.md", 1))
        texts = {row.chunk.text for row in Chunks(session).numbered(Chunks(session).numbers(pumps.id))}
        assert texts == {"Clean the seal weekly.", "每周清洗密封圈。"}
    database.close()


def test_a_step_that_fails_leaves_the_old_database_as_it_was(old: str, look: Look) -> None:
    connection = sqlite3.connect(old.removeprefix("sqlite:///"))
    connection.execute("ALTER TABLE document_versions ADD COLUMN requested_metadata JSON")  # there already
    connection.close()
    form = shape(look(old))
    with pytest.raises(DeskmateError, match="duplicate column"):
        Database(old)
    assert shape(look(old)) == form


def test_embeddings_of_tables_are_made_anew_because_they_lack_their_rows(old: str) -> None:
    connection = sqlite3.connect(old.removeprefix("sqlite:///"))
    connection.execute("UPDATE chunks SET kind = 'table' WHERE id = 1")
    connection.commit()
    keys = [key for (key,) in connection.execute("SELECT embedding_key FROM chunks ORDER BY id")]
    connection.close()
    database = Database(old)
    with database.read() as session:
        assert Embeddings(session).missing(keys, "hashing-1") == [keys[0], keys[2]]  # the third never had one
    database.close()


def test_the_command_shows_the_schema_and_takes_it_back(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKMATE_HOME", str(home.root))
    for words, version in ((["show"], SCHEMA_VERSION), (["downgrade", "5"], 5), (["show"], SCHEMA_VERSION)):
        done = CliRunner().invoke(root, ["database", *words, "--json"])
        assert json.loads(done.stdout)["schema_version"] == version
    told = CliRunner().invoke(root, ["database", "show"]).stdout
    assert told.strip().endswith(f"schema version {SCHEMA_VERSION}; it can go back to {BASELINE}")
