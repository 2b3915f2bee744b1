"""What a file's format says of it beside its text: keywords and the date of its last change.

Nothing here refuses a file: properties are a courtesy, and what is wrong with a file its reader tells.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

from assistant.core.records import Metadata
from indexing.metadata import STANDARD_KEYS, fold_key, normalise_metadata

_HEAD_CHARACTERS = 1 << 16
_MOST_BYTES = 1 << 20
_DATE_NAMES = (
    "article:modified_time", "dcterms.modified", "dc.date.modified", "last-modified", "revised", "date",
    "dcterms.date", "dc.date", "article:published_time",
)  # fmt: skip
_log = logging.getLogger(__name__)


def read_properties(path: Path, kind: str) -> Metadata:
    """Return the properties of a PDF or Office file, none of other kinds."""
    reader = _READERS.get(kind)
    if reader is None:
        return {}
    try:
        return normalise_metadata(reader(path))
    except Exception as error:  # noqa: BLE001 - a hostile file fails in every way there is
        _log.info("%s: properties cannot be read: %s", path, error)
        return {}


def page_properties(page: str) -> Metadata:
    """Return what the meta tags at the head of a web page say."""
    from lxml import etree, html

    try:
        tree = html.document_fromstring(page[:_HEAD_CHARACTERS])
    except (etree.LxmlError, ValueError):
        return {}
    named: dict[str, str] = {}
    for tag in tree.iter("meta"):
        name = tag.get("name") or tag.get("property") or tag.get("http-equiv") or ""
        named.setdefault(name.strip().lower(), tag.get("content") or "")
    found = {key: text for key, text in named.items() if fold_key(key) in STANDARD_KEYS and key != "date"}
    found["date"] = next((named[name] for name in _DATE_NAMES if named.get(name)), "")
    return normalise_metadata({key: text for key, text in found.items() if text})


def _read_pdf(path: Path) -> dict[str, object]:
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        properties = document.get_metadata_dict(skip_empty=True)
    date = properties.get("ModDate") or properties.get("CreationDate") or ""
    return _given(properties.get("Keywords", ""), date.removeprefix("D:"))


def _read_office(path: Path) -> dict[str, object]:
    from lxml import etree

    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("docProps/core.xml")
        if entry.file_size > _MOST_BYTES:
            return {}
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        tree = etree.fromstring(archive.read(entry), parser)
    texts = {etree.QName(node).localname: node.text or "" for node in tree if isinstance(node.tag, str)}
    return _given(texts.get("keywords", ""), texts.get("modified") or texts.get("created", ""))


def _given(keywords: str, date: str) -> dict[str, object]:
    return {key: text for key, text in (("tags", keywords), ("date", date)) if text.strip()}


_READERS: dict[str, Callable[[Path], dict[str, object]]] = {
    "pdf": _read_pdf,
    "docx": _read_office,
    "pptx": _read_office,
    "xlsx": _read_office,
}
