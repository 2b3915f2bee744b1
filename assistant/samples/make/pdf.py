"""Write a service manual as a PDF with cover, contents, outline, running header and page numbers."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    KeepTogether,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)
from reportlab.platypus.tableofcontents import TableOfContents

from assistant.samples.make.blocks import Block, DocumentSpec
from assistant.samples.make.figures import draw
from assistant.samples.make.fonts import mark_up

_INK = HexColor("#22384f")
_RULE = HexColor("#9aa9b8")
_BAND = HexColor("#eef2f6")
_NOTE = HexColor("#fbf1e3")
_WIDTH = A4[0] - 44 * mm
_WORDS = {
    "en": {"contents": "Contents", "table": "Table {}: "},
    "zh": {"contents": "目录", "table": "表 {}："},
}


class _Styles:
    """Paragraph styles of one language."""

    def __init__(self, language: str) -> None:
        wrap = {"wordWrap": "CJK"} if language == "zh" else {}
        lead = 17 if language == "zh" else 15

        def style(name: str, size: float, leading: float, **more: Any) -> ParagraphStyle:
            return ParagraphStyle(name, fontName="Helvetica", fontSize=size, leading=leading, **wrap, **more)

        self.body = style("body", 10.5, lead, spaceAfter=6)
        self.item = style("item", 10.5, lead, leftIndent=18, bulletIndent=4, spaceAfter=3)
        self.cell = style("cell", 9, 12.5)
        self.caption = style("caption", 9, 12, textColor=_INK, spaceBefore=6, spaceAfter=4)
        self.heading = {
            1: style("h1", 19, 25, textColor=_INK, spaceAfter=10),
            2: style("h2", 13, 18, textColor=_INK, spaceBefore=12, spaceAfter=5, keepWithNext=1),
        }
        self.contents = [
            style("toc1", 11, 16, spaceBefore=5, rightIndent=24),
            style("toc2", 10, 13.5, leftIndent=16, rightIndent=24),
        ]
        self.cover = {size: style(f"cover{size}", size, size * 1.4, textColor=_INK) for size in (11, 16, 28)}


class _Manual(BaseDocTemplate):  # type: ignore[misc]
    """A document template that reports headings to the outline and to the contents."""

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802 (reportlab's name)
        heading = getattr(flowable, "sample_heading", None)
        if heading is None:
            return
        key = f"section-{heading.number}"
        self.canv.bookmarkPage(key)
        self.canv.addOutlineEntry(heading.printed, key, heading.level - 1, closed=heading.level == 1)
        self.notify("TOCEntry", (heading.level - 1, mark_up(heading.printed), self.page, key))


def write_pdf(spec: DocumentSpec, path: Path) -> None:
    """Write one manual; the printed page numbers equal the page indices counted from 1."""
    styles = _Styles(spec.language)
    blocks = spec.blocks
    title = blocks[0].text
    manual = _Manual(
        str(path), pagesize=A4, invariant=1, title=f"{title} · {spec.kicker}", author="Halvorn", subject=spec.subject,
        lang=spec.language,
    )  # fmt: skip
    frame = Frame(22 * mm, 24 * mm, _WIDTH, A4[1] - 52 * mm, id="main", leftPadding=0, rightPadding=0)

    def decorate(canvas: Canvas, _: BaseDocTemplate) -> None:
        _decorate(canvas, spec, styles)

    manual.addPageTemplates(
        [
            PageTemplate("cover", [frame], onPage=_decorate_cover),
            PageTemplate("inner", [frame], onPage=decorate),
        ],
    )
    contents = TableOfContents(levelStyles=styles.contents, dotsMinLevel=0, tableStyle=None)
    story = [*_cover(title, spec, styles), NextPageTemplate("inner"), PageBreak()]
    story += [Paragraph(mark_up(_WORDS[spec.language]["contents"]), styles.heading[1]), contents]
    story += _flow(blocks[1:], styles, _WORDS[spec.language]["table"])
    manual.multiBuild(story)


def _cover(title: str, spec: DocumentSpec, styles: _Styles) -> list[Flowable]:
    texts = [(title, 28), (spec.kicker, 16), (spec.subtitle, 16), (spec.imprint, 11)]
    flow: list[Flowable] = [Spacer(1, 70 * mm)]
    for text, size in texts:
        flow += [Paragraph(mark_up(text), styles.cover[size]), Spacer(1, 6 * mm)]
    return flow


def _decorate_cover(canvas: Canvas, _: BaseDocTemplate) -> None:
    canvas.saveState()
    canvas.setFillColor(_INK)
    canvas.rect(0, A4[1] - 62 * mm, A4[0], 62 * mm, stroke=0, fill=1)
    canvas.rect(22 * mm, 24 * mm, _WIDTH, 1.2 * mm, stroke=0, fill=1)
    canvas.setFillColor(_BAND)
    canvas.setFont("Helvetica-Bold", 24)
    canvas.drawString(22 * mm, A4[1] - 40 * mm, "HALVORN")
    canvas.restoreState()


def _decorate(canvas: Canvas, spec: DocumentSpec, styles: _Styles) -> None:
    canvas.saveState()
    canvas.setStrokeColor(_RULE)
    canvas.setLineWidth(0.6)
    canvas.line(22 * mm, A4[1] - 20 * mm, A4[0] - 22 * mm, A4[1] - 20 * mm)
    header = Paragraph(mark_up(spec.running), styles.caption)
    header.wrapOn(canvas, _WIDTH, 20)
    header.drawOn(canvas, 22 * mm, A4[1] - 18 * mm)
    canvas.setFont("Helvetica", 9)
    canvas.drawRightString(A4[0] - 22 * mm, 14 * mm, str(canvas.getPageNumber()))
    canvas.drawString(22 * mm, 14 * mm, spec.imprint.split(" · ")[0].split()[-1])
    canvas.restoreState()


def _flow(blocks: list[Block], styles: _Styles, table_label: str) -> Iterator[Flowable]:
    step = table_count = 0
    for block, following in zip_longest(blocks, blocks[1:]):
        step = step + 1 if block.kind == "step" else 0
        if block.kind == "heading":
            if block.level == 1:
                yield PageBreak()
            else:
                yield CondPageBreak(35 * mm)
            heading = Paragraph(mark_up(block.printed, is_bold=True), styles.heading[block.level])
            heading.sample_heading = block
            yield heading
        elif block.kind == "table":
            table_count += 1
            yield from _table(block, styles, table_label.format(table_count))
        elif block.kind in {"bullet", "step"}:
            bullet = "•" if block.kind == "bullet" else f"{step}."
            yield Paragraph(mark_up(block.text), styles.item, bulletText=bullet)
        elif block.kind == "note":
            yield _note(block, styles)
        elif block.kind == "figure":
            yield KeepTogether([draw(block.text), Paragraph(mark_up(block.label), styles.caption)])
        else:
            paragraph = Paragraph(mark_up(block.text), styles.body)
            paragraph.keepWithNext = int(following is not None and following.kind == "table")
            yield paragraph


def _table(block: Block, styles: _Styles, label: str) -> list[Flowable]:
    rows = [
        [Paragraph(mark_up(cell, is_bold=index == 0), styles.cell) for cell in row]
        for index, row in enumerate(block.rows)
    ]
    table = Table(rows, colWidths=[_WIDTH * width / 100 for width in block.widths], repeatRows=1)
    table.setStyle(
        [
            ("GRID", (0, 0), (-1, -1), 0.4, _RULE),
            ("BACKGROUND", (0, 0), (-1, 0), _BAND),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
        ]
    )
    caption = Paragraph(mark_up(label + block.text), styles.caption)
    caption.keepWithNext = 1
    return [caption, table, Spacer(1, 8)]


def _note(block: Block, styles: _Styles) -> Flowable:
    cells = [
        [
            Paragraph(mark_up(block.label, is_bold=True), styles.cell),
            Paragraph(mark_up(block.text), styles.body),
        ]
    ]
    table = Table(cells, colWidths=[_WIDTH * 0.16, _WIDTH * 0.84], spaceBefore=4, spaceAfter=8)
    table.setStyle(
        [
            ("BACKGROUND", (0, 0), (-1, -1), _NOTE),
            ("LINEBEFORE", (0, 0), (0, -1), 3, _INK),
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ]
    )
    return table
