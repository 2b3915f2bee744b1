"""PDF: text with type from PDFium, tables from ruling lines, headings from outline and type."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing.partition import Partition
from indexing.parsing.pdf_assembly import Assembly
from indexing.parsing.pdf_headings import read_outline
from indexing.parsing.pdf_page import Page, read_page

_PASSWORD_ERROR = 4
_NO_OCR = "text recognition (OCR) is not part of this version"
_FILE_TITLE = re.compile(
    r"\.(?:docx?|pdf|tex|indd|dvi|xlsx?|odt|rtf|pptx?)\s*\Z|\A(?:microsoft word|untitled|无标题)", re.I
)
_UNREADABLE = re.compile(r"[\ufffd\ue000-\uf8ff]")
_UNREADABLE_SHARE = 0.3
_XFA_FORMS = {2, 3}
_PAGES_NAMED = 8


def read_pdf(path: Path, settings: IndexSettings) -> Partition:
    """Read a PDF.

    Raises:
        FileRefused: it is encrypted, corrupt, too long, or a scan without text.
    """
    document = _open(path)
    try:
        count = len(document)
        if not count:
            raise FileRefused(path, "is corrupt: it has no pages")
        if count > settings.max_pages:
            raise FileRefused(
                path, f"has {count} pages, at most {settings.max_pages} are read ([index] max_pages)"
            )
        warnings: list[str] = []
        pages = _read_pages(document, count, warnings)
        _check_text(path, pages, warnings)
        if document.get_formtype() in _XFA_FORMS:
            warnings.append("an XFA form: what its fields show is not read; print it to PDF to have it read")
        outline = read_outline(document)
        title = " ".join((document.get_metadata_dict().get("Title") or "").split())
    finally:
        document.close()
    elements = Assembly(pages).elements(outline)
    return Partition(
        elements=elements,
        title="" if _FILE_TITLE.search(title) else title,
        page_count=count,
        warnings=warnings,
    )


def _open(path: Path) -> Any:
    import pypdfium2

    try:
        return pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD_ERROR or "password" in str(error).lower():
            raise FileRefused(
                path, "is encrypted: it opens with a password only; save it without one first"
            ) from error
        raise FileRefused(path, "is corrupt: it cannot be opened as a PDF") from error


def _read_pages(document: Any, count: int, warnings: list[str]) -> list[Page]:
    import pypdfium2

    pages: list[Page] = []
    failed: list[int] = []
    for number in range(1, count + 1):
        try:
            pages.append(read_page(document, number))
        except (pypdfium2.PdfiumError, ValueError, OverflowError):
            failed.append(number)
            pages.append(
                Page(number=number, width=0, height=0, lines=[], chars=[], edges=[], has_images=False)
            )
    if failed:
        warnings.append(f"{_name_pages(failed)}: cannot be read, left out")
    return pages


def _check_text(path: Path, pages: Sequence[Page], warnings: list[str]) -> None:
    texts = ["".join(line.text for line in page.lines).strip() for page in pages]
    whole = "".join(texts)
    if not whole:
        raise FileRefused(path, _describe_textless(pages, has_failed=bool(warnings)))
    if len(_UNREADABLE.findall(whole)) > _UNREADABLE_SHARE * len(whole):
        raise FileRefused(path, "cannot be read: its fonts do not say which characters they draw")
    scanned = [page.number for page, text in zip(pages, texts, strict=True) if not text and page.has_images]
    if scanned:
        warnings.append(f"{_name_pages(scanned)}: pictures without text; {_NO_OCR}")


def _describe_textless(pages: Sequence[Page], *, has_failed: bool) -> str:
    if any(page.has_images for page in pages):
        return f"is a scan: it holds pictures and no text; {_NO_OCR}"
    if has_failed:
        return "is corrupt: no page can be read"
    return f"holds no text; if it is a scan: {_NO_OCR}"


def _name_pages(numbers: Sequence[int]) -> str:
    named = ", ".join(map(str, numbers[:_PAGES_NAMED])) + (", …" if len(numbers) > _PAGES_NAMED else "")
    return f"page {named}" if len(numbers) == 1 else f"pages {named}"
