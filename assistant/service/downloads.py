"""A file on its way out: never shown by a browser, whole or a part of it, its name as it was given."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from litestar import Response
from litestar.openapi.spec import (
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
)
from litestar.openapi.spec import Schema as OpenAPISchema
from litestar.response import Stream

from assistant.core.errors import NotFoundError
from assistant.core.records import Record
from assistant.service.etags import is_seen
from assistant.service.problems import AnyRequest
from assistant.service.refusals import RangeNotSatisfiable

BYTES = "application/octet-stream"  # whatever it is: a page or a picture with a script in it is not opened
_PIECE_BYTES = 1 << 20
_MOST_DIGITS = 18
_RANGE = re.compile(r"bytes=\s*(\d*)-(\d*)\s*", re.ASCII | re.IGNORECASE)
_UNSAFE = re.compile(r"[^A-Za-z0-9._ ()-]")


class Download(Record, frozen=True, kw_only=True):
    """A file to send.

    Attributes:
        path: where it lies.
        name: the document's.
        sha256: of its bytes.
        missing: what is said where there is none.
    """

    path: Path
    name: str
    sha256: str
    missing: str


@dataclass
class FileAnswer(Operation):
    """Documents a route that answers with a file."""

    def __post_init__(self) -> None:
        """Add what the generator cannot know."""
        text, content = OpenAPISchema(type=OpenAPIType.STRING), {BYTES: OpenAPIMediaType()}
        name = OpenAPIHeader(schema=text, description="`attachment` with the document's file name.")
        part = OpenAPIHeader(schema=text, description="Which bytes these are, and of how many.")
        self.responses = {
            **(self.responses or {}),
            "200": OpenAPIResponse(
                description="The whole file", content=content, headers={"Content-Disposition": name}
            ),
            "206": OpenAPIResponse(
                description="A part of it", content=content, headers={"Content-Range": part}
            ),
        }
        asked = Parameter(
            name="Range",
            param_in="header",
            description="One range of bytes, such as `bytes=1048576-`, to go on where a download broke off; "
            "with `If-Range` only of the same file.",
            schema=text,
        )
        self.parameters = [*(self.parameters or []), asked]


def send_file(request: AnyRequest, file: Download) -> Response[bytes] | Stream:
    """Return the answer that sends a file, or the part of it that is asked for; blocks.

    Raises:
        NotFoundError: it is not kept.
        RangeNotSatisfiable: the part that is asked for lies behind its end.
    """
    tag = f'"{file.sha256}"'
    if is_seen(request, tag):
        return Response(b"", status_code=304, headers={"ETag": tag})
    try:
        opened = file.path.open("rb")  # from here on it is sent whole, whoever removes the document
    except FileNotFoundError as error:
        raise NotFoundError(file.missing) from error
    try:
        size = opened.seek(0, os.SEEK_END)
        part = _part(request, tag, size)
    except BaseException:
        opened.close()
        raise
    start, end = part or (0, size)
    headers = {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Content-Length": str(end - start),
        "Content-Disposition": disposition(file.name),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-cache",
    }
    if part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    pieces = _pieces(opened, start, end)
    return Stream(pieces, status_code=206 if part else 200, media_type=BYTES, headers=headers)


def disposition(document: str) -> str:
    """Return the header that saves a file under a document's name, also by clients that know ASCII only."""
    name = document.rsplit("/", 1)[-1]
    plain = _UNSAFE.sub("_", name).strip(" .") or "file"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _part(request: AnyRequest, tag: str, size: int) -> tuple[int, int] | None:
    """Return first byte and end of the part that is asked for; None for all.

    What is no single range is not heeded, as RFC 9110 has it.
    """
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None or request.headers.get("if-range", tag) != tag:
        return None
    first, last = asked.groups()
    if not (first or last) or max(len(first), len(last)) > _MOST_DIGITS:
        return None
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if first and last and int(last) < int(first):
        return None
    if start >= size:
        raise RangeNotSatisfiable(size)
    return start, end


def _pieces(opened: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    with opened:
        opened.seek(start)
        while start < end and (piece := opened.read(min(_PIECE_BYTES, end - start))):
            start += len(piece)
            yield piece
