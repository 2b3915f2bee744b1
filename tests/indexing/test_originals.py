"""The files that documents were read from: kept once, as long as a version of theirs, and no longer."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.orm import Session

from assistant.core.errors import InputError
from assistant.core.home import Home
from assistant.core.settings import EmbedderSettings, IndexSettings, Settings
from assistant.store.documents import Documents
from indexing.build import Builder
from indexing.removal import remove_document

MakeBuilder = Callable[..., Builder]
PUMP, OVEN = "# Pump\nFault code E-47: the fan is blocked.\n", "# 烤炉\n故障代码 E-12：炉门没有闭合。\n"


def settings(**index: object) -> Settings:
    return Settings(
        embedder=EmbedderSettings(model="hashing"),
        index=msgspec.convert(index, IndexSettings),
    )


@pytest.fixture
def upload(home: Home) -> Path:
    """Return a folder with two files as the API lays them down."""
    folder = home.root / "uploads" / "up-1"
    folder.mkdir(parents=True)
    (folder / "pump.txt").write_text(PUMP, "utf-8")
    (folder / "烤炉 手册.txt").write_text(OVEN, "utf-8")
    return folder


def kept(home: Home) -> set[str]:
    """Return the contents that lie there; each under the hash of its bytes, and nothing else."""
    folder = home.collection("pumps") / "originals"
    assert not list(folder.glob("*.tmp"))
    files = list(folder.glob("??/*"))
    for path in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    return {path.read_text("utf-8") for path in files}


def remove(home: Home, builder: Builder, document: str) -> None:
    remove_document("pumps", home, builder.database, document)


def test_an_upload_is_kept_until_its_document_goes(
    make_builder: MakeBuilder, home: Home, upload: Path
) -> None:
    builder = make_builder()
    builder.add([upload])
    assert kept(home) == {PUMP, OVEN}
    remove(home, builder, "烤炉 手册.txt")
    assert kept(home) == {PUMP}
    remove(home, builder, "pump.txt")
    assert kept(home) == set()


def test_what_is_not_to_be_removed_after_all_stays(
    make_builder: MakeBuilder, home: Home, upload: Path
) -> None:
    builder = make_builder()
    builder.add([upload])
    seen: list[int] = []

    def check(session: Session) -> None:
        seen.append(len(Documents(session).live_versions(1)))
        raise InputError("it was changed meanwhile")

    with pytest.raises(InputError, match="meanwhile"):
        remove_document("pumps", home, builder.database, "烤炉 手册.txt", check)
    assert seen == [2]
    assert kept(home) == {PUMP, OVEN}


def test_one_content_is_kept_once_and_as_long_as_one_document_has_it(
    make_builder: MakeBuilder, home: Home, upload: Path
) -> None:
    (upload / "copy.txt").write_text(PUMP, "utf-8")
    builder = make_builder()
    builder.add([upload])
    assert len(list((home.collection("pumps") / "originals").glob("??/*"))) == 2
    remove(home, builder, "pump.txt")
    assert kept(home) == {PUMP, OVEN}
    remove(home, builder, "copy.txt")
    assert kept(home) == {OVEN}


def test_the_file_of_a_version_goes_when_its_text_goes(
    make_builder: MakeBuilder, home: Home, upload: Path
) -> None:
    texts = [PUMP.replace("47", str(number)) for number in range(50, 54)]
    for text in texts:
        (upload / "pump.txt").write_text(text, "utf-8")
        make_builder(settings=settings(versions_kept=2)).add([upload / "pump.txt"])
    assert kept(home) == set(texts[-2:])


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ({}, {PUMP}),
        ({"originals": "none"}, set()),
        ({"originals": "all"}, {PUMP, OVEN}),
        ({"originals": "all", "pii": "mask"}, set()),
        ({"originals": "all", "pii_collections": {"pumps": "mask"}}, set()),
        ({"originals": "all", "pii_collections": {"ovens": "mask"}}, {PUMP, OVEN}),
    ],
)
def test_which_files_are_kept(
    index: dict[str, object],
    expected: set[str],
    make_builder: MakeBuilder,
    home: Home,
    upload: Path,
    tmp_path: Path,
) -> None:
    elsewhere = tmp_path / "share"
    elsewhere.mkdir()
    (upload / "烤炉 手册.txt").rename(elsewhere / "烤炉 手册.txt")
    make_builder(settings=settings(**index)).add([upload, elsewhere])
    assert kept(home) == expected


def test_files_that_were_added_before_are_kept_when_they_come_again(
    make_builder: MakeBuilder, home: Home, upload: Path
) -> None:
    make_builder(settings=settings(originals="none")).add([upload])
    assert kept(home) == set()
    report = make_builder().add([upload])
    assert len(report.unchanged) == 2
    assert kept(home) == {PUMP, OVEN}
    make_builder(settings=settings(originals="none")).compact()
    assert kept(home) == set()


def test_masking_from_now_on_takes_the_file_away(make_builder: MakeBuilder, home: Home, upload: Path) -> None:
    make_builder().add([upload])
    make_builder(settings=settings(pii="mask")).add([upload / "pump.txt"])
    assert kept(home) == {OVEN}


def test_each_file_of_an_archive_is_kept_by_itself(
    make_builder: MakeBuilder, home: Home, upload: Path
) -> None:
    for file in upload.iterdir():
        file.unlink()
    with zipfile.ZipFile(upload / "all.zip", "w") as archive:
        archive.writestr("手册/pump.txt", PUMP)
    builder = make_builder()
    source = builder.find([upload])[0][0]
    with builder._keeping() as keeping, keeping.storing(source) as stored:
        assert kept(home) == {PUMP}
        stored([])
    assert kept(home) == {PUMP}
    with builder._keeping() as keeping, keeping.storing(source):
        pass  # its document was removed meanwhile: no row was stored
    assert kept(home) == {PUMP}  # what lay there before is somebody's
    builder._keeping().sweep()
    assert kept(home) == set()


def test_a_file_whose_row_was_not_stored_goes_again(
    make_builder: MakeBuilder, home: Home, upload: Path
) -> None:
    builder = make_builder()
    source = builder.find([upload / "pump.txt"])[0][0]
    with builder._keeping() as keeping, keeping.storing(source):
        assert kept(home) == {PUMP}
    assert kept(home) == set()


def test_a_file_that_changed_since_it_was_read_is_not_kept(
    make_builder: MakeBuilder, home: Home, upload: Path
) -> None:
    builder = make_builder()
    source = builder.find([upload / "pump.txt"])[0][0]
    (upload / "pump.txt").write_text(OVEN, "utf-8")
    with builder._keeping() as keeping, keeping.storing(source) as stored:
        stored([])
    assert kept(home) == set()


_DIE = """
import hashlib, os, signal, sys
from pathlib import Path
from assistant.core.home import Home
from assistant.store.database import Database
from assistant.store.originals import Originals
from indexing.removal import delete_document

home, source = Home(Path(sys.argv[1]), sys.argv[2]), Path(sys.argv[3])
folder = home.collection("pumps")


class Dying(Database):
    is_dying = False

    def read(self):
        return os.kill(os.getpid(), signal.SIGKILL) if self.is_dying else super().read()


if sys.argv[4] == "remove":  # its rows are gone, its file is looked for next
    database = Dying(home.database_url)
    database.is_dying = True
    delete_document("pumps", folder, database, source.name)
else:  # its file is there, its rows come next
    originals = Originals(folder)
    with originals.changing():
        originals.keep(source, hashlib.sha256(source.read_bytes()).hexdigest())
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("work", ["remove", "add"])
def test_what_a_kill_left_goes_with_the_next_change(
    work: str, make_builder: MakeBuilder, home: Home, upload: Path
) -> None:
    builder = make_builder()
    builder.add([upload] if work == "remove" else [upload / "烤炉 手册.txt"])
    words = [str(home.root), home.database_url, str(upload / "pump.txt"), work]
    died = subprocess.run([sys.executable, "-c", _DIE, *words], check=False)
    assert died.returncode == -signal.SIGKILL
    assert kept(home) >= {PUMP}  # cut off in between
    (upload / "new.txt").write_text("# New\nThe valve is open.\n", "utf-8")
    make_builder().add([upload / "new.txt"])
    assert kept(home) == {OVEN, "# New\nThe valve is open.\n"}
