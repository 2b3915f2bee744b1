"""RTF, turned into a page: headings by style or outline level, lists, tables, footnotes."""

from __future__ import annotations

import html
import re
from pathlib import Path

from assistant.core.settings import IndexSettings
from indexing.parsing.partition import Partition
from indexing.parsing.rich_text_tokens import Group, Token, code_page, tokens
from indexing.parsing.web import read_page

_LAST_LEVEL = 6
_SYMBOLS = {
    "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
    "bullet": "•", "tab": " ", "line": "\n", "emspace": " ", "enspace": " ", "qmspace": " ", "~": " ",
    "_": "-", "lbr": "\n", "nestcell": " ", "nestrow": "\n",
}  # fmt: skip
_HEADING = re.compile(r"(?:heading|标题|標題|überschrift|titre)\s*(\d)", re.I)
_TITLES = {"title", "标题", "標題"}
_NUMBER = re.compile(r"\(?[0-9a-zA-Z]{1,3}(?:\.[0-9]{1,3})*[.)、]?")


def read_rtf(path: Path, settings: IndexSettings) -> Partition:  # noqa: ARG001
    """Read an RTF file."""
    reader = _Reader()
    for token in tokens(path.read_bytes()):
        reader.take(token)
    partition = read_page(f"<html><body>{reader.page()}</body></html>")
    partition.title = reader.title or partition.title
    return partition


class _Reader:
    """Follows the groups of a file and writes its paragraphs and tables as HTML."""

    def __init__(self) -> None:
        self.title = ""
        self._group = Group()
        self._stack: list[Group] = []
        self._raw = bytearray()
        self._fallback = 0
        self._text: list[str] = []
        self._mark: list[str] = []
        self._notes: list[str] = []
        self._cells: list[str] = []
        self._cell: list[str] = []
        self._merges: list[str] = []
        self._merge = ""
        self._is_header = False
        self._above: list[str] = []
        self._rows: list[str] = []
        self._blocks: list[str] = []
        self._fonts: dict[int, str] = {}
        self._levels: dict[int, int] = {}
        self._page = "cp1252"

    def take(self, token: Token) -> None:
        """Take the next token."""
        if token.raw:
            self._take_raw(token.raw)
            return
        if token.word == "u":
            self._flush()
            self._put(chr((token.number or 0) & 0xFFFF))
            self._fallback = self._group.fallback
            return
        self._flush()
        if token.word == "{":
            self._stack.append(self._group.copy())
        elif token.word == "}":
            self._close()
        elif token.word in _SYMBOLS:
            self._put(_SYMBOLS[token.word])
        elif not self._group.take(token):
            self._control(token)

    def page(self) -> str:
        """Return what was read, as HTML."""
        self._flush()
        self._end_paragraph()
        self._end_table()
        return "".join(self._blocks)

    def _take_raw(self, raw: bytes) -> None:
        skipped = min(self._fallback, len(raw))
        self._fallback -= skipped
        self._raw += raw[skipped:]

    def _flush(self) -> None:
        """Decode the bytes at hand; two of them may be one character, so never one by one."""
        if self._raw:
            page = self._fonts.get(self._group.font, "") or self._page
            self._put(bytes(self._raw).decode(page, "replace"))
            self._raw.clear()

    def _put(self, text: str) -> None:
        group = self._group
        if group.target == "text" and not group.is_hidden:
            self._text.append(text)
        elif group.target == "mark":
            self._mark.append(text)
        elif group.target in {"style", "title", "note"}:
            group.text.append(text)

    def _close(self) -> None:
        closed = self._group
        self._group = self._stack.pop() if self._stack else Group()
        self._fallback = 0
        if closed.target == self._group.target and closed.target != "style":
            return
        text = "".join(closed.text)
        if closed.target == "style" and closed.text and self._group.target == "style":
            self._learn_style(closed, text)
            closed.text.clear()
        elif closed.target == "title":
            self.title = _clean(text)
        elif closed.target == "note" and text.strip():
            self._notes.append(f"<p>{html.escape(_clean(text))}</p>")

    def _learn_style(self, group: Group, text: str) -> None:
        name = text.strip().rstrip(";").strip().lower()
        heading = _HEADING.match(name)
        if name in _TITLES:
            self._levels[group.style] = 1
        elif heading:
            self._levels[group.style] = int(heading[1])
        elif group.level:
            self._levels[group.style] = group.level

    def _control(self, token: Token) -> None:
        word, number = token.word, token.number
        if word == "fcharset":
            self._fonts[self._group.font] = code_page(number or 0)
        elif word == "ansicpg":
            self._page = code_page(-(number or 1252)) or self._page
        elif self._group.target in {"skip", "style"}:
            return
        elif word in {"par", "sect", "page"}:
            self._end_paragraph()
        elif word == "cell":
            self._end_cell()
        elif word == "row":
            self._end_row()
        elif word in {"trowd", "trhdr"}:
            self._is_header = word == "trhdr"
            self._merges = self._merges if word == "trhdr" else []
        elif word in {"clvmrg", "clmrg"}:
            self._merge = word
        elif word == "cellx":
            self._merges.append(self._merge)
            self._merge = ""

    def _end_paragraph(self) -> None:
        text, mark = "".join(self._text), _clean("".join(self._mark))
        self._text.clear()
        self._mark.clear()
        if self._group.target == "note":
            self._group.text.append("\n")
            return
        notes = "".join(self._notes)
        self._notes.clear()
        if self._group.is_in_table:
            self._cell.append(text + "\n" + re.sub("<[^>]+>", " ", notes))
            return
        self._end_table()
        if text.strip():
            self._blocks.append(self._paragraph(text, mark))
        self._blocks.append(notes)

    def _paragraph(self, text: str, mark: str) -> str:
        shown = html.escape(_clean_surrogates(text).strip()).replace("\n", "<br>")
        level = self._group.level or self._levels.get(self._group.style, 0)
        if level:
            title = f"{html.escape(mark)} {shown}" if mark else shown
            return f"<h{min(level, _LAST_LEVEL)}>{title}</h{min(level, _LAST_LEVEL)}>"
        if mark or self._group.is_item:
            number = f"{mark} " if _NUMBER.fullmatch(mark) else ""
            return f"<ul><li>{html.escape(number)}{shown}</li></ul>"
        return f"<p>{shown}</p>"

    def _end_cell(self) -> None:
        self._cell.append("".join(self._text))
        self._text.clear()
        self._mark.clear()
        place = len(self._cells)
        merge = self._merges[place] if place < len(self._merges) else ""
        text = _clean("".join(self._cell))
        if merge == "clvmrg" and place < len(self._above):
            text = text or self._above[place]
        elif merge == "clmrg" and place:
            text = text or self._cells[-1]
        self._cells.append(text)
        self._cell.clear()

    def _end_row(self) -> None:
        if self._cells:
            tag = "th" if self._is_header else "td"
            row = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in self._cells)
            self._rows.append(f"<tr>{row}</tr>")
        self._above, self._cells = self._cells, []

    def _end_table(self) -> None:
        if self._cells or self._cell:
            self._end_row()
        if self._rows:
            self._blocks.append(f"<table>{''.join(self._rows)}</table>")
        self._rows, self._above = [], []


def _clean(text: str) -> str:
    return " ".join(_clean_surrogates(text).split())


def _clean_surrogates(text: str) -> str:
    """Join the halves of characters that are written as two."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
