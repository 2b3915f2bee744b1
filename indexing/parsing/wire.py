"""Messages between the pool and its parsing processes: a length, then one MessagePack value.

Not pickle: a parsing process that a hostile file has taken over must not run code in its parent.
"""

from __future__ import annotations

import socket
import struct
from typing import TypeVar

import msgspec

from assistant.core.records import ParsedDocument, Record
from assistant.core.settings import IndexSettings

T = TypeVar("T")
_LENGTH = struct.Struct("!Q")
_MOST_BYTES = 1 << 30


class ParseRequest(Record, frozen=True, kw_only=True):
    """Parse this file."""

    path: str
    kind: str
    settings: IndexSettings


class ParseReply(Record, frozen=True, kw_only=True):
    """The parsed document, or why there is none; both empty says "ready" or "still at work".

    Attributes:
        document: what was parsed.
        refusal: why the file is refused.
        is_spent: the process ran out of memory and is to be replaced.
        pages: still at work: so many pages are recognised, of so many.
    """

    document: ParsedDocument | None = None
    refusal: str = ""
    is_spent: bool = False
    pages: tuple[int, int] | None = None


def page_seconds(settings: IndexSettings) -> int:
    """Return how long the parser may take from one recognised page to the next."""
    return settings.parse_timeout_seconds + settings.ocr_page_seconds


def send(connection: socket.socket, message: Record) -> None:
    """Send one message."""
    raw = msgspec.msgpack.encode(message)
    connection.sendall(_LENGTH.pack(len(raw)) + raw)


def receive(connection: socket.socket, message_type: type[T]) -> T:
    """Receive one message.

    Raises:
        EOFError: the other side is gone.
        TimeoutError: the connection's time-out has passed.
    """
    (length,) = _LENGTH.unpack(_receive_bytes(connection, _LENGTH.size))
    if length > _MOST_BYTES:
        raise EOFError("a message larger than any document")
    return msgspec.msgpack.decode(_receive_bytes(connection, length), type=message_type)


def _receive_bytes(connection: socket.socket, length: int) -> bytearray:
    raw = bytearray()
    while len(raw) < length:
        piece = connection.recv(min(length - len(raw), 1 << 20))
        if not piece:
            raise EOFError("connection closed")
        raw += piece
    return raw
