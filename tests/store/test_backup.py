"""A backup that is restored into an empty folder answers the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.answering.events import Question
from assistant.answering.opening import Resources
from assistant.core.errors import InputError
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.core.settings import EmbedderSettings, EngineSettings, Settings
from assistant.store.backup import restore_backup, write_backup
from assistant.store.database import Database
from assistant.store.keys import Keys, NewKey
from indexing.build import Builder
from indexing.embedding import HashingEmbedder

SETTINGS = Settings(embedder=EmbedderSettings(model="hashing"), engine=EngineSettings(kind="scripted"))
QUESTIONS = ("What does fault code E07 mean?", "故障代码 E12 表示什么？", "How far is Mars?")


def answers(home: Home) -> list[tuple[str, list[str]]]:
    resources = Resources(home, SETTINGS)
    pipeline = resources.pipeline("pumps")
    found = [pipeline.answer(Question(text=question)) for question in QUESTIONS]
    resources.close()
    return [(answer.text, [citation.quote for citation in answer.citations]) for answer in found]


@pytest.fixture
def filled(home: Home, tmp_path: Path) -> Home:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "pump.md").write_text("# P\n\nFault code E07 means the motor is hot.\n", "utf-8")
    (tmp_path / "files" / "炉.md").write_text("# 炉\n\n故障代码 E12 表示炉门没有闭合。\n", "utf-8")
    database = Database(home.database_url)
    Builder("pumps", home, SETTINGS, database, HashingEmbedder(), NoProgress()).add([tmp_path / "files"])
    with database.write() as session:
        Keys(session).create(NewKey(name="desk"))
    database.close()
    return home


@pytest.mark.sqlite
def test_a_restored_backup_answers_the_same(filled: Home, tmp_path: Path) -> None:
    file, other = tmp_path / "desk.tar.gz", Home(tmp_path / "other")
    serving = Database(filled.database_url)  # it is being used meanwhile
    with serving.read() as session:
        Keys(session).all()
        written = write_backup(filled, file, NoProgress())
    serving.close()
    restored = restore_backup(other, file, NoProgress())
    assert written.file_count == restored.file_count > 3
    assert answers(other) == answers(filled)
    database = Database(other.database_url)
    with database.read() as session:
        assert [key.name for key in Keys(session).all()] == ["desk"]
    database.close()
    with pytest.raises(InputError, match="holds a database already"):
        restore_backup(other, file, NoProgress())


@pytest.mark.sqlite
def test_what_is_no_backup_leaves_the_folder_empty(filled: Home, tmp_path: Path) -> None:
    file, other = tmp_path / "desk.tar.gz", Home(tmp_path / "other")
    write_backup(filled, file, NoProgress())
    whole = file.read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"no backup|damaged"):
            restore_backup(other, file, NoProgress())
    assert list(other.root.iterdir()) == []


def test_nothing_to_back_up_and_another_database(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to back up"):
        write_backup(Home(tmp_path), tmp_path / "x", NoProgress())
