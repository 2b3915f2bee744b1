"""Parsing in processes of its own: a hang, a crash or a bomb costs one file, not the run."""

from __future__ import annotations

import queue
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from assistant.core.errors import FileRefused, ResourceError
from assistant.core.records import ParsedDocument
from assistant.core.settings import IndexSettings
from indexing.archives import Unpacker
from indexing.parsing.ocr_pages import PageProgress, no_page_progress
from indexing.parsing.wire import ParseReply, ParseRequest, page_seconds, receive, send
from indexing.sources import SourceFile

_START_SECONDS = 180
_END_SECONDS = 5
_FILES_BEFORE_REPLACEMENT = 500


class ParserPool:
    """Parses files in long-lived processes, each of which pays unstructured's slow import once.

    Safe to use from several threads at once; ``parse`` waits for a free process.

    Args:
        settings: limits of one file: time, memory, pages.
        workers: parsing processes; each takes about 600 MB.
    """

    def __init__(self, settings: IndexSettings, workers: int = 1) -> None:
        self._settings = settings
        self._workers = [_Worker() for _ in range(workers)]
        self._free: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._unpacker = Unpacker()

    def __enter__(self) -> ParserPool:
        for worker in self._workers:
            worker.start()
            self._free.put(worker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.stop()
        self._unpacker.close()

    def parse(self, source: SourceFile, on_page: PageProgress = no_page_progress) -> ParsedDocument:
        """Parse one file.

        Args:
            source: the file.
            on_page: told at the beginning of text recognition and of each page that is done.

        Raises:
            FileRefused: it cannot be read, takes too long or too much memory, or crashes the parser.
            ResourceError: the parsing process cannot be started.
        """
        try:
            # Unpacked here: a parser that is killed would leave its files behind.
            with self._unpacker.unpack(source.path, source.members) as path:
                worker = self._free.get()
                try:
                    reply = worker.ask(path, source.kind, self._settings, on_page)
                finally:
                    self._free.put(worker)
        except FileRefused as refusal:
            raise FileRefused(source.place, refusal.reason) from refusal
        if reply.document is None:
            raise FileRefused(source.place, reply.refusal)
        return reply.document


class _Worker:
    """One parsing process and the socket to it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._is_ready = False
        self._file_count = 0

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: the folder one stands in must not shadow a module.
            command = [sys.executable, "-P", "-m", "indexing.parsing.worker", str(theirs.fileno())]
            self._process = subprocess.Popen(  # noqa: S603 (our own module)
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._connection, self._is_ready, self._file_count = ours, False, 0

    def ask(self, path: Path, kind: str, settings: IndexSettings, on_page: PageProgress) -> ParseReply:
        if self._file_count >= _FILES_BEFORE_REPLACEMENT:
            self.stop()
        connection = self._ready_connection()
        request = ParseRequest(path=str(path.absolute()), kind=kind, settings=settings)
        started = time.monotonic()
        try:
            connection.settimeout(settings.parse_timeout_seconds)
            send(connection, request)
            reply = _receive_document(connection, settings, on_page)
        except BaseException as error:
            # Also on Ctrl-C: an answer that nobody took would be taken for the next file's.
            how = self.stop()
            if isinstance(error, TimeoutError):
                return ParseReply(
                    refusal=f"takes longer than {time.monotonic() - started:.0f} s to parse"
                    " ([index] parse_timeout_seconds)"
                )
            if isinstance(error, (EOFError, OSError)):
                return ParseReply(
                    refusal=f"crashes the parser ({how}): it is corrupt or needs too much memory"
                )
            raise
        self._file_count += 1
        if reply.is_spent:
            self.stop()
        return reply

    def _ready_connection(self) -> socket.socket:
        if self._connection is None:
            self.start()
        connection = self._connection
        if connection is None:
            raise ResourceError("the parsing process has no connection")
        if not self._is_ready:
            connection.settimeout(_START_SECONDS)
            try:
                receive(connection, ParseReply)
            except (EOFError, OSError) as error:
                how = self.stop()
                raise ResourceError(
                    f"the parsing process did not start ({how})", next_command="deskmate doctor"
                ) from error
            self._is_ready = True
        return connection

    def stop(self) -> str:
        """End the process; return how it ended."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        process, self._process = self._process, None
        if process is None:
            return "not running"
        try:
            # A process that crashed needs a moment to be gone; an idle one leaves as its socket closes.
            code = process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait(timeout=_END_SECONDS)
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _receive_document(
    connection: socket.socket, settings: IndexSettings, on_page: PageProgress
) -> ParseReply:
    """Return the reply; while text is recognised, each page has a time limit of its own.

    A mail may recognise several attachments, each of which tells its beginning beside its pages.
    """
    for _ in range(2 * settings.max_pages + 2):
        reply = receive(connection, ParseReply)
        if reply.pages is None:
            return reply
        connection.settimeout(page_seconds(settings))
        on_page(*reply.pages)
    raise EOFError("more pages than any document may have")
