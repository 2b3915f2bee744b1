"""Mails and saved web pages (MIME): the better of two bodies, and what is attached."""

from __future__ import annotations

import email
import email.policy
import email.utils
import re
import tempfile
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing.decoding import decode
from indexing.parsing.ocr_pages import PageProgress, no_page_progress
from indexing.parsing.parse import read_partition
from indexing.parsing.partition import Partition
from indexing.parsing.plain import read_text
from indexing.parsing.web import read_page
from indexing.sniffing import sniff_kind

_MOST_ATTACHMENTS = 50
_NAMED_HEADERS = ("From", "To", "Date")
# Of two bodies the page is taken, which has the structure, unless it lacks this much of the text.
_PAGE_SHARE = 0.7
_SIGNATURE = re.compile(r"\n-- \n(?:[^\n]*\n){0,11}[^\n]*\n?\Z")
# Neither quotes nor the line above a signature take part in flowed text.
_SOFT_BREAK = re.compile(r"(?<!\n--) \n(?!>|-- \n)")
_UNSAFE = re.compile(r"[\x00-\x1f/\\]")


def read_eml(path: Path, settings: IndexSettings, on_page: PageProgress = no_page_progress) -> Partition:
    """Read a mail: its subject is the title, an attachment a section of its own.

    Args:
        path: the file.
        settings: limits.
        on_page: told of each page of an attachment whose text is recognised.

    Raises:
        FileRefused: it is no mail.
    """
    message = _parse(path)
    subject = _header(message, "Subject")
    elements = [_title(subject, 0)] if subject else []
    elements += _text(_head_line(message))
    body = _body(message, path)
    mail = Partition(elements=elements + _deeper(body.elements, 1), title=subject)
    for number, part in enumerate(_attachments(message)):
        if number == _MOST_ATTACHMENTS:
            mail.warnings.append(f"only the first {_MOST_ATTACHMENTS} attachments are read")
            break
        _read_attachment(part, mail, settings, on_page)
    return mail


def read_mhtml(path: Path, settings: IndexSettings) -> Partition:  # noqa: ARG001
    """Read a saved web page.

    Raises:
        FileRefused: it holds no page.
    """
    message = _parse(path)
    for part in message.walk():
        if part.get_content_type() in {"text/html", "application/xhtml+xml"}:
            page = read_page(_content(part, path))
            page.title = page.title or _header(message, "Subject")
            return page
    raise FileRefused(path, "holds no web page")


def _parse(path: Path) -> EmailMessage:
    # default, not SMTP: header values come out decoded, broken ones as they are
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


def _header(message: Any, name: str) -> str:
    """Return a header as text; bytes that no encoding announces are decoded by what they are."""
    source = next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")
    raw = source.encode("utf-8", "surrogateescape")
    if not raw.isascii():
        return " ".join(decode(raw, Path(name)).split())
    try:
        value = str(message.get(name) or "")
    except (ValueError, IndexError, AttributeError, TypeError, LookupError):  # what broken headers raise
        value = source
    return " ".join(value.split())


def _head_line(message: EmailMessage) -> str:
    values = [(name, _header(message, name)) for name in _NAMED_HEADERS]
    return " · ".join(
        f"{name}: {_date(value) if name == 'Date' else value}" for name, value in values if value
    )


def _date(value: str) -> str:
    try:
        return email.utils.parsedate_to_datetime(value).isoformat(" ", "minutes")
    except (ValueError, TypeError, IndexError):
        return value


def _body(message: EmailMessage, path: Path) -> Partition:
    page = _first_part(message, "text/html")
    plain = _first_part(message, "text/plain")
    rich = read_page(_content(page, path)) if page is not None else Partition(elements=[])
    if plain is None:
        return rich
    text = _content(plain, path)
    if plain.get_param("format") == "flowed":
        text = _SOFT_BREAK.sub(" ", text)
    simple = read_text(_SIGNATURE.sub("\n", text))
    return rich if _length(rich) > _PAGE_SHARE * _length(simple) else simple


def _first_part(message: EmailMessage, kind: str) -> Any:
    """Return the first part of a kind that is shown, not attached."""
    for part in _shown_parts(message):
        if part.get_content_type() == kind:
            return part
    return None


def _shown_parts(part: Any) -> Iterator[Any]:
    if part.get_content_maintype() == "message" or part.get_content_disposition() == "attachment":
        return
    if part.is_multipart():
        for child in part.get_payload():
            yield from _shown_parts(child)
    else:
        yield part


def _content(part: Any, path: Path) -> str:
    raw = part.get_payload(decode=True) or b""
    return decode(raw, path, str(part.get_content_charset() or "")) if raw.strip() else ""


def _length(partition: Partition) -> int:
    return sum(len("".join(element.text.split())) for element in partition.elements)


def _attachments(part: Any) -> Iterator[Any]:
    """Yield what is attached; pictures that only stand in the text are no attachments."""
    if part.get_content_maintype() == "message":
        yield part
    elif part.is_multipart():
        for child in part.get_payload():
            yield from _attachments(child)
    elif _is_attached(part):
        yield part


def _is_attached(part: Any) -> bool:
    if part.get_content_disposition() == "attachment":
        return True
    return bool(part.get_filename()) and part.get_content_maintype() not in {"image", "text"}


def _read_attachment(part: Any, mail: Partition, settings: IndexSettings, on_page: PageProgress) -> None:
    if part.get_content_maintype() == "message":
        inner = part.get_payload(0) if part.is_multipart() else part
        name, raw = f"{_header(inner, 'Subject') or 'mail'}.eml", inner.as_bytes()
    else:
        name, raw = (
            " ".join((part.get_filename() or "attachment").split()),
            part.get_payload(decode=True) or b"",
        )
    try:
        read = _read_bytes(raw, name, settings, on_page)
    except FileRefused as refusal:
        mail.warnings.append(f"attachment {name!r} is not read: it {refusal.reason}")
        return
    mail.elements += [_title(name, 1), *_deeper(read.elements, 2)]
    mail.warnings += [f"attachment {name!r}: {warning}" for warning in read.warnings]


def _read_bytes(raw: bytes, name: str, settings: IndexSettings, on_page: PageProgress) -> Partition:
    if not raw.strip():
        raise FileRefused(name, "is empty")
    with tempfile.TemporaryDirectory(prefix="deskmate-") as folder:
        safe = Path(_UNSAFE.sub("_", name))
        file = Path(folder, f"{safe.stem[:40] or 'file'}{safe.suffix[:8]}")
        file.write_bytes(raw)
        kind = sniff_kind(file, settings, is_named=False)
        if kind == "zip":
            raise FileRefused(name, "is an archive; add it by itself")
        if kind == "eml" and not settings.max_archive_depth:
            raise FileRefused(name, "is a mail inside too many mails ([index] max_archive_depth)")
        deeper = msgspec.structs.replace(settings, max_archive_depth=max(settings.max_archive_depth - 1, 0))
        return read_partition(file, kind, deeper, on_page)


def _title(text: str, depth: int) -> Any:
    from unstructured.documents.elements import ElementMetadata, Title

    return Title(text, metadata=ElementMetadata(category_depth=depth))


def _text(text: str) -> list[Any]:
    from unstructured.documents.elements import Text

    return [Text(text)] if text else []


def _deeper(elements: list[Any], levels: int) -> list[Any]:
    """Set titles so many levels lower."""
    for element in elements:
        if type(element).__name__ == "Title":
            element.metadata.category_depth = (element.metadata.category_depth or 0) + levels
    return elements
