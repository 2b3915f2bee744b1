"""A Word document as its reader sees it, before it is partitioned.

unstructured passes by what stands in content controls, inserted text, text boxes, formulas and footnotes,
takes hidden text and the table of contents for content, and lets cells behind merged ones slip to the left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from indexing.parsing.word_cells import split_merged, write_figures

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_REMOVED = (f"{_WORD}del", f"{_WORD}moveFrom", _FALLBACK)
_UNWRAPPED = ("ins", "moveTo", "sdtContent", "sdt", "smartTag", "customXml", "fldSimple")
_OFF = {"0", "false", "off", "none"}
_HEADING = re.compile(r"(?:heading|标题|標題)\s*([1-9])\Z", re.I)
_CONTENTS = re.compile(r"(?:toc|目录|目錄)\s*\d", re.I)
_LEVELS = 9


def clean_document(document: Any) -> None:
    """Clean a python-docx document in place."""
    from lxml import etree

    body = document.element.body
    etree.strip_elements(body, etree.Entity, with_tail=False)
    names = {style.style_id: style.name or "" for style in document.styles}
    for tag in _REMOVED:
        _remove(list(body.iter(tag)))
    _remove([run for run in body.iter(f"{_WORD}r") if _is_hidden(run)])
    _remove([node for node in body.iter(f"{_WORD}sdt") if _is_contents(node)])
    _remove([node for node in body.iter(f"{_WORD}p") if _CONTENTS.match(names.get(_style(node), ""))])
    for name in _UNWRAPPED:
        for node in list(body.iter(f"{_WORD}{name}")):
            _unwrap(node)
    write_figures(body)
    split_merged(body)
    _settle_page_breaks(body)
    _free_text_boxes(body)
    _insert_notes(body, _notes(document))
    _name_headings(document, body, names)


def _remove(nodes: Iterable[Any]) -> None:
    for node in nodes:
        parent = node.getparent()
        if parent is not None:
            parent.remove(node)


def _unwrap(node: Any) -> None:
    """Put a node's children in its place; properties of a content control go."""
    parent = node.getparent()
    if parent is None:
        return
    place = parent.index(node)
    for child in list(node):
        if not str(child.tag).endswith(("Pr", "EndPr")):
            parent.insert(place, child)
            place += 1
    parent.remove(node)


def _is_hidden(run: Any) -> bool:
    mark = run.find(f"{_WORD}rPr/{_WORD}vanish")
    return mark is not None and mark.get(f"{_WORD}val", "1") not in _OFF


def _is_contents(control: Any) -> bool:
    gallery = control.find(f"{_WORD}sdtPr/{_WORD}docPartObj/{_WORD}docPartGallery")
    return gallery is not None and gallery.get(f"{_WORD}val") == "Table of Contents"


def _style(paragraph: Any) -> str:
    style = paragraph.find(f"{_WORD}pPr/{_WORD}pStyle")
    return "" if style is None else str(style.get(f"{_WORD}val"))


def _settle_page_breaks(body: Any) -> None:
    """Let a paragraph that runs on to the next page stay whole: the page begins with the next paragraph."""
    for mark in list(body.iter(f"{_WORD}lastRenderedPageBreak")):
        host = next(mark.iterancestors(f"{_WORD}p"), None)
        if host is None or not _has_text_before(host, mark):
            continue
        _remove([mark])
        follower = host.getnext()
        run = None if follower is None else follower.find(f"{_WORD}r")
        if run is not None:
            run.insert(1 if run.find(f"{_WORD}rPr") is not None else 0, mark)


def _has_text_before(paragraph: Any, mark: Any) -> bool:
    for node in paragraph.iter():
        if node is mark:
            return False
        if node.tag == f"{_WORD}t" and (node.text or "").strip():
            return True
    return False


def _free_text_boxes(body: Any) -> None:
    """Set what stands in text boxes behind the paragraph that holds them."""
    for box in list(body.iter(f"{_WORD}txbxContent")):
        host = next(box.iterancestors(f"{_WORD}p"), None)
        for block in reversed(list(box)):
            if host is not None:
                host.addnext(block)
        _remove([box])


def _notes(document: Any) -> dict[tuple[str, str], str]:
    """Return the text of footnotes and endnotes by kind and number."""
    from lxml import etree

    notes: dict[tuple[str, str], str] = {}
    for kind in ("footnote", "endnote"):
        for link in document.part.rels.values():
            if link.is_external or not link.reltype.endswith(f"/{kind}s"):
                continue
            root = etree.fromstring(
                link.target_part.blob, etree.XMLParser(resolve_entities=False, no_network=True)
            )
            for note in root.iter(f"{_WORD}{kind}"):
                text = "".join(node.text or "" for node in note.iter(f"{_WORD}t"))
                notes[kind, note.get(f"{_WORD}id")] = " ".join(text.split())
    return notes


def _insert_notes(body: Any, notes: Mapping[tuple[str, str], str]) -> None:
    """Set each note behind the paragraph that refers to it."""
    for kind in ("endnote", "footnote"):
        for reference in reversed(list(body.iter(f"{_WORD}{kind}Reference"))):
            host = next(reference.iterancestors(f"{_WORD}p"), None)
            text = notes.get((kind, reference.get(f"{_WORD}id")), "")
            if host is not None and text:
                host.addnext(_paragraph(text))


def _paragraph(text: str) -> Any:
    from docx.oxml import OxmlElement

    paragraph, run, words = OxmlElement("w:p"), OxmlElement("w:r"), OxmlElement("w:t")
    words.text = text
    run.append(words)
    paragraph.append(run)
    return paragraph


def _name_headings(document: Any, body: Any, names: Mapping[str, str]) -> None:
    """Give paragraphs of an outline level, or of a style that has one, the usual style of headings."""
    styles = {style.style_id: style.element for style in document.styles}
    levels = {style: level for style in styles if (level := _style_level(style, styles, names))}
    for paragraph in list(body.iter(f"{_WORD}p")):
        style = _style(paragraph)
        level = _own_level(paragraph) or levels.get(style, 0)
        if level and not names.get(style, "").startswith(("Heading", "Title")):
            _set_style(document, paragraph, f"Heading {level}")


def _style_level(style: str, styles: Mapping[str, Any], names: Mapping[str, str]) -> int:
    for _ in range(len(styles)):
        if style not in styles:
            return 0
        named = _HEADING.match(names.get(style, ""))
        level = int(named[1]) if named else _own_level(styles[style])
        if level:
            return level
        parent = styles[style].find(f"{_WORD}basedOn")
        style = "" if parent is None else str(parent.get(f"{_WORD}val"))
    return 0


def _own_level(node: Any) -> int:
    """Return the outline level from 1 that a paragraph or style sets itself, 0 for text."""
    mark = node.find(f"{_WORD}pPr/{_WORD}outlineLvl")
    value = "" if mark is None else str(mark.get(f"{_WORD}val"))
    return int(value) + 1 if value.isdigit() and int(value) < _LEVELS else 0


def _set_style(document: Any, paragraph: Any, name: str) -> None:
    from docx.enum.style import WD_STYLE_TYPE
    from docx.text.paragraph import Paragraph

    if name not in document.styles:
        document.styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH, builtin=True)
    Paragraph(paragraph, document).style = document.styles[name]
