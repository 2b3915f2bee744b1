"""Killed processes, full disks: what was served is served on, and the next command mends the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.core.home import Home
from assistant.core.settings import EmbedderSettings, Settings
from indexing.bench import bench_swaps
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
from indexing.search import Searcher
from indexing.snapshots import current_name

HERE = Path(__file__).parent
SETTINGS = Settings(embedder=EmbedderSettings(model="hashing"))
KILLS = 50
pytestmark = pytest.mark.slow


def test_fifty_kills_lose_nothing_and_bring_nothing_back(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    words = [str(tmp_path / "home"), str(tmp_path / "documents"), str(KILLS), "7"]
    ended = subprocess.run(
        [sys.executable, str(HERE / "killing.py"), *words], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    cut = Counter(json.loads(ended.stdout.splitlines()[-1]))  # what no kill met is not in it
    assert cut.total() == KILLS
    assert cut["add"] >= 10
    assert cut["remove"] + cut["compact"] + cut["swap"] >= 3


_LIMITED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from conftest import HASHING, open_line_parser
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.store.database import Database
from indexing.build import Builder
from indexing.embedding import HashingEmbedder
home = Home(Path(sys.argv[1]))
builder = Builder(
    "pumps", home, HASHING, Database(home.database_url), HashingEmbedder(), NoProgress(), open_line_parser
)
if sys.argv[3] != "0":
    limit = int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    builder.rebuild()
else:
    builder.add([Path(sys.argv[2])])
"""


def run(home: Home, documents: Path, limit: int) -> subprocess.CompletedProcess[str]:
    words = [str(home.root), str(documents), str(limit), str(HERE)]
    return subprocess.run(
        [sys.executable, "-c", _LIMITED, *words], check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize("limit", [1 << 10, 40 << 10, 200 << 10], ids=["chunks", "lexical", "vectors"])
def test_files_that_may_not_grow_leave_the_old_snapshot_served(
    make_builder: type[Builder], documents: Path, home: Home, limit: int
) -> None:
    lines = "".join(f"# Part {number}\nThe valve {number} of the pump.\n" for number in range(300))
    (documents / "long.txt").write_text(lines, "utf-8")
    make_builder().add([documents])
    refused = run(home, documents, limit)
    assert refused.returncode == 1
    assert "ResourceError: the disk is full: " in refused.stderr
    assert "snapshots" in refused.stderr
    assert "run: deskmate doctor" in refused.stderr
    folder = home.collection("pumps")
    assert current_name(folder) == "000001"
    assert Searcher(folder, SETTINGS, HashingEmbedder()).search("valve 7 of the pump")
    assert [path.name for path in (folder / "snapshots").iterdir()] == ["000001"]
    assert make_builder().rebuild().chunk_count == 305


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=72m", "none", str(place)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_leaves_the_old_snapshot_served(documents: Path, small_disk: Path) -> None:
    home = Home(small_disk / "home").make()
    assert run(home, documents, 0).returncode == 0
    (documents / "new.txt").write_text("A new valve.\n", "utf-8")
    filler = small_disk / "filler"
    for left_kibibytes in (4096, 24):  # refused before it begins; and in the middle of it
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        with filler.open("ab") as file:
            file.write(b"x" * max(0, free - (left_kibibytes << 10)))
        refused = run(home, documents, 0 if left_kibibytes > 1000 else 1 << 30)
        assert "ResourceError: the disk is full" in refused.stderr
        assert "MiB are free" in refused.stderr
        assert "run: deskmate doctor" in refused.stderr
        searcher = Searcher(home.collection("pumps"), SETTINGS, HashingEmbedder())
        assert searcher.search("pump seal")[0].chunk.document == "pump.txt"
    filler.unlink()
    assert run(home, documents, 0).returncode == 0
    assert Searcher(home.collection("pumps"), SETTINGS, HashingEmbedder()).search("new valve")


def test_a_thousand_queries_during_twenty_swaps_do_not_fail() -> None:
    assert bench_swaps(2000, swaps=20, queries=1000, threads=2) == 0
