"""How uvicorn runs the service; ``deskmate serve`` and the bench run it alike."""

import socket
import sys

import uvicorn
from litestar import Litestar

from assistant.service.patience import PatientProtocol

_GRACE_SECONDS = 3


def server_config(app: Litestar) -> uvicorn.Config:
    """Return uvicorn's configuration: its log is ours, and answers under way get a moment at the end."""
    return uvicorn.Config(
        app,
        http=PatientProtocol,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


class TellingServer(uvicorn.Server):
    """Says that it listens once it does.

    Args:
        config: of the server.
        text: what to say.
    """

    def __init__(self, config: uvicorn.Config, text: str) -> None:
        super().__init__(config)
        self._text = text

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        sys.stdout.write(f"{self._text}\n")
        sys.stdout.flush()
