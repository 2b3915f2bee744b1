"""RTF's tokens, and what a group of them says of the text inside it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator

import msgspec

from indexing.charsets import chinese_encoding

_TOKEN = re.compile(
    rb"\\(?P<word>[A-Za-z]{1,32})(?P<number>-?\d{1,10})?[ ]?"
    rb"|\\'(?P<hex>[0-9A-Fa-f]{2})|\\(?P<sign>[^A-Za-z'])"
    rb"|(?P<brace>[{}])|(?P<raw>[^\\{}\r\n]+)",
    re.S,
)
_HEX = re.compile(rb"\\'([0-9A-Fa-f]{2})")
_ESCAPED = b"\\{}"
# Where text goes that is not the document's own.
_TARGETS = {
    "stylesheet": "style", "listtext": "mark", "pntext": "mark", "footnote": "note", "title": "title",
    "fldrslt": "text", "result": "text", "shptxt": "text", "fonttbl": "skip", "colortbl": "skip",
    "info": "skip", "pict": "skip", "header": "skip", "headerl": "skip", "headerr": "skip",
    "headerf": "skip", "footer": "skip", "footerl": "skip", "footerr": "skip", "footerf": "skip",
    "fldinst": "skip", "object": "skip", "xe": "skip", "tc": "skip", "annotation": "skip", "atnid": "skip",
    "atnauthor": "skip", "nonesttables": "skip", "listtable": "skip", "listoverridetable": "skip",
    "revtbl": "skip", "rsidtbl": "skip", "themedata": "skip", "datastore": "skip", "generator": "skip",
    "bkmkstart": "skip", "bkmkend": "skip", "ftnsep": "skip", "ftnsepc": "skip", "private": "skip",
    "pn": "skip", "nonshppict": "skip",
}  # fmt: skip
# Windows' numbers of character sets; those of the document's own page are left out.
_CHARSETS = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 134: "gb18030", 136: "big5hkscs", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874",
    238: "cp1250",
}  # fmt: skip
_PAGES = {936: "gb18030", 950: "big5hkscs", 932: "cp932", 949: "cp949", 65001: "utf-8", 10000: "mac_roman"}
_LATIN_PAGE = b"\\ansicpg1252"


class Token(msgspec.Struct, frozen=True):
    """A control word with its number, a brace, or the bytes of text."""

    word: str = ""
    number: int | None = None
    raw: bytes = b""


class Group(msgspec.Struct):
    """What holds for the text of one group, and of its paragraph.

    Attributes:
        target: ``text``, or ``mark`` (a list's number), ``note``, ``style``, ``title``, ``skip``.
        text: what a target other than ``text`` and ``mark`` collects.
        fallback: characters to skip after each Unicode one.
        font: number of the font.
        style: number of the paragraph's style.
        level: outline level from 1, 0 for text.
        is_in_table: the paragraph stands in a table.
        is_item: the paragraph is an item of a list.
        is_hidden: the text is hidden or deleted.
        is_optional: the next word names a target that old readers may not know.
    """

    target: str = "text"
    text: list[str] = msgspec.field(default_factory=list)
    fallback: int = 1
    font: int = -1
    style: int = 0
    level: int = 0
    is_in_table: bool = False
    is_item: bool = False
    is_hidden: bool = False
    is_optional: bool = False

    def copy(self) -> Group:
        """Return the state that a group inside starts with."""
        return copy.copy(self)

    def take(self, token: Token) -> bool:
        """Take a control word; return whether it was one of those that a group keeps."""
        word, number = token.word, token.number
        was_optional, self.is_optional = self.is_optional, word == "*"
        if word in _TARGETS:
            self._aim(_TARGETS[word])
        elif was_optional and word not in {"s", "cs", "ts"}:
            self._aim("skip")
        elif word == "pard":
            self.style, self.level, self.is_in_table, self.is_item = 0, 0, False, False
        elif word in {"s", "f", "uc"}:
            setattr(self, {"s": "style", "f": "font", "uc": "fallback"}[word], number or 0)
        elif word in {"v", "deleted"}:
            self.is_hidden = number != 0
        elif word == "intbl":
            self.is_in_table = True
        elif word == "ls":
            self.is_item = bool(number)
        elif word == "outlinelevel":
            self.level = (number or 0) + 1 if (number or 0) < 9 else 0  # noqa: PLR2004 (9 is body text)
        else:
            return word == "*"
        return True

    def _aim(self, target: str) -> None:
        # A title inside the document's properties; elsewhere what is skipped stays skipped.
        if self.target == "skip" and target != "title":
            return
        self.target, self.text = target, []


def tokens(raw: bytes) -> Iterator[Token]:
    """Yield the tokens of a file; binary data is left out."""
    if chinese := _lying_page(raw):
        yield Token(word="ansicpg", number=chinese)
        raw = raw.replace(_LATIN_PAGE, b"", 1)
    place = 0
    while match := _TOKEN.search(raw, place):
        place = match.end()
        if match["word"]:
            number = int(match["number"]) if match["number"] else None
            if match["word"] == b"bin":
                place += max(number or 0, 0)
            else:
                yield Token(word=match["word"].decode("ascii"), number=number)
        elif match["hex"]:
            yield Token(raw=bytes([int(match["hex"], 16)]))
        elif match["sign"] and match["sign"] in _ESCAPED:
            yield Token(raw=match["sign"])
        elif match["sign"]:
            sign = match["sign"].decode("latin-1")
            yield Token(word="par" if sign in "\r\n" else sign)
        else:
            yield Token(word=match["brace"].decode("ascii")) if match["brace"] else Token(raw=match["raw"])


def _lying_page(raw: bytes) -> int | None:
    """Return the number of the Chinese code page where the file claims a Latin one."""
    if _LATIN_PAGE not in raw or b"\\fcharset134" in raw or b"\\fcharset136" in raw:
        return None
    found = chinese_encoding(bytes(int(pair, 16) for pair in _HEX.findall(raw)))
    return {"gb18030": 936, "big5hkscs": 950}.get(found or "")


def code_page(number: int) -> str:
    """Return the encoding of a character set or, negative, a code page; empty for the default one."""
    if number >= 0:
        return _CHARSETS.get(number, "")
    if -number in _PAGES:
        return _PAGES[-number]
    try:
        return f"cp{-number}" if "".encode(f"cp{-number}") == b"" else ""
    except LookupError:
        return ""
