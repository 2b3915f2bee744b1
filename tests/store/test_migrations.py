"""Databases that earlier schemas made still open; ``data/schema_1.sql`` is a dump of one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from assistant.core.errors import DeskmateError
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Documents
from assistant.store.embeddings import Embeddings
from assistant.store.history import History
from assistant.store.meta import Meta
from assistant.store.tables import SCHEMA_VERSION


@pytest.fixture
def old(tmp_path: Path) -> str:
    file = tmp_path / "old.sqlite3"
    connection = sqlite3.connect(file)
    connection.executescript((Path(__file__).parent / "data" / "schema_1.sql").read_text("utf-8"))
    connection.close()
    return f"sqlite:///{file}"


def shape(url: str) -> dict[str, list[tuple[str, type, bool]]]:
    engine = create_engine(url)
    tables = inspect(engine)
    found = {
        table: sorted(
            (row["name"], row["type"].python_type, row["nullable"]) for row in tables.get_columns(table)
        )
        for table in tables.get_table_names()
    }
    engine.dispose()
    return found


def test_an_old_database_gets_the_tables_of_a_new_one(old: str, tmp_path: Path) -> None:
    new = f"sqlite:///{tmp_path / 'new.sqlite3'}"
    Database(new).close()
    Database(old).close()
    assert shape(old) == shape(new)
    database = Database(old)
    with database.read() as session:
        assert Meta(session).get("schema_version") == str(SCHEMA_VERSION)
    database.close()


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


def test_a_step_that_fails_leaves_the_old_database_as_it_was(old: str) -> None:
    connection = sqlite3.connect(old.removeprefix("sqlite:///"))
    connection.execute("ALTER TABLE document_versions ADD COLUMN requested_metadata JSON")  # there already
    connection.close()
    before = shape(old)
    with pytest.raises(DeskmateError, match="duplicate column"):
        Database(old)
    assert shape(old) == before


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
