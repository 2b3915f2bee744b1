"""The parsing process: ``python -m indexing.parsing.worker FD`` answers requests on a socket."""

from __future__ import annotations

import gc
import importlib
import resource
import signal
import socket
import sys
from pathlib import Path

from assistant.core.errors import FileRefused
from indexing.parsing.parse import parse_file
from indexing.parsing.partition import prepare_unstructured
from indexing.parsing.wire import ParseReply, ParseRequest, page_seconds, receive, send

_GRACE_SECONDS = 10
_IMPORTED = (
    "charset_normalizer", "docutils.core", "docutils.parsers.rst", "docutils.writers.html5_polyglot",
    "docx", "lxml.etree", "lxml.html", "markdown_it", "openpyxl", "pdfplumber.table", "pptx", "pypdfium2",
    "PIL.Image", "unstructured.partition.docx", "unstructured.partition.html",
    "unstructured.partition.text",
    "indexing.parsing.books", "indexing.parsing.dialogues", "indexing.parsing.images",
    "indexing.parsing.mail", "indexing.parsing.opendocument", "indexing.parsing.pdf",
    "indexing.parsing.plain", "indexing.parsing.restructured", "indexing.parsing.rich_text",
    "indexing.parsing.sheets", "indexing.parsing.slides", "indexing.parsing.web", "indexing.parsing.word",
)  # fmt: skip


def main() -> None:
    """Serve until the other side closes."""
    # Ctrl-C and a service manager's stop reach all processes at once: the parent's answer is to close us
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection = socket.socket(fileno=int(sys.argv[1]))
    _do_without_torch()
    prepare_unstructured()
    _import_readers()
    send(connection, ParseReply())
    while True:
        try:
            request = receive(connection, ParseRequest)
        except EOFError:
            return
        send(connection, _answer(request, connection))


def _do_without_torch() -> None:
    """Let spaCy, which unstructured imports, take torch for not installed: no reader uses it.

    Measured: the process starts in 1.9 CPU seconds instead of 3.2 and takes 222 MiB instead of 402.
    """
    sys.modules["torch"] = None  # type: ignore[assignment]


def _import_readers() -> None:
    """Import what readers import and read a line, so that it counts against no file's time or memory."""
    for name in _IMPORTED:
        importlib.import_module(name)
    partition_html = importlib.import_module("unstructured.partition.html").partition_html
    partition_html(text="<p>This warms the tokenizer up.</p>", languages=[""])
    gc.freeze()  # what the libraries made stays; looking through it again and again took a tenth of reading


def _answer(request: ParseRequest, connection: socket.socket) -> ParseReply:
    def tell(done: int, total: int) -> None:
        signal.alarm(page_seconds(request.settings) + _GRACE_SECONDS)
        send(connection, ParseReply(pages=(done, total)))

    _limit_memory(request.settings.parse_memory_mebibytes)
    # The parent ends a parser that takes too long; the alarm does where the parent is gone.
    signal.alarm(request.settings.parse_timeout_seconds + _GRACE_SECONDS)
    try:
        return ParseReply(document=parse_file(Path(request.path), request.kind, request.settings, tell))
    except FileRefused as refusal:
        return ParseReply(refusal=refusal.reason, is_spent=isinstance(refusal.__cause__, MemoryError))
    finally:
        signal.alarm(0)


def _limit_memory(mebibytes: int) -> None:
    """Let the address space grow by so much beyond what the libraries have mapped already."""
    with Path("/proc/self/statm").open() as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = mapped + (mebibytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


if __name__ == "__main__":
    main()
