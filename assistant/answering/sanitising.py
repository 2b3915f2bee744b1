"""Answers without what a client might run, load or follow: HTML, pictures, links of nobody's.

An address stays where it stands in a passage of the context. A word in angle brackets that is no HTML, such
as ``<SSID>``, stays too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from assistant.core.disguises import without_invisible

_HTML = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|iframe|object|svg|template|noscript)\b.*?(?:</\1\s*>|\Z)"
    r"|</?(?:a|abbr|applet|area|audio|b|base|blockquote|body|br|button|canvas|center|code|div|embed|em|font|form"
    r"|frame|frameset|h[1-6]|head|hr|html|i|iframe|img|input|ins|label|li|link|marquee|math|meta|object|ol|option"
    r"|p|picture|pre|s|script|select|source|span|strong|style|sub|sup|svg|table|tbody|td|template|textarea|tfoot"
    r"|th|thead|title|tr|u|ul|video)\b(?:\s[^<>]*)?/?>",
    re.IGNORECASE | re.DOTALL,
)
# nothing is given back (`++`, `*+`): one link begun after the other would be tried in every way otherwise
_PICTURE = re.compile(r"!\[([^\]\n]*+)\]\s*+(?:\([^)\n]*+\)|\[[^\]\n]*+\])")
_LINK = re.compile(r"\[([^\]\n]++)\]\(\s*+<?+([^)\s>]*+)>?+[^)\n]*+\)")
_LINK_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]+\]:\s*\S+.*$", re.MULTILINE)
ADDRESS = re.compile(
    r"(?:\b[a-z][a-z0-9+.-]{1,15}://|\b(?:javascript|vbscript|mailto):(?=\S)|\b(?:data|file):(?=[a-z]*/)|\bwww\.)[!-~]+"
    r"|\b[\w.+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+",
    re.IGNORECASE | re.ASCII,
)
_TRAILING = ".,;:!?)]}'\"*_"
_OPEN_TAG = re.compile(r"<(?:[!/]?[A-Za-z-][^<>]*)?\Z")
_OPEN_BLOCK = re.compile(r"<(script|style|iframe|object|svg|template|noscript)\b(?!.*</\1\s*>)", re.I | re.S)
_BEGINNINGS = ("http", "https", "ftp", "ftps", "www", "javascript", "vbscript", "mailto", "data", "file")
_LAST_WORD = re.compile(r"(?<![A-Za-z])([A-Za-z]+)([.:][!-~]*)?\Z")
_LONGEST_HELD = 2000


def sanitise(text: str, sources: Sequence[str]) -> str:
    """Return an answer's text without HTML, pictures and addresses that none of the sources holds.

    Args:
        text: as generated.
        sources: texts whose addresses may be named.
    """
    text = without_invisible(text)
    if "<" in text:
        text = _HTML.sub("", text)
    if "](" in text or "][" in text or "]:" in text:
        text = _PICTURE.sub(r"\1", text)
        text = _LINK_DEFINITION.sub("", text)
        text = _LINK.sub(lambda link: _plain_link(link, sources), text)
    return ADDRESS.sub(lambda address: _known_address(address.group(), sources), text)


class SafeText:
    """The same for a text that comes in pieces: an address or a tag is held back until it is whole.

    Args:
        sources: texts whose addresses may be named.
    """

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = sources
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what may be shown now."""
        self._held += piece
        cut = _risky(self._held)
        shown, self._held = self._held[:cut], self._held[cut:]
        return self._clean(shown)

    def flush(self) -> str:
        """Return what was held back."""
        shown, self._held = self._held, ""
        return self._clean(shown)

    def _clean(self, text: str) -> str:
        text = without_invisible(text)
        text = _HTML.sub("", text) if "<" in text else text
        return ADDRESS.sub(lambda address: _known_address(address.group(), self._sources), text)


def _risky(text: str) -> int:
    """Return where the unfinished tag or address at the end of a text begins, else its length."""
    starts = []
    if "<" in text:
        if block := _OPEN_BLOCK.search(text):
            return block.start()
        if tag := _OPEN_TAG.search(text):
            starts.append(tag.start())
    word = _LAST_WORD.search(text)
    if word and _may_begin_address(word):
        starts.append(word.start())
    start = min(starts, default=len(text))
    return start if len(text) - start <= _LONGEST_HELD else len(text)


def _may_begin_address(word: re.Match[str]) -> bool:
    name = word.group(1).lower()
    return name in _BEGINNINGS if word.group(2) else any(whole.startswith(name) for whole in _BEGINNINGS)


def _plain_link(link: re.Match[str], sources: Sequence[str]) -> str:
    label, target = link.group(1), link.group(2)
    # a mark of a passage with something in brackets behind it is no link
    if not ADDRESS.match(target) and not re.search(r"[/.#]", target):
        return link.group() if label.isdigit() else label
    kept = _known_address(target, sources) if ADDRESS.match(target) else ""
    return f"{label} ({kept})" if kept and kept != label else label


def _known_address(address: str, sources: Sequence[str]) -> str:
    bare = address.rstrip(_TRAILING)
    rest = address[len(bare) :]
    if bare.lower().startswith(("javascript:", "data:", "vbscript:", "file:")):
        return rest
    return address if any(bare in source for source in sources) else rest
