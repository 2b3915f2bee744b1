"""One file in, its parsed document out: picks the reader, checks what it found."""

from __future__ import annotations

import functools
import importlib
import zipfile
from collections.abc import Callable
from pathlib import Path

from assistant.core.errors import DeskmateError, FileRefused
from assistant.core.records import ParsedDocument
from assistant.core.settings import IndexSettings
from indexing.parsing.ocr_pages import PageProgress, no_page_progress
from indexing.parsing.partition import Partition, check_length, prepare_unstructured, to_elements
from indexing.parsing.properties import read_properties

Reader = Callable[[Path, IndexSettings], Partition]
# kind → module and function, imported when first needed
_READERS = {
    "pdf": ("indexing.parsing.pdf", "read_pdf"),
    "docx": ("indexing.parsing.word", "read_docx"),
    "pptx": ("indexing.parsing.slides", "read_pptx"),
    "odt": ("indexing.parsing.opendocument", "read_odt"),
    "rtf": ("indexing.parsing.rich_text", "read_rtf"),
    "epub": ("indexing.parsing.books", "read_epub"),
    "eml": ("indexing.parsing.mail", "read_eml"),
    "mhtml": ("indexing.parsing.mail", "read_mhtml"),
    "rst": ("indexing.parsing.restructured", "read_rst"),
    "html": ("indexing.parsing.web", "read_html"),
    "md": ("indexing.parsing.web", "read_markdown"),
    "xlsx": ("indexing.parsing.sheets", "read_xlsx"),
    "csv": ("indexing.parsing.sheets", "read_csv"),
    "txt": ("indexing.parsing.plain", "read_txt"),
    "jsonl": ("indexing.parsing.dialogues", "read_jsonl_dialogues"),
    "image": ("indexing.parsing.images", "read_image"),
}
# Kinds whose readers recognise text, page by page; a mail's does in what is attached.
_RECOGNISED = {"pdf", "image", "eml"}
_TITLE_CHARACTERS = 200


def parse_file(
    path: Path, kind: str, settings: IndexSettings, on_page: PageProgress = no_page_progress
) -> ParsedDocument:
    """Parse one file in this process; hostile files belong into a `ParserPool`.

    Args:
        path: the file.
        kind: what `find_sources` found it to be.
        settings: limits.
        on_page: told of each page whose text is recognised.

    Raises:
        FileRefused: it is corrupt, encrypted, a scan without text, or holds nothing.
    """
    prepare_unstructured()
    partition = read_partition(path, kind, settings, on_page)
    elements = to_elements(partition.elements)
    if not elements:
        raise FileRefused(path, "holds no text")
    check_length(path, sum(len(element.text) for element in elements), settings)
    return ParsedDocument(
        title=_pick_title(partition, elements[0].text if elements[0].kind == "title" else "", path),
        elements=elements,
        page_count=partition.page_count,
        warnings=tuple(partition.warnings),
        metadata={**read_properties(path, kind), **partition.metadata},
        unread_pages=partition.unread_pages,
    )


def read_partition(
    path: Path, kind: str, settings: IndexSettings, on_page: PageProgress = no_page_progress
) -> Partition:
    """Read one file with the reader of its kind.

    Raises:
        FileRefused: it cannot be read.
    """
    if kind not in _READERS:
        raise FileRefused(path, f"no reader for kind {kind!r}")
    module, name = _READERS[kind]
    reader: Reader = getattr(importlib.import_module(module), name)
    if kind in _RECOGNISED:
        reader = functools.partial(getattr(importlib.import_module(module), name), on_page=on_page)
    try:
        return reader(path, settings)
    except DeskmateError:
        raise
    except MemoryError as error:
        raise FileRefused(
            path, "needs more memory than a file may take ([index] parse_memory_mebibytes)"
        ) from error
    except RecursionError as error:
        raise FileRefused(path, "is nested too deeply to be read") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise FileRefused(path, f"is corrupt: {error}") from error
    except (
        Exception
    ) as error:  # a reader of hostile files fails in every way there is; none may pass as a bug
        if "amplification" in str(error):  # expat's word for an XML bomb
            raise FileRefused(path, "is an XML bomb: it repeats itself without end") from error
        raise FileRefused(path, f"is corrupt or unusual ({type(error).__name__}: {_brief(error)})") from error


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def _pick_title(partition: Partition, first_title: str, path: Path) -> str:
    title = " ".join((partition.title or first_title or path.stem).split())
    return title[:_TITLE_CHARACTERS]
