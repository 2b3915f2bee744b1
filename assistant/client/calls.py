"""The API's calls: what is sent, what comes back, and errors as ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import httpx
import msgspec

from assistant.core.errors import (
    DeskmateError,
    EngineBusy,
    EngineError,
    EngineUnavailable,
    InputError,
    NotFoundError,
)
from assistant.core.ids import file_sha256
from assistant.core.records import Arm
from assistant.service.schemas import Problem, SearchReply
from assistant.service.schemas_answers import (
    AnswerReply,
    AnswerShown,
    CitationsEvent,
    PassagesEvent,
    TokenEvent,
)
from assistant.service.schemas_documents import CollectionList, DocumentList, JobShown
from assistant.store.feedback import Feedback, Handover, Rating

T = TypeVar("T")
TIMEOUT_SECONDS = 120.0
PIECE_BYTES = 8 << 20
StreamEvent = PassagesEvent | TokenEvent | CitationsEvent | AnswerReply
Filters = Mapping[str, str | Sequence[str]]
_EVENTS: Mapping[str, Any] = {
    "passages": PassagesEvent,
    "token": TokenEvent,
    "citations": CitationsEvent,
    "done": AnswerReply,
}


class Refused(DeskmateError):
    """The service refuses the caller: no good key, or one that may not do this."""

    exit_code = 2
    slug = "refused"


class Unreachable(DeskmateError):
    """No service answers at the address."""

    exit_code = 6
    slug = "unreachable"


class NotOurs(DeskmateError):
    """Something else than the service answers at the address, such as a proxy or a login page."""

    exit_code = 6
    slug = "not-ours"


class Call(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One request, and the type of its answer."""

    method: str
    path: str
    answer: Any
    body: dict[str, Any] | None = None
    query: dict[str, str] = msgspec.field(default_factory=dict)
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    content: bytes | None = None

    def at(self, cursor: str | None) -> Call[T]:
        """Return the call of a list from a cursor on."""
        return msgspec.structs.replace(self, query=self.query | given({"cursor": cursor}))


def search(
    query: str, collection: str | None, top_k: int | None, filters: Filters | None, neighbours: int
) -> Call[SearchReply]:
    """Find passages."""
    body = {
        "query": query,
        "collection": collection,
        "top_k": top_k,
        "filters": dict(filters or {}),
        "neighbours": neighbours or None,
    }
    return Call(method="POST", path="/v1/search", body=given(body), answer=SearchReply)


def answer(
    question: str,
    collection: str | None,
    arm: Arm | None,
    filters: Filters | None,
    conversation_id: str | None,
    *,
    stream: bool,
) -> Call[AnswerReply]:
    """Ask a question."""
    body = {
        "question": question,
        "collection": collection,
        "arm": arm,
        "filters": dict(filters or {}),
        "conversation_id": conversation_id,
        "stream": stream,
    }
    return Call(method="POST", path="/v1/answers", body=given(body), answer=AnswerReply)


def show_answer(answer_id: str) -> Call[AnswerShown]:
    """Show a stored answer."""
    return Call(method="GET", path=f"/v1/answers/{answer_id}", answer=AnswerShown)


def feedback(
    answer_id: str, rating: Rating | None, comment: str, correction: str, *, is_resolved: bool | None
) -> Call[Feedback]:
    """Say what was good or bad of an answer."""
    body = {
        "answer_id": answer_id,
        "rating": rating,
        "comment": comment,
        "correction": correction,
        "is_resolved": is_resolved,
    }
    return Call(method="POST", path="/v1/feedback", body=given(body), answer=Feedback)


def hand_over(answer_id: str, note: str) -> Call[Handover]:
    """Pass a question to a person."""
    body = {"answer_id": answer_id, "note": note}
    return Call(method="POST", path="/v1/handovers", body=body, answer=Handover)


def collections() -> Call[CollectionList]:
    """List collections."""
    return Call(method="GET", path="/v1/collections", answer=CollectionList)


def documents(collection: str | None, cursor: str | None) -> Call[DocumentList]:
    """List documents, one page."""
    query = given({"collection": collection, "cursor": cursor})
    return Call(method="GET", path="/v1/documents", query=query, answer=DocumentList)


def add_documents(
    texts: Mapping[str, str], collection: str | None, metadata: Filters | None, idempotency_key: str | None
) -> Call[JobShown]:
    """Add documents by name and text."""
    body = {
        "documents": [{"name": name, "text": text} for name, text in texts.items()],
        "collection": collection,
        "metadata": dict(metadata or {}),
    }
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    return Call(method="POST", path="/v1/documents", body=given(body), headers=headers, answer=JobShown)


def download(document_id: str, version: int | None) -> Call[None]:
    """Fetch a document's file; its bytes are no JSON and come as a stream."""
    path, query = f"/v1/documents/{document_id}/download", given({"version": version})
    return Call(method="GET", path=path, query=query, answer=None)


def job(job_id: str) -> Call[JobShown]:
    """Show a job."""
    return Call(method="GET", path=f"/v1/jobs/{job_id}", answer=JobShown)


def read_answer(call: Call[T], reply: httpx.Response) -> T:
    """Return what a call was answered with.

    Raises:
        DeskmateError: the service answered with a problem, as the error that it stands for.
        NotOurs: what answered is not the service.
    """
    if reply.is_error:
        raise to_error(reply.status_code, reply.content)
    if call.answer is None:
        return cast("T", None)
    try:
        found: T = msgspec.json.decode(reply.content, type=call.answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_ours(reply.status_code, reply.content) from error
    return found


def check_stream(reply: httpx.Response) -> None:
    """Make sure that a reply without an error is a stream of events.

    Raises:
        NotOurs: what answered is not the service.
    """
    if not reply.headers.get("content-type", "").startswith("text/event-stream"):
        raise not_ours(reply.status_code, b"")


def not_ours(status: int, content: bytes) -> NotOurs:
    """Return the error of an answer that the service would not give."""
    begin = " ".join(content[:200].decode("utf-8", "replace").split())[:80]
    return NotOurs(
        f"what answered (status {status}) is not the service: is it a proxy in between, or another address? "
        f"It begins: {begin!r}"
    )


def to_error(status: int, content: bytes) -> DeskmateError:
    """Return the error that a problem stands for."""
    try:
        problem = msgspec.json.decode(content, type=Problem)
        message, command = problem.detail, problem.next_command
    except (msgspec.DecodeError, UnicodeDecodeError):
        return not_ours(status, content)
    kinds: dict[int, type[DeskmateError]] = {
        400: InputError,
        401: Refused,
        403: Refused,
        404: NotFoundError,
        422: InputError,
        429: EngineBusy,
        502: EngineError,
        503: EngineUnavailable,
    }
    return kinds.get(status, DeskmateError)(message, next_command=command)


def read_event(name: str, data: str) -> StreamEvent | None:
    """Return an event of a stream, None for one that this client does not know.

    Raises:
        DeskmateError: the event is an error.
    """
    if name == "error":
        raise to_error(_status(data), data.encode())
    kind = _EVENTS.get(name)
    try:
        event: StreamEvent | None = msgspec.json.decode(data, type=kind) if kind else None
    except msgspec.DecodeError as error:
        raise not_ours(httpx.codes.OK, data.encode()) from error
    return event


def _status(data: str) -> int:
    try:
        return msgspec.json.decode(data, type=Problem).status
    except msgspec.DecodeError:
        return int(httpx.codes.INTERNAL_SERVER_ERROR)


class EventLines:
    """Puts the lines of an event stream together."""

    def __init__(self) -> None:
        self._name, self._data = "", ""

    def feed(self, line: str) -> Iterator[StreamEvent]:
        """Yield the event that a line completes."""
        if line.startswith("event: "):
            self._name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            self._data = line.removeprefix("data: ")
        elif not line and self._data:
            event = read_event(self._name, self._data)
            self._name = self._data = ""
            if event is not None:
                yield event


def headers(key: str | None) -> dict[str, str]:
    """Return the headers of every request."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that say something."""
    return {name: value for name, value in values.items() if value not in (None, {}, "")}


def measure(path: Path) -> tuple[int, str]:
    """Return size and SHA-256 of a file.

    Raises:
        InputError: it cannot be read, or is empty.
    """
    try:
        size = path.stat().st_size
        digest = file_sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if not size:
        raise InputError(f"{path}: is empty")
    return size, digest


def read_piece(path: Path, offset: int) -> bytes:
    """Return the next piece of a file.

    Raises:
        InputError: the file is shorter than it was.
    """
    with path.open("rb") as file:
        file.seek(offset)
        piece = file.read(PIECE_BYTES)
    if not piece:
        raise InputError(f"{path}: is shorter than it was when the upload began")
    return piece
