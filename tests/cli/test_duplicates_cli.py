from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assistant.cli.app import root
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.records import Element, ParsedDocument
from assistant.core.settings import EmbedderSettings, IndexSettings, Settings
from assistant.store.database import Database
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
from indexing.reports import AddReport
from indexing.sources import SourceFile

VALVES = (
    "Close both isolating valves before you open the pump head, let the water cool below forty degrees, and "
    "loosen the four screws crosswise until the rotor comes out."
)
DOOR = (
    "门封条每天用温水擦净一次，不要用尖锐的工具，损坏的门封条须在当天更换，以免蒸汽从门缝中冒出烫伤操作人员。"
)


class ParagraphParser:
    """Takes each line of a file as a paragraph."""

    def parse(self, source: SourceFile, on_page: object = None) -> ParsedDocument:
        lines = source.path.read_text("utf-8").splitlines()
        elements = tuple(Element(kind="text", text=line) for line in lines)
        return ParsedDocument(title=source.path.stem, elements=elements)


@contextmanager
def open_parser(settings: IndexSettings) -> Iterator[ParagraphParser]:
    yield ParagraphParser()


def add(folder: Path, home: Home) -> AddReport:
    database = Database(home.database_url)
    settings = Settings(embedder=EmbedderSettings(model="hashing"))
    builder = Builder("pumps", home, settings, database, HashingEmbedder(), NoProgress(), open_parser)
    try:
        return builder.add([folder])
    finally:
        database.close()


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddReport:
    files = tmp_path / "files"
    files.mkdir()
    (files / "manual.md").write_text(f"{VALVES}\n", "utf-8")
    (files / "copy.md").write_text(f"{VALVES} Done.\n", "utf-8")
    (files / "手册.md").write_text(f"{DOOR}\n", "utf-8")
    monkeypatch.setenv("DESKMATE_HOME", str(tmp_path / "data"))
    return add(files, Home(tmp_path / "data").make())


def deskmate(*words: str) -> Result:
    return CliRunner().invoke(root, ["index", "duplicates", "--collection", "pumps", *words])


def test_duplicates_are_counted_when_adding_and_listed(report: AddReport) -> None:
    assert (report.duplicates.document_pair_count, report.duplicates.place_count) == (1, 2)
    found = json.loads(deskmate("--json").stdout)
    (pair,) = found["documents"]
    assert (pair["left"], pair["right"]) == ("copy.md", "manual.md")
    assert 0.9 < pair["similarity"] < 1
    (passage,) = found["passages"]
    assert passage["text"].startswith("Close both isolating valves")
    assert [place["document"] for place in passage["places"]] == ["copy.md", "manual.md"]
    shown = deskmate().stdout
    assert "1 pairs of documents" in shown
    assert "copy.md  manual.md" in shown


def test_what_is_removed_is_listed_no_more(report: AddReport, tmp_path: Path) -> None:
    removed = CliRunner().invoke(
        root, ["--set", "embedder.model=hashing", "index", "remove", "copy.md", "--collection", "pumps"]
    )
    assert removed.exit_code == 0
    assert deskmate().stdout == "no near-duplicates\n"


def test_an_unknown_collection_names_the_next_command(report: AddReport) -> None:
    failed = CliRunner().invoke(root, ["index", "duplicates", "--collection", "x"])
    assert "no index for collection 'x'" in str(failed.exception)
