"""A parser without processes, and a builder over it, for tests of what happens around parsing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assistant.core.errors import FileRefused
from assistant.core.home import Home
from assistant.core.progress import NoProgress, Progress
from assistant.core.records import Element, ParsedDocument
from assistant.core.settings import EmbedderSettings, IndexSettings, Settings
from assistant.store.database import Database
from indexing.build import Builder
from indexing.embedding import Embedder, HashingEmbedder
from indexing.parsing.ocr_pages import PageProgress, no_page_progress
from indexing.sources import SourceFile

HASHING = Settings(embedder=EmbedderSettings(model="hashing"))


class LineParser:
    """Takes each line of a file as a paragraph; a line that starts with ``#`` is a title."""

    def parse(self, source: SourceFile, on_page: PageProgress = no_page_progress) -> ParsedDocument:
        text = source.path.read_text("utf-8")
        if "broken" in text:
            raise FileRefused(source.path, "is broken")
        elements = [
            Element(kind="title", text=line[2:]) if line.startswith("# ") else Element(kind="text", text=line)
            for line in text.splitlines()
            if line.strip()
        ]
        return ParsedDocument(title=source.path.stem, elements=tuple(elements))


@contextmanager
def open_line_parser(settings: IndexSettings) -> Iterator[LineParser]:
    yield LineParser()


MakeBuilder = Callable[..., Builder]


@pytest.fixture
def make_builder(home: Home) -> Iterator[MakeBuilder]:
    """Return a function that opens a builder as a new process would."""
    databases: list[Database] = []

    def make(
        collection: str = "pumps",
        settings: Settings = HASHING,
        embedder: Embedder | None = None,
        progress: Progress | None = None,
    ) -> Builder:
        databases.append(Database(home.database_url))
        return Builder(
            collection,
            home,
            settings,
            databases[-1],
            embedder or HashingEmbedder(),
            progress or NoProgress(),
            open_line_parser,
        )

    yield make
    for database in databases:
        database.close()


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Return a folder with an English and a Chinese document."""
    folder = tmp_path / "documents"
    (folder / "zh").mkdir(parents=True)
    (folder / "pump.txt").write_text(
        "# Faults\nFault code E-47: the fan is blocked.\n# Seals\nReplace the pump seal every two years.\n"
        "# Errors\nFault code E-48: door open. Fault code E-49: no water.\n",
        "utf-8",
    )
    (folder / "zh" / "guide.txt").write_text(
        "# 维护\n请每两年更换一次水泵密封圈。\n# 网络\n连接无线网络。\n", "utf-8"
    )
    return folder
