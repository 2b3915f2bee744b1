"""What clients do to a real socket: too much, too slowly, broken, twice; each is answered in words."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from assistant.core.settings import EngineSettings, Settings
from assistant.core.settings_limits import LimitSettings
from assistant.service import patience

CHAT, SEARCH, FILES = "/v1/chat/completions", "/v1/search", "/v1/documents/files"
QUESTION = "What does fault code E07 mean?"
PATIENT_SECONDS = 0.3
HUGE = 100 << 20


class Wire:
    """A connection that says byte for byte what it is told."""

    def __init__(self, url: str, receive_buffer: int | None = None) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(20)
        self._socket.connect((host, int(port)))

    def post(self, path: str, length: int | None, kind: str = "application/json", more: str = "") -> None:
        how = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
        self.send(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n{more}{how}\r\n\r\n")

    def send(self, text: str | bytes) -> None:
        self._socket.sendall(text.encode() if isinstance(text, str) else text)

    def status(self) -> int:
        return int(self.reply().split()[1])

    def reply(self) -> bytes:
        """Return what came until it was silent for a moment or the connection was closed."""
        read = self._socket.recv(1 << 16)
        self._socket.settimeout(0.3)
        try:
            while more := self._socket.recv(1 << 16):
                read += more
        except (TimeoutError, ConnectionResetError):
            pass
        return read

    def is_closed(self) -> bool:
        """Wait until the other side closes."""
        try:
            while self._socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def server(serve_live: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(patience, "HEAD_SECONDS", PATIENT_SECONDS)
    started = serve_live(settings=Settings(limits=LimitSettings(slow_seconds=PATIENT_SECONDS)))
    for _ in range(200):
        try:
            if httpx.get(f"{started.url}/readyz").status_code == 200:
                return started
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    pytest.fail("the service did not get ready")


@pytest.fixture
def wire(server: Any) -> Iterator[Callable[..., Wire]]:
    opened: list[Wire] = []

    def connect(receive_buffer: int | None = None) -> Wire:
        opened.append(Wire(server.url, receive_buffer))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()
    reply = httpx.post(f"{server.url}{SEARCH}", json={"query": QUESTION})
    assert reply.status_code == 200  # whatever one client did: others are served


Connect = Callable[..., Wire]
PING = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize("path", [CHAT, SEARCH, FILES, "/mcp"])
def test_a_body_of_100_mb_that_is_announced_is_refused_before_it_is_sent(wire: Connect, path: str) -> None:
    kind = "multipart/form-data; boundary=x" if path == FILES else "application/json"
    connection = wire()
    connection.post(path, 2 * HUGE, kind)
    connection.send(b"{")
    reply = connection.reply()
    assert reply.split()[1] == b"413"
    assert b"request-entity-too-large" in reply or b"request_too_large" in reply


@pytest.mark.parametrize("path", [CHAT, SEARCH, "/mcp"])
def test_a_body_of_100_mb_that_is_not_announced_is_cut_off(wire: Connect, path: str) -> None:
    connection = wire()
    connection.post(path, None)
    chunk = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    sent = 0
    try:
        while sent < HUGE:
            connection.send(chunk)
            sent += 1 << 20
    except (BrokenPipeError, ConnectionResetError):
        assert sent > 4 << 20
        return
    assert connection.status() == 413


def test_a_slow_writer_is_told_and_its_place_is_free(wire: Connect) -> None:
    connection, began = wire(), time.monotonic()
    connection.post(SEARCH, 1000)
    connection.send(b'{"query": ')
    reply = connection.reply()
    assert reply.split()[1] == b"408"
    assert b"urn:deskmate:problem:request-timeout" in reply
    assert b"connection: close" in reply.lower()
    assert time.monotonic() - began < 5


def test_a_writer_that_goes_on_slowly_is_answered(wire: Connect) -> None:
    connection, body = wire(), json.dumps({"query": QUESTION}).encode()
    connection.post(SEARCH, len(body))
    for place in range(0, len(body), 8):
        connection.send(body[place : place + 8])
        time.sleep(PATIENT_SECONDS / 10)
    assert connection.status() == 200


@pytest.mark.parametrize("head", [b"", PING[:30], PING + PING[:10]])
def test_a_head_that_never_ends_loses_its_connection(wire: Connect, head: bytes) -> None:
    connection = wire()
    connection.send(head)
    assert connection.is_closed()


@pytest.mark.parametrize("head", ["GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ", "GET /livez?"])
def test_a_head_without_end_is_cut_off(wire: Connect, head: str) -> None:
    connection = wire()
    connection.send(head)
    with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, as the system has it
        connection.send(b"a" * (64 << 20))
    assert connection.is_closed()


def test_a_head_that_is_too_long_is_told_so_and_a_long_one_is_not(wire: Connect) -> None:
    told = []
    for size in (60 << 10, 66 << 10):
        connection = wire()
        connection.send("GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + "a" * size)
        if size == 60 << 10:
            connection.send("\r\n\r\n")
        told.append(connection.status())
    assert told == [200, 431]


def test_what_stands_behind_a_body_is_no_header(wire: Connect) -> None:
    connection = wire()
    connection.post(SEARCH, None)
    body = json.dumps({"query": "E07"})
    connection.send(f"{len(body):x}\r\n{body}\r\n0\r\nX-Request-ID: from-behind\r\n\r\n")
    reply = connection.reply()
    assert reply.startswith(b"HTTP/1.1 200")
    assert b"from-behind" not in reply


def test_a_reader_that_takes_nothing_frees_the_engine(
    serve_live: Callable[..., Any], watched_engine: Callable[..., Any]
) -> None:
    engine = watched_engine([(".", f"{'x' * 100} " * 100_000)])  # more than the sockets' buffers hold
    settings = Settings(
        limits=LimitSettings(slow_seconds=PATIENT_SECONDS), engine=EngineSettings(max_new_tokens=10**6)
    )
    started = serve_live(engine, settings)
    while httpx.get(f"{started.url}/readyz").status_code != 200:
        time.sleep(0.02)
    body = {"messages": [{"role": "user", "content": QUESTION}], "stream": True}
    content = json.dumps(body).encode()
    with closing(Wire(started.url, receive_buffer=4096)) as connection:
        connection.post(CHAT, len(content))
        connection.send(content)
        assert engine.ended.wait(10)
    assert engine.ends == ["closed"]


def test_a_reader_that_takes_its_time_gets_the_whole_answer(wire: Connect) -> None:
    connection = wire(2048)
    body = json.dumps({"messages": [{"role": "user", "content": QUESTION}], "stream": True}).encode()
    connection.post(CHAT, len(body), more="Connection: close\r\n")
    connection.send(body)
    read = b""
    while part := connection._socket.recv(64):
        read += part
        time.sleep(0.002)
    assert read.rstrip().endswith(b"0") or b"data: [DONE]" in read


def test_ten_thousand_messages_are_counted(server: Any) -> None:
    messages = [{"role": ("user", "assistant")[place % 2], "content": "Why?"} for place in range(9_999)]
    messages.append({"role": "user", "content": QUESTION})
    chat = httpx.post(f"{server.url}{CHAT}", json={"messages": messages})
    turns = [{"question": "Why?", "answer": "So."}] * 10_000
    native = httpx.post(f"{server.url}/v1/answers", json={"question": QUESTION, "history": turns})
    assert chat.status_code == native.status_code == 400
    assert chat.json()["error"]["param"] == "messages"
    assert [row["field"] for row in native.json()["errors"]] == ["history"]
    fewer = httpx.post(f"{server.url}{CHAT}", json={"messages": messages[-199:]})
    assert fewer.status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        (SEARCH, '{"query": "pump", "query": "warranty"}', "query"),
        (SEARCH, '{"query": "pump", "filters": {"客户": ["a"], "客户": ["b"]}}', "客户"),
        (SEARCH, '{"query": "pump", "\\u0071uery": "warranty"}', "query"),
        (CHAT, '{"messages": [{"role": "system", "role": "user", "content": "x"}]}', "role"),
        ("/v1/keys", '{"name": "x", "role": "agent", "role": "admin"}', "role"),
    ],
)
def test_a_field_that_stands_twice_is_refused(server: Any, path: str, body: str, name: str) -> None:
    reply = httpx.post(
        f"{server.url}{path}", content=body.encode(), headers={"Content-Type": "application/json"}
    )
    assert reply.status_code == 400
    error = reply.json()
    named = error["error"]["param"] if path == CHAT else error["errors"][0]["field"]
    assert named == name
    assert "twice" in reply.text


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "manuals/\u202egnp.exe",
        "手册\u2028.md",
        "手册\u2066.md",
        "/etc/passwd",
        "..\\..\\boot.ini",
        "a/../../b.md",
        ".ssh/key",
        "a\x00.md",
        "a" * 600,
    ],
)
def test_names_that_lead_elsewhere_are_refused(server: Any, name: str) -> None:
    form = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\nx\r\n--x--\r\n'
    reply = httpx.post(
        f"{server.url}{FILES}",
        content=form.encode(),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    posted = httpx.post(f"{server.url}/v1/documents", json={"documents": [{"name": name, "text": "x"}]})
    assert (reply.status_code, posted.status_code) == (400, 400)
    assert reply.json()["type"] == posted.json()["type"] == "urn:deskmate:problem:bad-input"


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /v1/chunks/%FF%FE HTTP/1.1",
        b"GET /v1/documents?collection=%FF%FE HTTP/1.1",
        b"GET /v1/documents?cursor=\xff\xfe HTTP/1.1",
        b"GET /v1/chunks/..%2f..%2fetc%2fpasswd HTTP/1.1",
        b"GET /v1/chunks/%00 HTTP/1.1",
        b"GET /console/..%2f..%2fapp.py HTTP/1.1",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1",
        b"BREW /coffee HTTP/1.1",
        b"nonsense",
    ],
)
def test_odd_request_lines_are_refused(wire: Connect, request_line: bytes) -> None:
    connection = wire()
    connection.send(request_line + b"\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    reply = connection.reply()
    assert re.match(rb"HTTP/1.1 4\d\d ", reply), reply[:80]
    assert b"Traceback" not in reply


@pytest.mark.parametrize(
    "header",
    [
        b"Authorization: Bearer \xff\xfe",
        b"X-Request-ID: \xff\xfe",
        b"Idempotency-Key: \xe6\xb0\xb4",
        b"If-None-Match: \xff",
        b"Accept-Encoding: \xff;q=nan",
        b"Content-Type: application/json; charset=\xff",
        b"Cookie: " + b"a=b; " * 2000,
    ],
)
def test_odd_headers_do_no_harm(wire: Connect, header: bytes) -> None:
    body = json.dumps({"query": QUESTION}).encode()
    kind = b"" if header.startswith(b"Content-Type") else b"Content-Type: application/json\r\n"
    connection = wire()
    connection.send(
        b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + kind + header + b"\r\n"
    )
    connection.send(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
    reply = connection.reply()
    assert re.match(rb"HTTP/1.1 (200|4\d\d) ", reply), reply[:80]
