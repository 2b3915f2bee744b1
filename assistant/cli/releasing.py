"""What the commands about releases and adapters share."""

from __future__ import annotations

from sqlalchemy.orm import Session

from assistant.cli.context import Context
from assistant.store.audit import AuditEvent, AuditLog
from assistant.store.releases import Release, Releases

ACTOR = "local"


def find_release(context: Context, name: str, collection: str) -> Release:
    """Return a release by its id or the beginning of it.

    Raises:
        NotFoundError: there is none.
        InputError: several begin so.
    """
    with context.resources.database.read() as session:
        return Releases(session).find(name, collection)


def note(session: Session, action: str, target: str) -> None:
    """Write what was done into the audit log, within the transaction that does it."""
    event = AuditEvent(actor=ACTOR, role="", action=action, target=target, status=200, request_id="")
    AuditLog(session).append(event)
