"""What a file really is, by its content; the name only decides between kinds of plain text."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.archives import check_document, list_zip
from indexing.charsets import wide_encoding
from indexing.text_kinds import text_kind

READABLE = (
    "PDF, DOCX, PPTX, XLSX, ODT, RTF, EPUB, HTML, MHTML, EML, Markdown, RST, CSV, TXT, JSONL,"
    " images of pages (PNG, JPEG, TIFF, WebP, BMP) and zip archives of these"
)
HEAD_BYTES = 8192
_OLE_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
_RTF_MAGIC = b"{\\rtf"
_BLANK = b"\xef\xbb\xbf \t\r\n"
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_FOREIGN_MAGIC = {
    b"GIF8": "a GIF image; save it as PNG first",
    b"\x1f\x8b": "a compressed archive; unpack it first",
    b"BZh": "a compressed archive; unpack it first",
    b"7z\xbc\xaf": "a compressed archive; unpack it first",
    b"Rar!": "a compressed archive; unpack it first",
    b"\xfd7zXZ": "a compressed archive; unpack it first",
    b"%!PS": "a PostScript file; save it as PDF first",
}
_PACKAGES = (
    ("docx", "word/document.xml", "word/"),
    ("xlsx", "xl/workbook.xml", "xl/"),
    ("pptx", "ppt/presentation.xml", "ppt/"),
)
# PNG, JPEG, TIFF, WebP, BMP (with the size of its header, because a text may begin with BM)
_IMAGE_MAGIC = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|II\*\x00|MM\x00\*|RIFF.{4}WEBP|BM.{4}\x00{4}.{4}[\x0c\x28\x40\x6c\x7c]\x00{3}",
    re.S,
)
_OPENDOCUMENT = "application/vnd.oasis.opendocument."
_MIMETYPE_BYTES = 100
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_CONTROL_SHARE = 0.02


def sniff_kind(path: Path, settings: IndexSettings, *, is_named: bool) -> str:
    """Return what the file is.

    One of pdf, docx, pptx, xlsx, odt, rtf, epub, html, mhtml, eml, md, rst, csv, txt, jsonl, and zip for
    an archive.

    Args:
        path: the file.
        settings: limits.
        is_named: the person named this very file, so that any plain text is taken.

    Raises:
        FileRefused: it is nothing that can be read; the reason says what it is instead.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(_OLE_MAGIC):
        raise FileRefused(path, _describe_ole(path))
    if head.lstrip(_BLANK).startswith(_RTF_MAGIC):
        return "rtf"
    if head.startswith(_ZIP_MAGIC):
        return _sniff_zip(path, settings)
    if b"%PDF-" in head[:1024]:  # behind zip: an archive may begin with a PDF that it holds as it is
        return "pdf"
    if _IMAGE_MAGIC.match(head):
        return "image"
    for magic, what in _FOREIGN_MAGIC.items():
        if head.startswith(magic):
            raise FileRefused(path, f"is {what}")
    return _sniff_text(path, head, is_named=is_named)


def _describe_ole(path: Path) -> str:
    raw = path.read_bytes()
    if _ENCRYPTED_STREAM in raw:
        return "is encrypted: it opens with a password only; save it without a password first"
    return "is an old Office file (before 2007); save it as DOCX, XLSX or PDF first"


def _sniff_zip(path: Path, settings: IndexSettings) -> str:
    members = list_zip(path)
    names = {member.filename.replace("\\", "/").lower() for member in members}
    kind = _package_kind(names) or _open_kind(path, names)
    if kind is None:
        return "zip"
    check_document(path, members, settings)
    return kind


def _package_kind(names: set[str]) -> str | None:
    """Return what an Office package is, by its parts."""
    is_package = "[content_types].xml" in names
    for kind, main, folder in _PACKAGES:
        if main in names or (is_package and any(name.startswith(folder) for name in names)):
            return kind
    return None


def _open_kind(path: Path, names: set[str]) -> str | None:
    """Return what an OpenDocument or EPUB file is, which says so in its first part.

    Raises:
        FileRefused: it is an OpenDocument file of another kind.
    """
    if "meta-inf/container.xml" in names:
        return "epub"
    if "mimetype" not in names:
        return None
    try:
        with zipfile.ZipFile(path) as archive, archive.open("mimetype") as part:
            stated = part.read(_MIMETYPE_BYTES).decode("ascii", "replace").strip()
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, RuntimeError, OSError, EOFError) as error:
        raise FileRefused(path, "is corrupt: what it is cannot be read") from error
    if stated.startswith("application/epub"):
        return "epub"
    if stated.startswith(_OPENDOCUMENT + "text"):
        return "odt"
    if stated.startswith(_OPENDOCUMENT):
        what = stated.removeprefix(_OPENDOCUMENT).split("-")[0]
        raise FileRefused(path, f"is an OpenDocument {what}; save it as XLSX, PPTX or PDF first")
    return None


def _sniff_text(path: Path, head: bytes, *, is_named: bool) -> str:
    encoding = wide_encoding(head)
    if encoding is None and _is_binary(head):
        raise FileRefused(path, f"is binary and of no kind that can be read ({READABLE})")
    suffix = path.suffix.lower()
    kind = text_kind(head.decode(encoding or "utf-8", "replace"), suffix, is_named=is_named)
    if kind is None:
        raise FileRefused(path, f"is of a kind that is not read ({suffix}); read are {READABLE}")
    return kind


def _is_binary(head: bytes) -> bool:
    return b"\x00" in head or len(_CONTROL.findall(head)) > _CONTROL_SHARE * len(head)
