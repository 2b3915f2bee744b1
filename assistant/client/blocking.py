"""The typed client of the service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from assistant.client import calls, routes
from assistant.client.calls import Call, EventLines, Filters, StreamEvent, T, Unreachable
from assistant.client.saving import Saving
from assistant.core.records import Arm
from assistant.service.schemas import FoundPassage
from assistant.service.schemas_answers import AnswerReply, AnswerShown
from assistant.service.schemas_documents import CollectionShown, DocumentShown, JobShown
from assistant.store.feedback import Feedback, Handover, Rating


class DeskmateClient:
    """Asks a running service.

    Every method raises the error of our tree that the service's problem stands for: ``InputError``,
    ``NotFoundError``, ``Refused``, ``EngineBusy``, …

    Args:
        url: such as ``http://127.0.0.1:8080``.
        key: API key, None where the service asks for none.
        timeout_seconds: longest wait for the next byte.
        transport: in place of the network, for tests.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_seconds: float = calls.TIMEOUT_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(
            base_url=url, headers=calls.headers(key), timeout=timeout_seconds, transport=transport
        )
        self._url = url

    def __enter__(self) -> DeskmateClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def search(
        self,
        query: str,
        collection: str | None = None,
        *,
        top_k: int | None = None,
        filters: Filters | None = None,
        neighbours: int = 0,
    ) -> tuple[FoundPassage, ...]:
        """Return the passages that fit best, each with up to so many chunks before and after it."""
        return self._call(calls.search(query, collection, top_k, filters, neighbours)).passages

    def answer(
        self,
        question: str,
        collection: str | None = None,
        *,
        arm: Arm | None = None,
        filters: Filters | None = None,
        conversation_id: str | None = None,
    ) -> AnswerReply:
        """Return a whole answer."""
        call = calls.answer(question, collection, arm, filters, conversation_id, stream=False)
        return self._call(call)

    def stream(
        self,
        question: str,
        collection: str | None = None,
        *,
        arm: Arm | None = None,
        filters: Filters | None = None,
        conversation_id: str | None = None,
    ) -> Iterator[StreamEvent]:
        """Yield passages, text, citations and last the whole answer; leaving early stops the engine."""
        call = calls.answer(question, collection, arm, filters, conversation_id, stream=True)
        lines = EventLines()
        try:
            with self._http.stream(call.method, call.path, json=call.body) as reply:
                if reply.is_error:
                    raise calls.to_error(reply.status_code, reply.read())
                calls.check_stream(reply)
                for line in reply.iter_lines():
                    yield from lines.feed(line)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def show_answer(self, answer_id: str) -> AnswerShown:
        """Return a stored answer with its lineage."""
        return self._call(calls.show_answer(answer_id))

    def send_feedback(
        self,
        answer_id: str,
        rating: Rating | None = None,
        *,
        comment: str = "",
        correction: str = "",
        is_resolved: bool | None = None,
    ) -> Feedback:
        """Say what was good or bad of an answer."""
        call = calls.feedback(answer_id, rating, comment, correction, is_resolved=is_resolved)
        return self._call(call)

    def hand_over(self, answer_id: str, note: str = "") -> Handover:
        """Pass a question to a person."""
        return self._call(calls.hand_over(answer_id, note))

    def collections(self) -> tuple[CollectionShown, ...]:
        """Return the collections that exist for the key."""
        return tuple(self.pages(calls.collections()))

    def documents(self, collection: str | None = None) -> Iterator[DocumentShown]:
        """Yield a collection's documents by name, page after page."""
        cursor: str | None = None
        while True:
            page = self._call(calls.documents(collection, cursor))
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def add_documents(
        self,
        texts: dict[str, str],
        collection: str | None = None,
        *,
        metadata: Filters | None = None,
        idempotency_key: str | None = None,
    ) -> JobShown:
        """Add documents by name and text; return the job that does it."""
        return self._call(calls.add_documents(texts, collection, metadata, idempotency_key))

    def job(self, job_id: str) -> JobShown:
        """Return a job as it stands."""
        return self._call(calls.job(job_id))

    def send(self, call: Call[T]) -> T:
        """Send one of the calls of ``assistant.client.routes`` and return its answer."""
        return self._call(call)

    def pages(self, call: Call[Any]) -> Iterator[Any]:
        """Yield the rows of a list, page after page."""
        cursor: str | None = None
        while True:
            page = self._call(call.at(cursor))
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def wait(self, job_id: str, poll_seconds: float = 1.0) -> JobShown:
        """Return a job once it has ended."""
        while True:
            job = self.job(job_id)
            if job.finished is not None:
                return job
            time.sleep(poll_seconds)

    def upload(
        self,
        path: Path,
        collection: str | None = None,
        *,
        name: str | None = None,
        metadata: Filters | None = None,
        resume: str | None = None,
    ) -> JobShown:
        """Add a file in pieces; return the job that does it.

        Args:
            path: the file.
            collection: that it is added to.
            name: of the document, the file's own if None.
            metadata: of the document.
            resume: id of an upload that broke off.
        """
        if resume is None:
            size, digest = calls.measure(path)
            begun = routes.begin_upload(name or path.name, size, digest, collection, metadata or {})
            upload = self._call(begun)
        else:
            upload = self._call(routes.show_upload(resume))
        while upload.offset < upload.size_bytes:
            piece = calls.read_piece(path, upload.offset)
            upload = self._call(routes.append_to_upload(upload.id, upload.offset, piece))
        return self._call(routes.complete_upload(upload.id))

    def download(self, document_id: str, path: Path, version: int | None = None) -> int:
        """Write a document's file, as it came, to a path; return its bytes.

        Args:
            document_id: such as ``doc-7``.
            path: of the file to write.
            version: its number, the one that answers if None.
        """
        call = calls.download(document_id, version)
        try:
            with self._http.stream(call.method, call.path, params=call.query) as reply:
                if reply.is_error:
                    raise calls.to_error(reply.status_code, reply.read())
                with Saving(path) as file:
                    for piece in reply.iter_bytes():
                        file.write(piece)
                    return file.finish(reply.headers)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _call(self, call: Call[T]) -> T:
        try:
            reply = self._http.request(
                call.method,
                call.path,
                json=call.body,
                content=call.content,
                params=call.query,
                headers=call.headers,
            )
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        return calls.read_answer(call, reply)

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(f"no service at {self._url}: {error}", next_command="deskmate serve")
