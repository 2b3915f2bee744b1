"""What is stored is embedded while the next files are read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from assistant.core.errors import ModelError
from assistant.core.progress import NoProgress, Progress
from indexing.build import Builder
from indexing.embedding import HashingEmbedder, Vectors

MakeBuilder = Callable[..., Builder]


class Noting(HashingEmbedder):
    """Notes in which thread it embeds and what; fails where told to."""

    def __init__(self, failing: str = "") -> None:
        super().__init__()
        self.threads: list[str] = []
        self.texts: list[str] = []
        self._failing = failing

    def embed_passages(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        if self._failing and any(self._failing in text for text in texts):
            raise ModelError("the embedder is broken")
        self.threads.append(threading.current_thread().name)
        self.texts += texts
        return super().embed_passages(texts, progress)


class Failing(NoProgress):
    """Fails at a file."""

    def __init__(self, file: str) -> None:
        self._file = file

    def advance(self, count: int = 1, note: str = "") -> None:
        if note == self._file:
            raise KeyboardInterrupt


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Twelve files of forty sections; seven of them fill a group."""
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(12):
        sections = [f"# Part {part}\nPump {number} has a seal {part}. 泵有密封圈。" for part in range(40)]
        (folder / f"{number:02}.txt").write_text("\n".join(sections))
    return folder


def test_texts_are_embedded_once_some_of_them_ahead(make_builder: MakeBuilder, files: Path) -> None:
    embedder = Noting()
    report = make_builder(embedder=embedder).add([files])
    assert (report.embedded_count, report.chunk_count) == (480, 480)
    assert len(embedder.texts) == len(set(embedder.texts)) == 480
    assert any(name.startswith("embedding") for name in embedder.threads)


def test_a_broken_embedder_is_told_and_leaves_what_can_be_resumed(
    make_builder: MakeBuilder, files: Path
) -> None:
    with pytest.raises(ModelError, match="broken"):
        make_builder(embedder=Noting(failing="Pump 1 ")).add([files])
    assert make_builder().add([files]).chunk_count == 480


def test_reading_that_is_cut_off_waits_for_no_embeddings(make_builder: MakeBuilder, files: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        make_builder(embedder=Noting(), progress=Failing("09.txt")).add([files])
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embedding")]
    assert make_builder().add([files]).chunk_count == 480
