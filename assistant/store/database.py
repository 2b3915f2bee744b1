"""The database: opening, checking its schema version, and transactions with one writer at a time."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from assistant.core.errors import DatabaseAway, DeskmateError, InputError, ResourceError
from assistant.store import (
    curated_tables,
    release_tables,
    removal_tables,
    service_tables,
    session_tables,
    upload_tables,
    webhook_tables,
)
from assistant.store.locking import READS
from assistant.store.migrations import create, downgrade, schema_version, take_lock, upgrade
from assistant.store.tables import SCHEMA_VERSION, MetaRow, Table

BUSY_TIMEOUT_SECONDS = 30
_LOCKED_SECONDS = 0.02
# their import declares tables on the same base
_TABLES = (
    curated_tables,
    release_tables,
    removal_tables,
    service_tables,
    session_tables,
    upload_tables,
    webhook_tables,
)
_LITTLE_BYTES = 16 << 20
_NO_VALUE = "22"  # SQLSTATE: of a kind that the column does not take
_AWAY = ("57P01", "57P02", "57P03", "08")  # SQLSTATE: shut down, crashed, starting, no connection


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
        if self._is_ready():
            return
        with self.write() as session:  # two processes may come at the same time
            take_lock(session)
            if MetaRow.__tablename__ in inspect(session.connection()).get_table_names():
                self._check_version(session)
                upgrade(session)
            else:
                create(session)

    def _is_ready(self) -> bool:
        with self.read() as session:
            names = set(inspect(session.connection()).get_table_names())
            if MetaRow.__tablename__ not in names:
                return False
            version = self._check_version(session)
        return version == SCHEMA_VERSION and names >= set(Table.metadata.tables)

    def _check_version(self, session: Session) -> int:
        """Return the version of the tables that are there.

        Raises:
            InputError: a newer Deskmate made them.
        """
        found = schema_version(session)
        if found > SCHEMA_VERSION:
            raise InputError(
                f"database {shown_url(self.url)} has schema version {found}, this Deskmate knows up to "
                f"{SCHEMA_VERSION}: a newer Deskmate made it",
                next_command="pip install --upgrade deskmate",
            )
        return found

    def downgrade(self, version: int) -> int:
        """Bring the tables back to an older schema, for the Deskmate that made it; return what it was before.

        Opening it again with this Deskmate brings it forward again.

        Raises:
            InputError: there is no such version below the present one.
        """
        with self.write() as session:
            take_lock(session)
            before = schema_version(session)
            downgrade(session, version)
        return before

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session whose rows are one consistent state; nothing is written."""
        with _translated(self.url), Session(self._engine, info=READS) as session:
            if self._engine.dialect.name == "postgresql":  # there each statement sees a state of its own
                self._connect(session)
                session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session that is committed at the end, or rolled back on any error; one at a time."""
        with self._writing, _translated(self.url), Session(self._engine) as session:
            # SQLite takes the write lock now: a read that turns into a write later fails at once when
            # another process wrote in between, whatever the busy timeout; others ignore the option
            self._connect(session, begin="IMMEDIATE")
            yield session
            session.commit()

    def _connect(self, session: Session, **options: Any) -> None:
        try:
            session.connection(execution_options=options)
        except (OSError, self._engine.dialect.loaded_dbapi.Error) as error:
            # SQLAlchemy passes on as it is what a driver meets while it connects
            raise DatabaseAway(f"database {shown_url(self.url)} cannot be reached: {error}") from error

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
                f"database {shown_url(self.url)} is being read: what was deleted may still be in its log",
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
        # a server that was restarted has closed what the pool holds: it is asked before it is relied on
        engine = create_engine(parsed, connect_args=arguments, pool_pre_ping=not is_sqlite)
    except Exception as error:
        raise InputError(f"database URL {shown_url(url)} cannot be used: {error}") from error
    if is_sqlite:
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin by itself: _begin does
    # FULL: what was answered as stored or removed stays so when the power fails a moment later
    # secure_delete: the text of a deleted row is overwritten, not only its place given free
    _keep_a_log(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _keep_a_log(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; a file that several processes open first is locked without waiting."""
    until = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(_LOCKED_SECONDS)
        else:
            return


def _begin(connection: Any) -> None:
    mode = connection.get_execution_options().get("begin", "")
    connection.exec_driver_sql(f"BEGIN {mode}")


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn the driver's errors into ours; what is no database error passes."""
    try:
        yield
    except DBAPIError as error:
        raise _ours(error, url) from error
    except ConnectionError as error:  # pg8000 passes on a reset as it is
        raise DatabaseAway(f"database {shown_url(url)} cannot be reached: {error}") from error


def _ours(error: DBAPIError, url: str) -> Exception:
    reason, name = str(error.orig), shown_url(url)
    if _is_away(error, url):
        return DatabaseAway(f"database {name} cannot be reached: {reason}")
    if _sql_state(error).startswith(_NO_VALUE):
        return InputError("a value cannot be stored as it is, such as a text with U+0000")
    if isinstance(error, OperationalError):
        if "full" in reason or "I/O error" in reason:
            return ResourceError(_disk_message(url, reason), next_command="deskmate doctor")
        return ResourceError(f"database {name}: {reason}")
    if "not a database" in reason or "malformed" in reason:
        return InputError(f"database {name} is damaged or no database: {reason}")
    return DeskmateError(f"database {name}: {reason}")


def _is_away(error: DBAPIError, url: str) -> bool:
    if url.startswith("sqlite"):
        return False
    return (
        error.connection_invalidated
        or isinstance(error, InterfaceError)
        or _sql_state(error).startswith(_AWAY)
    )


def _sql_state(error: DBAPIError) -> str:
    told = error.orig.args[0] if error.orig and error.orig.args else None
    return str(told.get("C", "")) if isinstance(told, dict) else ""  # as pg8000 tells it


def _disk_message(url: str, reason: str) -> str:
    """Say that the disk is full, or that it failed: SQLite says "I/O error" of both."""
    name = make_url(url).database
    folder = Path(name).parent if name else Path()
    if not folder.exists():
        return f"database {shown_url(url)} cannot be written: {reason}"
    free = shutil.disk_usage(folder).free
    what = "the disk is full" if "full" in reason or free < _LITTLE_BYTES else "the disk refuses to write"
    told = f"database {shown_url(url)} cannot be written ({reason})"
    return f"{what}: {told}, {free >> 20} MiB are free at {folder}"


def shown_url(url: str) -> str:
    """Return the URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except Exception:  # noqa: BLE001 - a URL that cannot be parsed is shown as it came, cut off
        return repr(url[:80])
