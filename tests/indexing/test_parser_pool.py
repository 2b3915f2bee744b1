"""A hang, a crash or a bomb costs one file; the others go on."""

from __future__ import annotations

import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from assistant.core.errors import FileRefused
from assistant.core.settings import IndexSettings
from indexing.parsing import ParserPool
from indexing.parsing.pool import _receive_document
from indexing.parsing.wire import ParseReply, send
from indexing.sources import SourceFile, find_sources

BIG_ROWS = 1_500_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    (folder / "good.md").write_text("# 手册\n\n先断电。\n", "utf-8")
    (folder / "big.csv").write_text("name,value\n" + "a,b\n" * BIG_ROWS, "utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    with zipfile.ZipFile(folder / "docs.zip", "w") as archive:
        archive.writestr("sub/手册.md", "先断电。\n")
        archive.writestr("sub/broken.pdf", "%PDF-1.4 nothing")
    return folder


@pytest.fixture(scope="module")
def sources(folder: Path) -> dict[str, SourceFile]:
    return {source.document: source for source in find_sources([folder], IndexSettings())[0]}


@pytest.fixture
def pool(request: pytest.FixtureRequest) -> Iterator[ParserPool]:
    with ParserPool(request.param) as pool:
        yield pool


@pytest.mark.parametrize("pool", [IndexSettings()], indirect=True)
def test_one_process_parses_file_after_file(pool: ParserPool, sources: dict[str, SourceFile]) -> None:
    with pytest.raises(FileRefused, match="is corrupt: it cannot be opened as a PDF"):
        pool.parse(sources["broken.pdf"])
    parser = psutil.Process().children()[-1]
    parser.terminate()  # as a service manager does to all processes at once
    assert [element.text for element in pool.parse(sources["good.md"]).elements] == ["手册", "先断电。"]
    assert psutil.Process().children()[-1] == parser


def test_scans_attached_to_a_mail_may_have_all_pages_together() -> None:
    ours, theirs = socket.socketpair()
    told: list[tuple[int, int]] = []
    with ours, theirs:
        for pages in [(0, 1), (1, 1)] * 3:
            send(theirs, ParseReply(pages=pages))
        send(theirs, ParseReply(refusal="the end"))
        settings = IndexSettings(max_pages=3)
        reply = _receive_document(ours, settings, lambda done, total: told.append((done, total)))
    assert reply.refusal == "the end"
    assert told == [(0, 1), (1, 1)] * 3


@pytest.mark.slow
@pytest.mark.parametrize("pool", [IndexSettings()], indirect=True)
def test_members_of_an_archive_are_parsed_and_refused_by_their_own_name(
    pool: ParserPool, sources: dict[str, SourceFile]
) -> None:
    parsed = pool.parse(sources["docs.zip/sub/手册.md"])
    assert (parsed.title, parsed.elements[0].text) == ("手册", "先断电。")
    with pytest.raises(FileRefused, match=r"docs\.zip/sub/broken\.pdf: is corrupt"):
        pool.parse(sources["docs.zip/sub/broken.pdf"])


@pytest.mark.slow
@pytest.mark.parametrize("pool", [IndexSettings(parse_memory_mebibytes=64)], indirect=True)
def test_bomb_is_refused_and_the_next_file_is_parsed(
    pool: ParserPool, sources: dict[str, SourceFile]
) -> None:
    with pytest.raises(FileRefused, match="memory"):
        pool.parse(sources["big.csv"])
    assert pool.parse(sources["good.md"]).title == "手册"


@pytest.mark.slow
@pytest.mark.parametrize("pool", [IndexSettings(parse_timeout_seconds=1)], indirect=True)
def test_hang_is_ended_and_the_parser_replaced(pool: ParserPool, sources: dict[str, SourceFile]) -> None:
    with pytest.raises(FileRefused, match=r"takes longer than \d+ s"):
        pool.parse(sources["big.csv"])
    assert pool.parse(sources["good.md"]).title == "手册"


@pytest.mark.slow
@pytest.mark.parametrize("pool", [IndexSettings()], indirect=True)
def test_crash_is_told_and_no_process_is_left(pool: ParserPool, sources: dict[str, SourceFile]) -> None:
    pool.parse(sources["good.md"])
    parser = psutil.Process().children()[-1]
    timer = threading.Timer(0.3, parser.kill)
    timer.start()
    with pytest.raises(FileRefused, match=r"crashes the parser \(SIGKILL\)"):
        pool.parse(sources["big.csv"])
    pool.parse(sources["good.md"])
    replacement = psutil.Process().children()[-1]
    pool.__exit__(None, None, None)
    deadline = time.monotonic() + 5
    while replacement.is_running() and replacement.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
