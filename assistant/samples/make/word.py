"""Write a user guide as a Word file with real heading, list and table styles."""

from datetime import UTC, datetime
from pathlib import Path

import docx
from docx.document import Document
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.text.paragraph import Paragraph

from assistant.samples.make.blocks import Block, DocumentSpec
from assistant.samples.make.zipping import settle_zip

FIXED_TIME = datetime(2025, 7, 1, 9, 0, tzinfo=UTC)
_STYLES = {"paragraph": "Normal", "bullet": "List Bullet", "step": "List Number", "subtitle": "Subtitle"}
_EAST_ASIAN_FONT = "Microsoft YaHei"


def write_docx(spec: DocumentSpec, path: Path) -> None:
    """Write one guide with fixed dates, so that equal content gives equal bytes."""
    document = docx.Document()
    blocks = spec.blocks
    _set_properties(document, blocks[0].text, spec)
    for style in ("Normal", "Title", "Subtitle", "Heading 1", "Heading 2"):
        properties = document.styles[style].element.get_or_add_rPr()
        properties.get_or_add_rFonts().set(qn("w:eastAsia"), _EAST_ASIAN_FONT)
    numbering_id: int | None = None
    for block in blocks:
        if block.kind != "step":
            numbering_id = None
        elif numbering_id is None:
            numbering_id = _restart_numbering(document)
        _write_block(document, block, numbering_id)
    document.save(str(path))
    settle_zip(path)


def _set_properties(document: Document, title: str, spec: DocumentSpec) -> None:
    properties = document.core_properties
    properties.title = title
    properties.author = properties.last_modified_by = "Halvorn"
    properties.subject = spec.subject
    properties.language = spec.language
    properties.comments = ""
    properties.created = properties.modified = FIXED_TIME


def _write_block(document: Document, block: Block, numbering_id: int | None) -> None:
    if block.kind == "title":
        document.add_heading(block.text, level=0)
    elif block.kind == "heading":
        document.add_heading(block.text, level=block.level)
    elif block.kind == "table":
        _write_table(document, block)
    else:
        paragraph = document.add_paragraph(block.text, style=_STYLES[block.kind])
        if numbering_id is not None:
            _number(paragraph, numbering_id)


def _write_table(document: Document, block: Block) -> None:
    document.add_paragraph(block.text, style="Caption")
    table = document.add_table(rows=0, cols=len(block.rows[0]), style="Light Grid Accent 1")
    for row in block.rows:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    document.add_paragraph()


def _restart_numbering(document: Document) -> int:
    """Add a numbering instance that starts at 1 again; Word continues a style's numbers otherwise."""
    numbering = document.part.numbering_part.numbering_definitions._numbering  # noqa: SLF001
    style = document.styles["List Number"].element
    base = style.pPr.numPr.numId.val
    abstract = next(num for num in numbering.num_lst if num.numId == base).abstractNumId.val
    instance = numbering.add_num(abstract)
    instance.add_lvlOverride(ilvl=0).add_startOverride(1)
    return int(instance.numId)


def _number(paragraph: Paragraph, numbering_id: int) -> None:
    properties = paragraph._p.get_or_add_pPr().get_or_add_numPr()  # noqa: SLF001
    for tag, value in (("w:ilvl", 0), ("w:numId", numbering_id)):
        element = OxmlElement(tag)
        element.set(qn("w:val"), str(value))
        properties.append(element)
