"""Bodies that are read as a whole before anything else sees them."""

from litestar.exceptions import ClientException
from litestar.types import HTTPReceiveMessage, HTTPRequestEvent, Receive, Scope, WebSocketReceiveMessage

from assistant.service.refusals import PayloadTooLarge


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """Return the whole body of a request.

    Args:
        scope: of the request; a body that says its length is refused before it is sent.
        receive: gives its parts.
        most: bytes.

    Raises:
        PayloadTooLarge: it is longer.
        ClientException: the client has gone.
    """
    told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if told.isdigit() and int(told) > most:
        raise _too_large(most)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientException("the client has gone")
        body += message.get("body", b"")
        if len(body) > most:
            raise _too_large(most)
        if not message.get("more_body", False):
            return bytes(body)


def give_again(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that gives the body first, and then what the connection has to say."""
    is_given = False

    async def give() -> HTTPReceiveMessage | WebSocketReceiveMessage:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        whole: HTTPRequestEvent = {"type": "http.request", "body": body, "more_body": False}
        return whole

    return give


def _too_large(most: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the request body is larger than {most >> 20} MiB")
