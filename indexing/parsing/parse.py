"""One file in, its parsed document out: picks the reader, checks what it found."""

from __future__ import annotations

import importlib
import zipfile
from collections.abc import Callable
from pathlib import Path

from assistant.core.errors import DeskmateError, FileRefused
from assistant.core.records import ParsedDocument
from assistant.core.settings import IndexSettings
from indexing.parsing.partition import Partition, prepare_unstructured, to_elements

Reader = Callable[[Path, IndexSettings], Partition]
# kind → module and function, imported when first needed
_READERS = {
    "pdf": ("indexing.parsing.pdf", "read_pdf"),
    "docx": ("indexing.parsing.word", "read_docx"),
    "html": ("indexing.parsing.web", "read_html"),
    "md": ("indexing.parsing.web", "read_markdown"),
    "xlsx": ("indexing.parsing.sheets", "read_xlsx"),
    "csv": ("indexing.parsing.sheets", "read_csv"),
    "txt": ("indexing.parsing.plain", "read_txt"),
    "jsonl": ("indexing.parsing.dialogues", "read_jsonl_dialogues"),
}
_TITLE_CHARACTERS = 200


def parse_file(path: Path, kind: str, settings: IndexSettings) -> ParsedDocument:
    """Parse one file in this process; hostile files belong into a `ParserPool`.

    Args:
        path: the file.
        kind: what `find_sources` found it to be.
        settings: limits.

    Raises:
        FileRefused: it is corrupt, encrypted, a scan without text, or holds nothing.
    """
    if kind not in _READERS:
        raise FileRefused(path, f"no reader for kind {kind!r}")
    module, name = _READERS[kind]
    prepare_unstructured()
    reader: Reader = getattr(importlib.import_module(module), name)
    try:
        partition = reader(path, settings)
        elements = to_elements(partition.elements)
    except DeskmateError:
        raise
    except MemoryError as error:
        raise FileRefused(
            path, "needs more memory than a file may take ([index] parse_memory_mebibytes)"
        ) from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise FileRefused(path, f"is corrupt: {error}") from error
    except (
        Exception
    ) as error:  # a reader of hostile files fails in every way there is; none may pass as a bug
        raise FileRefused(path, f"is corrupt or unusual ({type(error).__name__}: {_brief(error)})") from error
    if not elements:
        raise FileRefused(path, "holds no text")
    return ParsedDocument(
        title=_pick_title(partition, elements[0].text if elements[0].kind == "title" else "", path),
        elements=elements,
        page_count=partition.page_count,
        warnings=tuple(partition.warnings),
    )


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def _pick_title(partition: Partition, first_title: str, path: Path) -> str:
    title = " ".join((partition.title or first_title or path.stem).split())
    return title[:_TITLE_CHARACTERS]
