"""A web page without its furniture: what remains is what a person came to read."""

from __future__ import annotations

import re
from typing import Any

from indexing.parsing.partition import BORDER
from indexing.parsing.text_joining import join_wrapped_cjk, raise_figures
from indexing.parsing.web_blocks import flatten_lists, simplify_tables
from indexing.parsing.web_notes import move_notes

_DROPPED = (
    "script", "style", "noscript", "template", "nav", "footer", "iframe", "svg", "object", "canvas", "audio",
    "video", "button", "select", "input", "textarea", "dialog", "head", "map", "del", "s", "strike", "math",
)  # fmt: skip
_DROPPED_ROLES = {"navigation", "banner", "contentinfo", "search", "menu", "dialog"}
_DROPPED_CLASSES = {
    "toc", "sidebar", "breadcrumb", "breadcrumbs", "cookie", "cookies", "cookie-banner", "navbar",
    "navigation",
    "menu", "footer", "headerlink", "navheader", "navfooter", "skip-link", "pagination", "table-of-contents",
    "edit-link", "share",
}  # fmt: skip
_PERMALINK = re.compile(r"[\s#¶§🔗]*\Z")
_UNSEEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|noscript|template|svg)\b.*?(?:</\1\s*>|\Z)", re.I | re.S
)
_LEAF = re.compile(r"</?(h[1-6]|p|div|li|tr|dt|dd|br|blockquote|section|table|ul|ol)\b[^>]*>", re.I)
_OTHER_TAG = re.compile(r"</?(?!(?:h[1-6]|p|html|body)\b)[a-z][^>]*>", re.I)
_HEADINGS = "h1|h2|h3|h4|h5|h6"
_PLAIN_BLOCKS = {"details", "summary", "figcaption", "figure", "fieldset", "form", "header", "aside", "main"}
_KNOWN = re.compile(r"[a-z][a-z0-9]*\Z")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)
_LINES = {"p", "li", "td", "dd"}
_OPENERS = ("aria-controls", "data-bs-target", "data-target")
# A list of at least so many links that are nearly all of its text leads elsewhere and says nothing.
_LINKS = 5
_TABLE_LINKS = 3
_LINK_SHARE = 0.85
_MAIN_SHARE = 0.4


def clean_page(page: str, *, anchors_are_borders: bool) -> tuple[str, str]:
    """Return a page's title and its content as HTML, empty where there is no text.

    Args:
        page: the page.
        anchors_are_borders: an empty named anchor that stands alone sets a soft border, as in Markdown.
    """
    from lxml import etree
    from lxml import html as lxml_html

    page = re.sub(r"\A\s*<\?xml[^>]*>", "", page)
    if not page.strip():
        return "", ""
    parser = lxml_html.HTMLParser(remove_comments=True, remove_pis=True, no_network=True)
    try:
        root = lxml_html.document_fromstring(page, parser=parser)
        if any("depth" in entry.message for entry in parser.error_log):
            # Everything behind that place is lost; a flat page loses only what the nesting meant.
            root = lxml_html.document_fromstring(_flatten(page), parser=parser)
    except etree.ParserError:  # a document without any element
        return "", ""
    title = " ".join((root.findtext(".//title") or "").split())
    body = root.find("body")
    if body is None:
        body = root
    for tag in _DROPPED[:5]:
        _drop(body.iter(tag))
    whole = lxml_html.tostring(body, encoding="unicode")
    _drop_furniture(body)
    if len(_text(body)) == 0:
        # The page is nothing but links: keep them rather than say that it is empty.
        body = lxml_html.document_fromstring(whole).find("body")
    if body is None or not _text(body):
        return title, ""
    move_notes(body)
    body = _main_part(body)
    _mark_borders(body, anchors_are_borders=anchors_are_borders)
    _simplify(body)
    headings = [" ".join(_text(node).split()) for node in body.iter("h1")]
    if len(headings) == 1 and headings[0]:
        title = headings[0]
    content = lxml_html.tostring(body, encoding="unicode", method="html")
    return title, f"<html><body>{content}</body></html>"


def _flatten(page: str) -> str:
    """Return a page of headings, paragraphs and lines only, for one that nests without end."""
    page = _UNSEEN.sub(" ", page)
    page = _LEAF.sub(lambda found: f"<p>{found[0] if found[1].lower().startswith('h') else ''}", page)
    return _OTHER_TAG.sub(" ", page)


def _text(node: Any) -> str:
    return str(node.text_content()).strip()


def _drop(nodes: Any) -> None:
    for node in list(nodes):
        if node.getparent() is not None:
            node.drop_tree()


def _drop_furniture(body: Any) -> None:
    opened = _opened(body)
    _keep_said(body)
    for tag in _DROPPED:
        _drop(body.iter(tag))
    _drop(node for node in body.iter() if node is not body and _is_furniture(node, opened))
    _drop(
        node
        for node in body.iter("header")
        if not node.xpath("|".join(f".//{h}" for h in _HEADINGS.split("|")))
    )
    _drop(
        node
        for node in body.iter("a")
        if node.get("href", "").startswith("#") and _PERMALINK.match(_text(node))
    )
    _drop(node for node in body.iter("ul", "ol", "dl", "table") if _is_link_list(node))


def _opened(body: Any) -> set[str]:
    """Return the ids of what a click opens, such as the answers of a page of questions."""
    names = (node.get(name) or "" for node in body.iter() for name in _OPENERS)
    return {found.removeprefix("#") for value in names for found in value.split()}


def _is_furniture(node: Any, opened: set[str]) -> bool:
    if node.get("id") not in opened and node.get("role") != "tabpanel" and _is_hidden(node):
        return True
    if node.get("role") in _DROPPED_ROLES:
        return True
    classes = (node.get("class") or "").lower().split()
    return not _DROPPED_CLASSES.isdisjoint([*classes, _own_id(node)])


def _is_hidden(node: Any) -> bool:
    if node.get("aria-hidden") == "true" or "hidden" in node.attrib:
        return True
    return _HIDDEN.search(node.get("style") or "") is not None


def _own_id(node: Any) -> str:
    """Return an element's id in lower case, empty where its heading gave it: a chapter "Menu" is no menu."""
    name = str(node.get("id") or "").lower()
    is_chapter = node.tag in {"section", *_HEADINGS.split("|")} or "section" in (node.get("class") or "")
    if not name or not is_chapter or "toc" in name or "contents" in name:
        return name
    heading = next(node.iter(*_HEADINGS.split("|")), None)
    words = [] if heading is None else re.findall(r"\w+", _text(heading).lower())
    return "" if name in words else name


def _keep_said(body: Any) -> None:
    """Turn what would be dropped and is part of a sentence into its words: formulas, keys, raised figures.

    A button that is a heading, as where a click opens the answer, stays too.
    """
    for node in list(body.iter("math")):
        source = node.find(".//annotation")
        text = node.get("alttext") or _text(node if source is None else source)
        node.clear(keep_tail=True)
        node.tag, node.text = "span", text
    for node in list(body.iter("button")):
        host = next(node.iterancestors(*_HEADINGS.split("|"), "p", "li", "td", "dd", "dt", "summary"), None)
        words = "" if host is None else "".join(_text(host).split())
        if host is not None and (host.tag not in _LINES or words != "".join(_text(node).split())):
            node.tag = "span"
    for node in list(body.iter("sup")):
        if len(node) == 0:
            node.text = raise_figures(node.text or "")


def _is_link_list(node: Any) -> bool:
    links = [_text(link) for link in node.iter("a") if link.get("href")]
    if len(links) < (_TABLE_LINKS if node.tag == "table" else _LINKS):
        return False
    return len(re.sub(r"[\s|·•<>«»\[\]]+", "", "".join(links))) >= _LINK_SHARE * len(
        re.sub(r"[\s|·•<>«»\[\]]+", "", _text(node))
    )


def _main_part(body: Any) -> Any:
    """Return the element that the page itself calls its main part, where it holds most of the text."""
    for query in (".//main", ".//*[@role='main']", ".//article"):
        found = body.xpath(query)
        if len(found) == 1 and len(_text(found[0])) >= _MAIN_SHARE * len(_text(body)):
            return found[0]
    return body


def _mark_borders(body: Any, *, anchors_are_borders: bool) -> None:
    """Put a marker where the author set a border that is no heading."""
    borders = list(body.iter("hr"))
    if anchors_are_borders:
        borders += [node for node in body.iter("a") if _is_lone_anchor(node)]
    for node in borders:
        tail, node.tail = node.tail, None
        attributes = node.attrib
        attributes.clear()
        # An anchor stands inside a paragraph of its own; a rule needs one.
        node.tag = "p" if node.tag == "hr" else "span"
        node.text, node.tail = BORDER, tail


def _is_lone_anchor(node: Any) -> bool:
    parent = node.getparent()
    named = node.get("id") or node.get("name")
    return bool(named) and not _text(node) and parent is not None and parent.tag == "p" and not _text(parent)


def _simplify(body: Any) -> None:
    _break_lines(body)
    for node in _elements(body):
        if node is not body and (node.tag in _PLAIN_BLOCKS or not _KNOWN.match(node.tag)):
            node.tag = "div"
    simplify_tables(body)
    flatten_lists(body)
    for node in _elements(body):
        is_code = node.tag == "pre" or _is_inside(node, "pre")
        if node.text and not is_code:
            node.text = join_wrapped_cjk(node.text)
        if node.tail and not _is_inside(node, "pre"):
            node.tail = join_wrapped_cjk(node.tail)


def _break_lines(body: Any) -> None:
    """Turn line breaks into line ends, two in a row into a new paragraph."""
    for node in list(body.iter("br")):
        before = node.getprevious()
        is_second = before is not None and before.tag == "br" and not (before.tail or "").strip()
        if is_second and not _is_inside(node, "pre", "td", "th", "li", "dd"):
            node.tag = "p"
    for node in list(body.iter("br")):
        node.tail = "\n" + (node.tail or "")
        node.drop_tag()


def _elements(body: Any) -> list[Any]:
    return [node for node in body.iter() if isinstance(node.tag, str)]


def _is_inside(node: Any, *tags: str) -> bool:
    return next(node.iterancestors(*tags), None) is not None
