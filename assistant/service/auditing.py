"""Notes who changed what, and who was turned away, before the answer to it goes out."""

import logging

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from assistant.core.access import Caller
from assistant.service.kept import Kept
from assistant.service.layer import Layer
from assistant.service.limits import Buckets
from assistant.service.problems import to_problem
from assistant.store.audit import AuditEvent, AuditLog

_REFUSED = (401, 403)
_STRANGERS_PER_MINUTE = 30  # entries: a flood of bad keys must not fill the disk
_log = logging.getLogger(__name__)


class Auditing(Layer):
    """Writes the audit log: every request to a route that is marked ``audited``, and every refusal.

    The entry is on the disk before the client learns that the change was made.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._strangers = Buckets()

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Note one request."""
        is_noted = False

        async def note(status: int) -> None:
            nonlocal is_noted
            is_noted = True
            if self._is_worth_it(scope, status):
                event = _event(scope, status)
                await self._kept.write(lambda session: AuditLog(session).append(event))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                await note(message["status"])
            await send(message)

        try:
            await next_app(scope, receive, answer)
        except Exception as error:
            if not is_noted:
                await note(to_problem(error).status)
            raise

    def _is_worth_it(self, scope: Scope, status: int) -> bool:
        if isinstance(scope.get("user"), Caller):
            return status in _REFUSED or bool(scope["route_handler"].opt.get("audited"))
        if status not in _REFUSED:
            return False
        is_noted = not self._strangers.take("strangers", _STRANGERS_PER_MINUTE)
        if not is_noted:
            _log.warning("request %s was refused: no good key", scope["state"].get("request_id", ""))
        return is_noted


def _event(scope: Scope, status: int) -> AuditEvent:
    caller = scope.get("user")
    handler = scope["route_handler"]
    return AuditEvent(
        actor=caller.id if isinstance(caller, Caller) else "unknown",
        role=caller.role if isinstance(caller, Caller) else "",
        action=str(getattr(handler, "operation_id", None) or handler.handler_name)[:64],
        target=scope["path"][:500].replace("\0", "\ufffd"),  # PostgreSQL stores no text with a zero byte
        status=status,
        request_id=str(scope["state"].get("request_id", "")),
    )
