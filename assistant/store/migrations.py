"""From one schema to another, forward and back: Alembic's revisions, and the steps from before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.orm import Session

from assistant.core.errors import InputError
from assistant.store.meta import Meta
from assistant.store.tables import SCHEMA_VERSION, RevisionRow, Table

if TYPE_CHECKING:
    from alembic.config import Config

BASELINE = 5
_VERSION = "schema_version"
_LOCK = 0x6465736B  # of PostgreSQL's advisory locks; any number that no other program of this database takes
# schema version → what leads to the next one, in the SQL that SQLite and PostgreSQL share; frozen
_STEPS: Mapping[int, Sequence[str]] = {
    # embeddings of tables get vectors of their rows: made anew with the next snapshot
    1: ("DELETE FROM embeddings WHERE key IN (SELECT embedding_key FROM chunks WHERE kind = 'table')",),
    2: (
        "ALTER TABLE document_versions ADD COLUMN metadata JSON NOT NULL DEFAULT '{}'",
        "ALTER TABLE document_versions ADD COLUMN stated_metadata JSON NOT NULL DEFAULT '{}'",
        "ALTER TABLE document_versions ADD COLUMN requested_metadata JSON NOT NULL DEFAULT '{}'",
    ),
    3: ("ALTER TABLE chunks ADD COLUMN confidence FLOAT",),
    4: ("ALTER TABLE chunks ADD COLUMN box JSON",),
}


def take_lock(session: Session) -> None:
    """Let one process at a time change the schema; the lock goes with the transaction.

    On SQLite the transaction itself is that lock.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def schema_version(session: Session) -> int:
    """Return the version of the tables that are there."""
    return int(Meta(session).get(_VERSION) or BASELINE)


def create(session: Session) -> None:
    """Make all tables as they are declared, in an empty database."""
    Table.metadata.create_all(session.connection())
    session.add(RevisionRow(version_num=_revision(SCHEMA_VERSION)))
    Meta(session).put(_VERSION, str(SCHEMA_VERSION))


def upgrade(session: Session) -> None:
    """Bring existing tables to the present schema, within the session's transaction.

    Of two processes that open an old database at once, the second finds nothing left to do.
    """
    for version in range(schema_version(session), BASELINE):
        for statement in _STEPS.get(version, ()):
            session.execute(text(statement))
    from alembic.command import upgrade as run

    run(_config(session), "head")
    Meta(session).put(_VERSION, str(SCHEMA_VERSION))


def downgrade(session: Session, version: int) -> None:
    """Bring the tables back to an older schema, for the Deskmate that made it.

    What only the newer schema can hold is lost, and nothing else.

    Raises:
        InputError: there is no such version below the present one.
    """
    found = schema_version(session)
    if not BASELINE <= version <= found:
        raise InputError(f"the schema cannot go to version {version}: it can go to {BASELINE} up to {found}")
    from alembic.command import downgrade as run

    run(_config(session), _revision(version))
    Meta(session).put(_VERSION, str(version))


def _config(session: Session) -> Config:
    from alembic.config import Config

    session.flush()
    config = Config(attributes={"connection": session.connection()})
    config.set_main_option("script_location", str(Path(__file__).parent / "revisions").replace("%", "%%"))
    return config


def _revision(version: int) -> str:
    return f"{version:04d}"
