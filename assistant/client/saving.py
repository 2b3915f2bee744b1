"""A file as it comes from the service: under its name only once it is whole."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from assistant.client.calls import NotOurs
from assistant.core.errors import InputError


class Saving:
    """Writes what comes beside a file and puts it in its place at the end; what is cut off leaves nothing.

    Args:
        path: of the file; one of that name is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(f".{path.name[:100]}.unfinished")
        self._digest = hashlib.sha256()
        self._size = 0

    def __enter__(self) -> Saving:
        try:
            self._file = self._unfinished.open("wb")
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._unfinished.unlink(missing_ok=True)

    def write(self, piece: bytes) -> None:
        """Write the next bytes.

        Raises:
            InputError: they cannot be written.
        """
        try:
            self._file.write(piece)
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written: {error.strerror}") from error
        self._digest.update(piece)
        self._size += len(piece)

    def finish(self, headers: Mapping[str, str]) -> int:
        """Put the file in its place and return its bytes.

        Raises:
            NotOurs: it is not what the service named in its ETag.
        """
        if headers.get("etag", "").strip('"') != self._digest.hexdigest():
            raise NotOurs("what came is not the file that the service keeps: is there a proxy in between?")
        self._file.close()
        self._unfinished.replace(self._path)
        return self._size
