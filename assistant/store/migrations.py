"""What older tables lack: one step from each schema version to the next, in plain SQL.

Only existing tables need a step; new ones are made as they are declared. A step is never changed once it
has shipped, and names no table class: those describe the newest schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from assistant.store.meta import Meta
from assistant.store.tables import SCHEMA_VERSION

# schema version → what leads to the next one, in the SQL that SQLite and PostgreSQL share
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


def migrate(session: Session) -> None:
    """Bring existing tables to the present schema, within the session's transaction.

    The version is read inside it: of two processes that open an old database at once, the second finds
    nothing left to do.
    """
    found = int(Meta(session).get("schema_version") or SCHEMA_VERSION)
    for version in range(found, SCHEMA_VERSION):
        for statement in _STEPS.get(version, ()):
            session.execute(text(statement))
