"""ETags: what a caller saw, so that a change of something else is refused."""

import hashlib
from typing import Any

import msgspec
from litestar import Response

from assistant.service.problems import AnyRequest
from assistant.service.refusals import PreconditionFailed


def etag(value: msgspec.Struct) -> str:
    """Return the ETag of what a route shows."""
    return f'"{hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:20]}"'


def tagged(value: msgspec.Struct, request: AnyRequest) -> Response[Any]:
    """Return a value with its ETag; without a body where the caller has seen it."""
    tag = etag(value)
    if is_seen(request, tag):
        return Response(None, status_code=304, headers={"ETag": tag})
    return Response(value, headers={"ETag": tag})


def check_match(request: AnyRequest, value: msgspec.Struct) -> None:
    """Refuse a change where ``If-Match`` came and names something else than what is there.

    Raises:
        PreconditionFailed: it does.
    """
    wanted = _tags(request.headers.get("if-match", ""))
    if wanted and "*" not in wanted and etag(value) not in wanted:
        raise PreconditionFailed("it was changed since; read it again and send its new ETag in If-Match")


def is_seen(request: AnyRequest, tag: str) -> bool:
    """Return whether the caller has seen what an ETag stands for."""
    return tag in _tags(request.headers.get("if-none-match", ""))


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",") if tag.strip()}
