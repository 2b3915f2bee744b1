"""Large files in pieces: each piece is on the disk before it is acknowledged, whatever ends in between."""

import fcntl
import functools
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from assistant.core.access import Caller
from assistant.core.errors import NotFoundError, ResourceError
from assistant.core.ids import file_sha256
from assistant.core.moments import to_moment
from assistant.core.settings_limits import LimitSettings
from assistant.jobs.records import Job
from assistant.service.intake import own_metadata, queue_documents
from assistant.service.kept import Kept
from assistant.service.problems import RequestRefused
from assistant.service.queued import generation_of
from assistant.service.refusals import Conflict
from assistant.service.schemas_uploads import UploadRequest
from assistant.service.uploads import check_name
from assistant.store.uploads import Upload, UploadRows

MOST_OPEN = 20
_PIECE_BYTES = 1 << 20
_HOUR = 3600


class Parts:
    """The files of unfinished uploads.

    Args:
        kept: the data folder and the rows.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self.folder = kept.home.root / "uploads" / "parts"

    def path(self, upload: Upload) -> Path:
        """Return the file of an upload."""
        return self.folder / upload.id

    def offset(self, upload: Upload) -> int:
        """Return how many bytes are there."""
        return self.path(upload).stat().st_size if self.path(upload).exists() else 0

    def sweep(self) -> None:
        """Remove the files of uploads that expired or are no more; blocks."""
        with self._kept.database.write() as session:
            UploadRows(session).forget_expired()
            known = UploadRows(session).ids()
        for file in self.folder.glob("upl-*"):
            if file.name not in known:
                file.unlink(missing_ok=True)

    @contextmanager
    def changing(self, upload: Upload) -> Iterator[Path]:
        """Hold an upload's file, made if it was not there.

        Raises:
            Conflict: another request is writing to it.
            NotFoundError: another request has just completed or deleted it.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.path(upload)
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(f"another request is writing to upload {upload.id}") from error
            if not os.fstat(file.fileno()).st_nlink:  # the one that held it took it away
                raise NotFoundError(f"no upload {upload.id!r}; another request completed or deleted it")
            yield path


def begin_upload(
    kept: Kept, limits: LimitSettings, caller: Caller, collection: str, wanted: UploadRequest
) -> Upload:
    """Make room for a file that comes in pieces; blocks.

    Raises:
        RequestRefused: name or metadata cannot be used, or the file is larger than the limit.
        Conflict: the key has many unfinished ones already.
        ResourceError: the disk has no room for it.
    """
    name, metadata = check_name(wanted.name), own_metadata(caller, wanted.metadata)
    most = limits.resumable_mebibytes << 20
    if wanted.size_bytes > most:
        raise RequestRefused(f"a file has at most {limits.resumable_mebibytes} MiB", "size_bytes")
    generation_of(kept, collection)
    parts = Parts(kept)
    parts.sweep()
    if shutil.disk_usage(kept.home.root).free < 2 * wanted.size_bytes:
        raise ResourceError("the disk has no room for this file", next_command="deskmate doctor")
    with kept.database.write() as session:
        rows = UploadRows(session)
        if len(rows.of(caller.id)) >= MOST_OPEN:
            raise Conflict(f"{MOST_OPEN} uploads of this key are unfinished; complete or delete one")
        return rows.begin(
            caller.id,
            collection,
            name=name,
            size_bytes=wanted.size_bytes,
            sha256=wanted.sha256,
            metadata=metadata,
            expires=to_moment(time.time() + limits.upload_hours * _HOUR),
        )


async def append_piece(kept: Kept, upload: Upload, offset: int, body: AsyncIterator[bytes]) -> None:
    """Write the next bytes of a file; what came before a connection broke off stays.

    Raises:
        Conflict: the bytes do not follow those that are there, or another request is writing.
        RequestRefused: no bytes come, or more than the file has.
    """
    parts = Parts(kept)
    with parts.changing(upload) as path:
        there = path.stat().st_size
        if offset != there:
            raise Conflict(f"the next byte of upload {upload.id} is {there}, not {offset}")
        held, begin = bytearray(), there
        try:
            async for chunk in body:
                held += chunk
                if there + len(held) > upload.size_bytes:
                    raise RequestRefused(f"the file has {upload.size_bytes} bytes; more came", "body")
                if len(held) >= _PIECE_BYTES:
                    await kept.run(functools.partial(_write, path, bytes(held)))
                    there += len(held)
                    held.clear()
        finally:
            if there + len(held) <= upload.size_bytes:
                await kept.run(functools.partial(_write, path, bytes(held)))
        if there + len(held) == begin:
            raise RequestRefused("no bytes came", "body")


def complete_upload(kept: Kept, caller: Caller, upload: Upload) -> Job:
    """Queue the job that adds a whole file; blocks.

    Raises:
        Conflict: bytes are missing, or another request is writing.
        RequestRefused: the bytes are not those that were announced; the upload begins anew.
        Forbidden: the name is that of a document that the caller may not read.
    """
    parts = Parts(kept)
    with parts.changing(upload) as path:
        there = path.stat().st_size
        if there != upload.size_bytes:
            raise Conflict(f"upload {upload.id} has {there} of {upload.size_bytes} bytes")
        if upload.sha256 and file_sha256(path) != upload.sha256.lower():
            os.truncate(path, 0)
            raise RequestRefused("the file's SHA-256 is another one; send it anew from byte 0", "sha256")
        job = queue_documents(kept, caller, upload.collection, [(upload.name, path)], upload.metadata)
        with kept.database.write() as session:
            UploadRows(session).remove(upload.id)
        path.unlink()
    return job


def delete_upload(kept: Kept, upload: Upload) -> None:
    """Give an upload up; blocks."""
    with kept.database.write() as session:
        UploadRows(session).remove(upload.id)
    Parts(kept).path(upload).unlink(missing_ok=True)


def _write(path: Path, piece: bytes) -> None:
    with path.open("ab") as file:
        file.write(piece)
        file.flush()
        os.fsync(file.fileno())
