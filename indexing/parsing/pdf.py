"""PDF: text with type from PDFium, tables from ruling lines, headings from outline and type."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing.ocr_pages import PageProgress, name_pages, no_page_progress
from indexing.parsing.partition import Partition
from indexing.parsing.pdf_assembly import Assembly
from indexing.parsing.pdf_headings import read_outline
from indexing.parsing.pdf_ocr import Recognition, is_unreadable, recognise_scans
from indexing.parsing.pdf_page import Page, read_page

_PASSWORD_ERROR = 4
_FILE_TITLE = re.compile(
    r"\.(?:docx?|pdf|tex|indd|dvi|xlsx?|odt|rtf|pptx?)\s*\Z|\A(?:microsoft word|untitled|无标题)", re.I
)
_XFA_FORMS = {2, 3}


def read_pdf(path: Path, settings: IndexSettings, on_page: PageProgress = no_page_progress) -> Partition:
    """Read a PDF; pages without text are recognised where that is installed.

    Args:
        path: the file.
        settings: limits.
        on_page: told of each page that is recognised.

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
        recognition = recognise_scans(document, _read_pages(document, count, warnings), settings, on_page)
        _check_text(path, recognition, has_failed=bool(warnings))
        warnings.extend(recognition.warnings)
        if document.get_formtype() in _XFA_FORMS:
            warnings.append("an XFA form: what its fields show is not read; print it to PDF to have it read")
        outline = read_outline(document)
        title = " ".join((document.get_metadata_dict().get("Title") or "").split())
    finally:
        document.close()
    elements = Assembly(recognition.pages).elements(outline)
    return Partition(
        elements=elements,
        title="" if _FILE_TITLE.search(title) else title,
        page_count=count,
        warnings=warnings,
        unread_pages=recognition.unread,
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
        warnings.append(f"{name_pages(failed)}: cannot be read, left out")
    return pages


def _check_text(path: Path, recognition: Recognition, *, has_failed: bool) -> None:
    pages = recognition.pages
    if not any(line.text.strip() for page in pages for line in page.lines):
        raise FileRefused(path, _describe_textless(recognition, has_failed=has_failed))
    unreadable = sum(is_unreadable(page) for page in pages)
    if unreadable and unreadable == sum(bool(page.lines) for page in pages):
        why = "".join(f"; {warning}" for warning in recognition.warnings)
        raise FileRefused(path, f"cannot be read: its fonts do not say which characters they draw{why}")


def _describe_textless(recognition: Recognition, *, has_failed: bool) -> str:
    if recognition.warnings:
        return f"is a scan: it holds pictures and no text; {'; '.join(recognition.warnings)}"
    return "is corrupt: no page can be read" if has_failed else "holds no text"
