"""Which kind of text a text file is: by its content where that is plain, else by its name."""

from __future__ import annotations

import csv
import io
import re

import msgspec

_KINDS = {
    ".md": "md", ".markdown": "md", ".mdown": "md", ".mkd": "md",
    ".rst": "rst", ".rest": "rst",
    ".csv": "csv", ".tsv": "csv",
    ".txt": "txt", ".text": "txt", ".log": "txt", ".adoc": "txt", "": "txt",
    ".html": "html", ".htm": "html", ".xhtml": "html",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".eml": "eml",
}  # fmt: skip
# A text under one of these names was renamed or badly exported: only its content tells what it is.
_LYING = {
    ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".odt", ".rtf", ".epub", ".zip", ".mht",
    ".mhtml",
}  # fmt: skip
# Nothing of it is tried twice: comments without end would take time without end.
_HTML_START = re.compile(
    r"\A(?>\s+|<\?xml[^>]*>|<!--.*?(?:-->|\Z))*+<(?:!doctype\s+html|html|head|body|title|meta)\b",
    re.I | re.S,
)
_HEADER_LINE = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,60}):(?:[ \t]|\Z)")
_MAIL_HEADERS = {
    "from", "to", "cc", "subject", "date", "received", "message-id", "mime-version", "content-type",
    "reply-to", "return-path", "delivered-to", "content-transfer-encoding", "in-reply-to", "references",
    "sender",
}  # fmt: skip
_FEWEST_HEADERS = 3
# What only a mail program writes; a text that begins with From, To and Subject may be a form letter.
_MACHINE_HEADERS = {"mime-version", "message-id", "received", "return-path", "snapshot-content-location"}
_RELATED = re.compile(r"^content-type:\s*multipart/related", re.I | re.M)
_SAVED = re.compile(r"^(?:snapshot-content-location:|from:\s*<saved by\b)", re.I | re.M)
_FEWEST_ROWS = 3


def text_kind(text: str, suffix: str, *, is_named: bool) -> str | None:
    """Return the kind of a text, None where its name says one that is not read.

    Args:
        text: the first kilobytes.
        suffix: of the file's name, in lower case.
        is_named: the person named this very file, so that any plain text is taken.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    if kind := _mail_kind(text, suffix):
        return kind
    if _HTML_START.match(text):
        return "html"
    if kind := _KINDS.get(suffix):
        return kind
    if is_named or suffix in _LYING:
        return _kind_by_content(text)
    return None


def _mail_kind(text: str, suffix: str) -> str | None:
    names = _header_names(text)
    if len(names & _MAIL_HEADERS) < _FEWEST_HEADERS:
        return None
    if not names & _MACHINE_HEADERS and suffix not in {".eml", ".mht", ".mhtml"}:
        return None
    head = text.split("\n\n", 1)[0]
    is_page = _SAVED.search(head) or (suffix in {".mht", ".mhtml"} and _RELATED.search(head))
    return "mhtml" if is_page else "eml"


def _header_names(text: str) -> set[str]:
    """Return the names of the headers that a text begins with, in lower case."""
    names: set[str] = set()
    for line in text.splitlines():
        if line.startswith((" ", "\t")) and names:
            continue
        match = _HEADER_LINE.match(line)
        if match is None:
            return names if not line.strip() else set()
        names.add(match[1].lower())
    return names


def _kind_by_content(text: str) -> str:
    lines = text.split("\n")
    if lines[0].lstrip().startswith("{") and _is_object(lines[0]):
        return "jsonl"
    complete = "\n".join(lines[:-1] or lines)
    return "csv" if any(_is_even(complete, delimiter) for delimiter in "\t;,") else "txt"


def _is_object(line: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.DecodeError, RecursionError):
        return False


def _is_even(text: str, delimiter: str) -> bool:
    """Return whether a delimiter cuts every line into the same number of several cells."""
    try:
        widths = [len(row) for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    except csv.Error:
        return False
    return len(widths) >= _FEWEST_ROWS and widths[0] > 1 and len(set(widths)) == 1
