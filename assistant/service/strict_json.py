"""JSON bodies in which no name stands twice: which of the two is meant, readers disagree."""

import json
from typing import Any

import anyio.to_thread
from litestar import Request
from litestar.datastructures import State

from assistant.service.problems import RequestRefused

_LARGE = 1 << 16  # bytes; more are looked at off the event loop


class StrictRequest(Request[Any, Any, State]):
    """A request whose JSON body names nothing twice."""

    async def json(self) -> Any:
        """Return the body.

        Raises:
            RequestRefused: an object names a field twice.
        """
        body = await self.body()
        if len(body) > _LARGE:
            await anyio.to_thread.run_sync(check_names, body)
        else:
            check_names(body)
        return await super().json()


def check_names(body: bytes) -> None:
    """Refuse JSON that names a field twice in one object; what is no JSON is told by who reads it.

    Raises:
        RequestRefused: there is such a field.
    """
    try:
        json.loads(body, object_pairs_hook=_check)
    except RequestRefused:
        raise
    except (ValueError, RecursionError):
        return


def _check(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise RequestRefused(f"the request body names {name[:80]!r} twice in one object", name[:80])
        seen.add(name)
