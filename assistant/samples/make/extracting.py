"""Read the text of a shipped file the way an indexer would see it."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import docx
from openpyxl import load_workbook


def extract_pages(path: Path) -> list[str]:
    """Return the text of each page; files without pages have one."""
    suffix = path.suffix
    if suffix == ".pdf":
        return _pdf_texts(path)
    if suffix == ".docx":
        return ["\n".join(_docx_texts(path))]
    if suffix == ".xlsx":
        return ["\n".join(_xlsx_texts(path))]
    text = path.read_text(encoding="utf-8")
    return [_html_text(text) if suffix == ".html" else text]


def squeeze(text: str) -> str:
    """Remove all white space: a page breaks lines inside Chinese sentences and inside table cells."""
    return "".join(text.split())


def _pdf_texts(path: Path) -> list[str]:
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        return [page.get_textpage().get_text_range() for page in document]


def _docx_texts(path: Path) -> Iterator[str]:
    document = docx.Document(str(path))
    for item in document.iter_inner_content():
        if isinstance(item, docx.table.Table):
            for row in item.rows:
                yield " | ".join(cell.text for cell in row.cells)
        else:
            yield item.text


def _xlsx_texts(path: Path) -> Iterator[str]:
    workbook = load_workbook(path, read_only=True)
    for sheet in workbook.worksheets:
        yield sheet.title
        for row in sheet.iter_rows(values_only=True):
            yield " | ".join(str(cell) for cell in row)
    workbook.close()


class _TextParser(HTMLParser):
    """Collect the text outside scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._is_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._is_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._is_script = False

    def handle_data(self, data: str) -> None:
        if not self._is_script:
            self.parts.append(data)


def _html_text(text: str) -> str:
    parser = _TextParser()
    parser.feed(text)
    return "\n".join(parser.parts)
