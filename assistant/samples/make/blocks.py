"""Read the light markup of `content/*.md` into typed blocks that every writer understands.

One block a line: `#` title, `##` and `###` headings, `-` bullet, `1.` step, `> LABEL: text` warning,
`^ caption {widths}` followed by `|` rows, `@ figure | legend`, anything else a paragraph.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

CONTENT_PATH = Path(__file__).parent / "content"
_CAPTION = re.compile(r"\^ (?P<caption>.+) \{(?P<widths>[\d,]+)\}")
_STEP = re.compile(r"\d+\. ")


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One typed piece of a document.

    Attributes:
        kind: title, subtitle, heading, paragraph, bullet, step, note, table or figure.
        text: Its text; the caption of a table, the name of a figure.
        label: Signal word of a note, legend of a figure.
        level: 1 or 2 for a heading.
        number: "3" or "3.2" for a heading.
        rows: Cells of a table, header first.
        widths: Column widths of a table in percent.
        heading: The nearest heading above, as printed.
    """

    kind: str
    text: str
    label: str = ""
    level: int = 0
    number: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    widths: tuple[int, ...] = ()
    heading: str | None = None

    @property
    def printed(self) -> str:
        """The text with its section number, as it stands on the page."""
        return f"{self.number} {self.text}".strip()


class DocumentSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of `content/documents.toml`."""

    source: str
    target: str
    key: str
    language: str
    kicker: str = ""
    subtitle: str = ""
    imprint: str = ""
    running: str = ""
    subject: str = ""
    navigation: list[str] = []
    footer: str = ""

    @property
    def blocks(self) -> list[Block]:
        """The parsed source; headings are numbered where the target is a PDF."""
        text = (CONTENT_PATH / self.source).read_text(encoding="utf-8")
        return list(parse(text.splitlines(), is_numbered=self.target.endswith(".pdf")))


class _Documents(msgspec.Struct):
    document: list[DocumentSpec]


def load_documents() -> list[DocumentSpec]:
    """Read the list of documents."""
    return msgspec.toml.decode((CONTENT_PATH / "documents.toml").read_bytes(), type=_Documents).document


def parse(lines: Iterable[str], *, is_numbered: bool) -> Iterator[Block]:
    """Yield the blocks of a source text in order.

    Args:
        lines: The lines of the source.
        is_numbered: Whether headings carry section numbers.
    """
    chapter = section = 0
    heading: str | None = None
    table: Block | None = None
    for line in lines:
        if table is not None and not line.startswith("| "):
            yield table
            table = None
        if not line.strip():
            continue
        if line.startswith("| ") and table is not None:
            cells = tuple(cell.strip() for cell in line.strip("| ").split(" | "))
            table = msgspec.structs.replace(table, rows=(*table.rows, cells))
        elif line.startswith("^ "):
            table = _table(line, heading)
        elif line.startswith(("## ", "### ")):
            level = line.index(" ") - 1
            chapter, section = (chapter + 1, 0) if level == 1 else (chapter, section + 1)
            number = (f"{chapter}" if level == 1 else f"{chapter}.{section}") if is_numbered else ""
            block = Block(kind="heading", text=line[level + 2 :], level=level, number=number)
            heading = block.printed
            yield msgspec.structs.replace(block, heading=heading)
        else:
            yield _simple(line, heading)
    if table is not None:
        yield table


def _table(line: str, heading: str | None) -> Block:
    match = _CAPTION.fullmatch(line)
    if match is None:
        raise ValueError(f"a table needs a caption and widths: {line!r}")
    widths = tuple(int(width) for width in match["widths"].split(","))
    return Block(kind="table", text=match["caption"], widths=widths, heading=heading)


def _simple(line: str, heading: str | None) -> Block:
    if line.startswith("# "):
        return Block(kind="title", text=line[2:])
    if line.startswith("- "):
        return Block(kind="bullet", text=line[2:], heading=heading)
    if line.startswith("> "):
        label, text = re.split(r": |：", line[2:], maxsplit=1)
        return Block(kind="note", label=label, text=text, heading=heading)
    if line.startswith("@ "):
        name, _, legend = line[2:].partition(" | ")
        return Block(kind="figure", text=name, label=legend, heading=heading)
    if match := _STEP.match(line):
        return Block(kind="step", text=line[match.end() :], heading=heading)
    return Block(kind="paragraph", text=line, heading=heading)
