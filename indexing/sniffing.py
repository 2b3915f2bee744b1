"""What a file really is, by its content; the name only decides between kinds of plain text."""

from __future__ import annotations

import codecs
import re
import zipfile
from pathlib import Path

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings

READABLE = "PDF, DOCX, XLSX, HTML, Markdown, CSV, TXT and JSONL"
HEAD_BYTES = 8192
_OLE_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_FOREIGN_MAGIC = {
    b"\x89PNG": "an image; text recognition (OCR) is not part of this version",
    b"\xff\xd8\xff": "an image; text recognition (OCR) is not part of this version",
    b"GIF8": "an image; text recognition (OCR) is not part of this version",
    b"II*\x00": "an image; text recognition (OCR) is not part of this version",
    b"MM\x00*": "an image; text recognition (OCR) is not part of this version",
    b"{\\rtf": "an RTF file; save it as DOCX or PDF first",
    b"\x1f\x8b": "a compressed archive; unpack it first",
    b"BZh": "a compressed archive; unpack it first",
    b"7z\xbc\xaf": "a compressed archive; unpack it first",
    b"Rar!": "a compressed archive; unpack it first",
    b"\xfd7zXZ": "a compressed archive; unpack it first",
    b"%!PS": "a PostScript file; save it as PDF first",
}
_TEXT_KINDS = {
    ".md": "md", ".markdown": "md", ".mdown": "md", ".mkd": "md",
    ".csv": "csv", ".tsv": "csv",
    ".txt": "txt", ".text": "txt", ".log": "txt", ".rst": "txt", ".adoc": "txt", "": "txt",
    ".html": "html", ".htm": "html", ".xhtml": "html",
    ".jsonl": "jsonl", ".ndjson": "jsonl",
    # a renamed text file is still a text file
    ".pdf": "txt", ".docx": "txt", ".xlsx": "txt",
}  # fmt: skip
_HTML_START = re.compile(
    r"\A(?:\s|<\?xml[^>]*>|<!--.*?(?:-->|\Z))*<(?:!doctype\s+html|html|head|body|title|meta)\b", re.I | re.S
)
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_CONTROL_SHARE = 0.02
# NUL bytes at every second (or three of four) places are UTF-16 (UTF-32) text of mostly Latin letters.
_NUL_SHARE = 0.3


def sniff_kind(path: Path, settings: IndexSettings, *, is_named: bool) -> str:
    """Return what the file is: pdf, docx, xlsx, html, md, csv, txt or jsonl.

    Args:
        path: the file.
        settings: limits.
        is_named: the person named this very file, so that any plain text is taken.

    Raises:
        FileRefused: it is nothing that can be read; the reason says what it is instead.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(_OLE_MAGIC):
        raise FileRefused(path, _describe_ole(path))
    if head.startswith(_ZIP_MAGIC):
        return _sniff_zip(path, settings)
    for magic, what in _FOREIGN_MAGIC.items():
        if head.startswith(magic):
            raise FileRefused(path, f"is {what}")
    return _sniff_text(path, head, is_named=is_named)


def wide_encoding(raw: bytes) -> str | None:
    """Return the encoding that a byte order mark or the places of NUL bytes give away, else None."""
    for bom, encoding in _BOMS:
        if raw.startswith(bom):
            return encoding
    guess = _guess_wide(raw[:HEAD_BYTES])
    if guess is None:
        return None
    text = raw[:HEAD_BYTES].decode(guess, "replace")
    unprintable = sum(not (letter.isprintable() or letter.isspace()) for letter in text)
    return guess if unprintable <= _CONTROL_SHARE * len(text) + 1 else None


def _guess_wide(head: bytes) -> str | None:
    quarter = max(len(head) // 4, 1)
    nuls = [head[place::4].count(0) / quarter for place in range(4)]
    if min(nuls[2:]) > 1 - _NUL_SHARE and nuls[0] < _NUL_SHARE:
        return "utf-32-le"
    if min(nuls[:2]) > 1 - _NUL_SHARE and nuls[3] < _NUL_SHARE:
        return "utf-32-be"
    even, odd = (nuls[0] + nuls[2]) / 2, (nuls[1] + nuls[3]) / 2
    if odd > _NUL_SHARE and even < odd / 4:
        return "utf-16-le"
    if even > _NUL_SHARE and odd < even / 4:
        return "utf-16-be"
    return None


def _describe_ole(path: Path) -> str:
    raw = path.read_bytes()
    if _ENCRYPTED_STREAM in raw:
        return "is encrypted: it opens with a password only; save it without a password first"
    return "is an old Office file (before 2007); save it as DOCX, XLSX or PDF first"


def _sniff_zip(path: Path, settings: IndexSettings) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError) as error:
        raise FileRefused(path, "is corrupt: its parts cannot be listed (cut off or damaged)") from error
    names = {member.filename.replace("\\", "/").lower() for member in members}
    kind = _zip_kind(names)
    if kind is None:
        raise FileRefused(path, _describe_zip(names))
    if any(member.flag_bits & 1 for member in members):
        raise FileRefused(path, "is encrypted: its parts open with a password only")
    unpacked = sum(member.file_size for member in members) >> 20
    limit = 8 * settings.max_file_mebibytes
    if unpacked > limit:
        raise FileRefused(path, f"unpacks to {unpacked} MiB; at most {limit} MiB are read")
    return kind


def _zip_kind(names: set[str]) -> str | None:
    if "word/document.xml" in names or (
        "[content_types].xml" in names and any(n.startswith("word/") for n in names)
    ):
        return "docx"
    if any(name.startswith("xl/") for name in names):
        return "xlsx"
    return None


def _describe_zip(names: set[str]) -> str:
    if any(name.startswith("ppt/") for name in names):
        return "is a presentation (PPTX); save it as PDF first"
    if "mimetype" in names:
        return "is an OpenDocument or EPUB file; save it as DOCX or PDF first"
    return "is an archive; unpack it and add the folder"


def _sniff_text(path: Path, head: bytes, *, is_named: bool) -> str:
    encoding = wide_encoding(head)
    if encoding is None and _is_binary(head):
        raise FileRefused(path, f"is binary and of no kind that can be read ({READABLE})")
    text = head.decode(encoding or "utf-8", "replace")
    suffix = path.suffix.lower()
    if _HTML_START.match(text):
        return "html"
    kind = _TEXT_KINDS.get(suffix)
    if kind is None and is_named:
        kind = "txt"
    if kind is None:
        raise FileRefused(path, f"is of a kind that is not read ({suffix}); read are {READABLE}")
    return kind


def _is_binary(head: bytes) -> bool:
    return b"\x00" in head or len(_CONTROL.findall(head)) > _CONTROL_SHARE * len(head)
