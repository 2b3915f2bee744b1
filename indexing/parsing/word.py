"""Word files through unstructured."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing.partition import Partition
from indexing.parsing.tables import grid_html, html_cells, make_grid
from indexing.parsing.word_cleaning import clean_document


def read_docx(path: Path, settings: IndexSettings) -> Partition:  # noqa: ARG001
    """Read a Word file.

    Raises:
        FileRefused: its parts are damaged.
    """
    import docx
    from docx.opc.exceptions import PackageNotFoundError
    from unstructured.partition.docx import partition_docx

    try:
        document = docx.Document(str(path))
        title = document.core_properties.title
        clean_document(document)
        cleaned = io.BytesIO()
        document.save(cleaned)
        elements: list[Any] = partition_docx(file=cleaned, infer_table_structure=True, languages=[""])
    except (PackageNotFoundError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise FileRefused(
            path, f"is corrupt: the document cannot be opened ({type(error).__name__})"
        ) from error
    if _begins_with_title(document):
        for element in elements[1:]:
            if type(element).__name__ == "Title":
                element.metadata.category_depth = (element.metadata.category_depth or 0) + 1
    for element in elements:
        if element.metadata.text_as_html:
            # Word marks no header cells; its table styles set the first row apart.
            cells = html_cells(element.metadata.text_as_html)
            grid = make_grid(cells, has_header="likely")
            element.metadata.text_as_html = grid_html(grid)
    return Partition(elements=elements, title=(title or "").strip())


def _begins_with_title(document: Any) -> bool:
    """Return whether the first paragraph is the document's title, above headings of level 1."""
    first = next((paragraph for paragraph in document.paragraphs if paragraph.text.strip()), None)
    return first is not None and first.style is not None and first.style.name == "Title"
