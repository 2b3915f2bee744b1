"""EPUB: the chapters in reading order, each read as a web page."""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing.decoding import decode
from indexing.parsing.partition import Partition
from indexing.parsing.web import read_page

# Scrambled fonts are no protection of the text.
_FONT_SCRAMBLING = {"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"}
_PAGE_TYPES = {"application/xhtml+xml", "text/html", "application/x-dtbook+xml", ""}


def read_epub(path: Path, settings: IndexSettings) -> Partition:  # noqa: ARG001
    """Read a book.

    Raises:
        FileRefused: it is damaged or protected.
    """
    with zipfile.ZipFile(path) as archive:
        if _is_protected(archive):
            raise FileRefused(path, "is encrypted: its text is protected (DRM)")
        package, folder = _package(archive, path)
        book = Partition(elements=[], title=_first_text(package, "title"))
        for name in _chapters(package):
            place = posixpath.normpath(posixpath.join(folder, unquote(name.split("#")[0])))
            try:
                page = archive.read(place)
            except (KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
                book.warnings.append(
                    f"chapter {name!r} is {'missing' if isinstance(error, KeyError) else 'damaged'}"
                )
                continue
            if page.strip():
                book.elements += read_page(decode(page, path)).elements
    return book


def _parse(raw: bytes) -> Any:
    from lxml import etree

    return etree.fromstring(raw, etree.XMLParser(resolve_entities=False, no_network=True, recover=True))


def _is_protected(archive: zipfile.ZipFile) -> bool:
    if "META-INF/encryption.xml" not in archive.namelist():
        return False
    methods = _parse(archive.read("META-INF/encryption.xml")).xpath(
        "//*[local-name()='EncryptionMethod']/@Algorithm"
    )
    return any(method not in _FONT_SCRAMBLING for method in methods)


def _package(archive: zipfile.ZipFile, path: Path) -> tuple[Any, str]:
    """Return the book's list of parts and the folder that its paths start from."""
    container = _parse(archive.read("META-INF/container.xml"))
    names = [unquote(name) for name in container.xpath("//*[local-name()='rootfile']/@full-path")]
    for name in names:
        if name in archive.namelist():
            return _parse(archive.read(name)), posixpath.dirname(name)
    raise FileRefused(path, "is corrupt: its list of chapters is missing")


def _first_text(package: Any, name: str) -> str:
    found = package.xpath(f"//*[local-name()='metadata']/*[local-name()='{name}']")
    return " ".join("".join(found[0].itertext()).split()) if found else ""


def _chapters(package: Any) -> list[str]:
    """Return the paths of the chapters in reading order, without the table of contents."""
    items = {
        item.get("id"): item for item in package.xpath("//*[local-name()='manifest']/*[local-name()='item']")
    }
    contents = set(package.xpath("//*[local-name()='guide']/*[@type='toc']/@href"))
    spine = [items.get(ref.get("idref")) for ref in package.xpath("//*[local-name()='itemref']")]
    return [
        item.get("href")
        for item in spine
        if item is not None
        and item.get("href")
        and (item.get("media-type") or "") in _PAGE_TYPES
        and "nav" not in (item.get("properties") or "").split()
        and item.get("href") not in contents
    ]
