"""Footnotes of a page: each is set behind the block that refers to it, so that they share a chunk."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any
from urllib.parse import unquote

_MARK = re.compile(r"[\[(（]?\s*(\d{1,3}(?::\d{1,3})?|[a-z]|[ivx]{1,5}|[*†‡§]{1,3})\s*[\])）]?\Z", re.I)
_BACK = re.compile(r"[\s↩↑⏎^\ufe0e\ufe0f]*\Z")
_REFERENCE = re.compile(r"\b(?:footnote|noteref|fnref|endnote)", re.I)
# A wiki's list of sources says where a sentence comes from, not what else holds.
_SOURCES = re.compile(r"cite_note|bib|ref-list", re.I)
_HOSTS = ("p", "li", "dd", "dt", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "div")
_NOTES = {"p", "li", "dd", "aside", "div"}
_MOST_CHARACTERS = 1500


def move_notes(body: Any) -> None:
    """Set notes behind the block that refers to them first, and take the marks away."""
    targets = {node.get("id") or node.get("name"): node for node in body.xpath(".//*[@id or @name]")}
    last_of: dict[Any, Any] = {}
    moved: set[Any] = set()
    for link in list(body.iter("a")):
        note = _note_of(link, targets)
        if note is None:
            continue
        if note not in moved:
            host = _host(link)
            text = _note_text(note, _MARK.match(_text(link)))
            if host is None or not text or note in {host, *host.iterancestors()}:
                continue
            last_of[host] = _set_behind(host, last_of.get(host), text)
            moved.add(note)
        _drop_mark(link)
    for note in moved:
        note.drop_tree()


def _note_of(link: Any, targets: dict[str, Any]) -> Any:
    """Return the block that a link's mark refers to, None where the link is none of a note."""
    address = link.get("href") or ""
    if not address.startswith("#") or not _MARK.match(_text(link)) or _SOURCES.search(address):
        return None
    parent = link.getparent()
    says = " ".join(str(value) for node in (link, parent) for value in node.attrib.values())
    is_raised = "sup" in {parent.tag, *(child.tag for child in link)}
    if "backlink" in says or not (is_raised or _REFERENCE.search(says)):
        return None
    target = targets.get(unquote(address[1:]))
    if target is None or target.tag in _NOTES:
        return target
    return next(target.iterancestors(*_NOTES), None)


def _host(link: Any) -> Any:
    """Return the block behind which a note may stand; that of a cell stands behind the table."""
    tables = list(link.iterancestors("table"))
    return tables[-1] if tables else next(link.iterancestors(*_HOSTS), None)


def _note_text(note: Any, mark: re.Match[str] | None) -> str:
    if any(node.tag in {"h1", "h2", "h3", "table"} for node in note.iter()):
        return ""
    copy = deepcopy(note)
    copy.tail = None
    for link in list(copy.iter("a")):
        text = _text(link)
        if (link.get("href") or "").startswith("#") and (_BACK.match(text) or _MARK.match(text)):
            link.drop_tree()
    text = " ".join(_text(copy).split())
    label = re.escape(mark[1]) if mark else ""
    text = re.sub(rf"\A(?:[\[(（]\s*(?:{label})?\s*[\])）]|{label}(?:[.:：、)]|(?=\s)))\s*", "", text)
    return text if len(text) <= _MOST_CHARACTERS else ""


def _drop_mark(link: Any) -> None:
    """Take a mark away, and the white space before it."""
    parent = link.getparent()
    mark = parent if parent.tag == "sup" and _text(parent) == _text(link) else link
    before = mark.getprevious()
    if before is not None:
        before.tail = (before.tail or "").rstrip()
    elif mark.getparent() is not None:
        mark.getparent().text = (mark.getparent().text or "").rstrip()
    mark.drop_tree()


def _set_behind(host: Any, last: Any, text: str) -> Any:
    block = host.makeelement("p", {})
    block.text = text
    if host.tag in {"li", "dd"}:
        host.append(block)
    else:
        (host if last is None else last).addnext(block)
    return block


def _text(node: Any) -> str:
    return str(node.text_content()).strip()
