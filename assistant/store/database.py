"""The database: opening, checking its schema version, and transactions with one writer at a time."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session

from assistant.core.errors import DeskmateError, InputError, ResourceError
from assistant.store import release_tables, removal_tables, service_tables
from assistant.store.meta import Meta
from assistant.store.migrations import migrate
from assistant.store.tables import SCHEMA_VERSION, MetaRow, Table

BUSY_TIMEOUT_SECONDS = 30
_TABLES = (release_tables, removal_tables, service_tables)  # their import declares tables on the same base
_LITTLE_BYTES = 16 << 20


class Database:
    """Rows that outlive a process. Safe to use from several threads.

    Args:
        url: SQLAlchemy URL; SQLite by default, others by their installed driver.

    Raises:
        ResourceError: it cannot be opened or written.
        InputError: the URL is bad, the file is no database, or a newer Deskmate made it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._writing = threading.Lock()
        self._engine = _open_engine(url)
        with _translated(url):
            self._prepare()

    def _prepare(self) -> None:
        names = set(inspect(self._engine).get_table_names())
        exists = MetaRow.__tablename__ in names
        if exists and self._schema_version() == SCHEMA_VERSION and names >= set(Table.metadata.tables):
            return
        with self.write() as session:  # the write lock: two processes may come at the same time
            if exists:
                migrate(session)
            Table.metadata.create_all(session.connection())  # tables that are not there yet
            Meta(session).put("schema_version", str(SCHEMA_VERSION))

    def _schema_version(self) -> int:
        """Return the version of the tables that are there.

        Raises:
            InputError: a newer Deskmate made them.
        """
        with self.read() as session:
            found = int(Meta(session).get("schema_version") or SCHEMA_VERSION)
        if found > SCHEMA_VERSION:
            raise InputError(
                f"database {_shown(self.url)} has schema version {found}, this Deskmate knows up to "
                f"{SCHEMA_VERSION}: a newer Deskmate made it",
                next_command="pip install --upgrade deskmate",
            )
        return found

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session whose rows are one consistent state; nothing is written."""
        with _translated(self.url), Session(self._engine) as session:
            if self._engine.dialect.name == "postgresql":  # there each statement sees a state of its own
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session that is committed at the end, or rolled back on any error; one at a time."""
        with self._writing, _translated(self.url), Session(self._engine) as session:
            # SQLite takes the write lock now: a read that turns into a write later fails at once when
            # another process wrote in between, whatever the busy timeout; others ignore the option
            session.connection(execution_options={"begin": "IMMEDIATE"})
            yield session
            session.commit()

    def empty_log(self) -> None:
        """Move what SQLite's write-ahead log holds into the database: deleted rows leave the disk with it.

        Raises:
            ResourceError: another process has been reading for too long.
        """
        if self._engine.dialect.name != "sqlite":
            return
        with self._writing, _translated(self.url), closing(self._engine.raw_connection()) as connection:
            # not through a session: it cannot be done within a transaction
            is_busy = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if is_busy:
            raise ResourceError(
                f"database {_shown(self.url)} is being read: what was deleted may still be in its log",
                next_command="deskmate index compact",
            )

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _open_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        is_sqlite = parsed.get_backend_name() == "sqlite"
        arguments = {"timeout": BUSY_TIMEOUT_SECONDS} if is_sqlite else {}
        engine = create_engine(parsed, connect_args=arguments)
    except Exception as error:
        raise InputError(f"database URL {_shown(url)} cannot be used: {error}") from error
    if is_sqlite:
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin by itself: _begin does
    # FULL: what was answered as stored or removed stays so when the power fails a moment later
    # secure_delete: the text of a deleted row is overwritten, not only its place given free
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Any) -> None:
    mode = connection.get_execution_options().get("begin", "")
    connection.exec_driver_sql(f"BEGIN {mode}")


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn the driver's errors into ours; what is no database error passes."""
    try:
        yield
    except OperationalError as error:
        reason = str(error.orig)
        if "full" in reason or "I/O error" in reason:
            raise ResourceError(_disk_message(url, reason), next_command="deskmate doctor") from error
        raise ResourceError(f"database {_shown(url)}: {reason}") from error
    except DatabaseError as error:
        if "not a database" in str(error.orig) or "malformed" in str(error.orig):
            raise InputError(f"database {_shown(url)} is damaged or no database: {error.orig}") from error
        raise DeskmateError(f"database {_shown(url)}: {error.orig}") from error


def _disk_message(url: str, reason: str) -> str:
    """Say that the disk is full, or that it failed: SQLite says "I/O error" of both."""
    name = make_url(url).database
    folder = Path(name).parent if name else Path()
    if not folder.exists():
        return f"database {_shown(url)} cannot be written: {reason}"
    free = shutil.disk_usage(folder).free
    what = "the disk is full" if "full" in reason or free < _LITTLE_BYTES else "the disk refuses to write"
    return (
        f"{what}: database {_shown(url)} cannot be written ({reason}), {free >> 20} MiB are free at {folder}"
    )


def _shown(url: str) -> str:
    """Return the URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except Exception:  # noqa: BLE001 - a URL that cannot be parsed is shown as it came, cut off
        return repr(url[:80])
