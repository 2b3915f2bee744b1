"""Uploads that come in pieces: what is to come, whose it is, and until when."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from assistant.core.errors import NotFoundError
from assistant.core.ids import random_id
from assistant.core.moments import to_moment
from assistant.core.records import Record
from assistant.store.upload_tables import UploadRow


class Upload(Record, frozen=True, kw_only=True):
    """A file that is on its way.

    Attributes:
        number: grows with every one.
        id: ``upl-…``.
        key_id: who sends it.
        collection: that it is for.
        name: of the document.
        size_bytes: of the whole file.
        sha256: of the whole file, None where the sender does not know it.
        metadata: of the document.
        created: when, ISO 8601 in UTC.
        expires: when it is given up.
    """

    number: int
    id: str
    key_id: str
    collection: str
    name: str
    size_bytes: int
    sha256: str | None
    metadata: dict[str, Any]
    created: str
    expires: str


class UploadRows:
    """The uploads within one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def begin(
        self,
        key_id: str,
        collection: str,
        *,
        name: str,
        size_bytes: int,
        sha256: str | None,
        metadata: dict[str, Any],
        expires: str,
    ) -> Upload:
        """Store a new one."""
        row = UploadRow(
            id=random_id("upl"),
            key_id=key_id,
            collection=collection,
            name=name,
            size_bytes=size_bytes,
            sha256=sha256,
            described=metadata,
            created=to_moment(),
            expires=expires,
        )
        self._session.add(row)
        self._session.flush()
        return _upload(row)

    def get(self, upload_id: str, key_id: str) -> Upload:
        """Return a key's upload.

        Raises:
            NotFoundError: the key has none of that id; it may have expired.
        """
        row = self._session.scalar(select(UploadRow).where(UploadRow.id == upload_id))
        if row is None or row.key_id != key_id or row.expires <= to_moment():
            raise NotFoundError(f"no upload {upload_id[:64]!r}; it may have expired")
        return _upload(row)

    def of(self, key_id: str) -> list[Upload]:
        """Return a key's uploads, newest first."""
        query = select(UploadRow).where(UploadRow.key_id == key_id, UploadRow.expires > to_moment())
        return [_upload(row) for row in self._session.scalars(query.order_by(UploadRow.number.desc()))]

    def ids(self) -> set[str]:
        """Return the ids of all that have not expired."""
        return set(self._session.scalars(select(UploadRow.id).where(UploadRow.expires > to_moment())))

    def remove(self, upload_id: str) -> None:
        """Forget one."""
        self._session.execute(delete(UploadRow).where(UploadRow.id == upload_id))

    def forget_expired(self) -> None:
        """Forget those that are given up."""
        self._session.execute(delete(UploadRow).where(UploadRow.expires <= to_moment()))


def _upload(row: UploadRow) -> Upload:
    names = [name for name in Upload.__struct_fields__ if name != "metadata"]
    return msgspec.convert({name: getattr(row, name) for name in names} | {"metadata": row.described}, Upload)
