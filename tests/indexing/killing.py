"""Changes a collection in child processes that are killed at random moments, and checks what is left.

Run as ``python killing.py HOME DOCUMENTS KILLS SEED``; ends with 0 where every restart was consistent. One
process imports everything and forks, so that fifty kills take a minute.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from conftest import HASHING, open_line_parser

from assistant.core.errors import NotFoundError
from assistant.core.home import Home
from assistant.core.progress import NoProgress
from assistant.store.database import Database
from indexing.analysis import analyze
from indexing.build import Builder
from indexing.corpus import ChunkFile, load_corpus, read_dead
from indexing.embedding import HashingEmbedder
from indexing.search import Searcher
from indexing.snapshots import snapshot_folders
from indexing.tombstones import read_removed

COLLECTION = "pumps"
NAMES = [f"d{number}.txt" for number in range(8)]
LONGEST_SECONDS = 0.6
State = dict[str, str]


class Journal:
    """What was begun and what was done, written before and after each change."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, **row: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def read(self) -> tuple[State, dict[str, str] | None]:
        """Return the state that all finished changes make, and the change that was not finished."""
        state: State = {}
        begun: dict[str, str] | None = None
        for line in self.path.read_text("utf-8").splitlines():
            row = json.loads(line)
            if row["is"] == "begun":
                begun = row
                continue
            if begun and begun["do"] == "add":
                state[begun["name"]] = begun["text"]
            elif begun and begun["do"] == "remove":
                state.pop(begun["name"], None)
            begun = None
        return state, begun


def text_of(name: str, turn: int) -> str:
    number = 100 * (NAMES.index(name) + 1) + turn % 100
    return f"Fault code E-{number}: valve {turn} of {name} is blocked. 阀门第{turn}次堵塞，请清洗。"


def open_builder(home: Home) -> Builder:
    database = Database(home.database_url)
    return Builder(COLLECTION, home, HASHING, database, HashingEmbedder(), NoProgress(), open_line_parser)


def change(home: Home, documents: Path, journal: Journal, do: str, name: str, text: str) -> None:
    journal.write(**{"is": "begun", "do": do, "name": name, "text": text})
    builder = open_builder(home)
    if do == "add":
        (documents / name).write_text(f"# {name}\n{text}\n", "utf-8")
        builder.add([documents / name])
    elif do == "remove":
        with suppress(NotFoundError):
            builder.remove(name)
    elif do == "compact":
        builder.compact()
    else:
        builder.rebuild()
    journal.write(**{"is": "done"})


def change_forever(home: Home, documents: Path, journal: Journal, seed: int) -> None:
    dice = random.Random(seed)
    while True:
        do = dice.choices(["add", "remove", "compact", "swap"], [6, 3, 1, 1])[0]
        name = dice.choice(NAMES)
        change(home, documents, journal, do, name, text_of(name, dice.randrange(10**6)))


def check(home: Home, expected: State, pending: dict[str, str] | None) -> None:
    """Check every lane, the corpus and all kept snapshots against what must be there."""
    found: State = {}
    for chunk in load_corpus(COLLECTION, home).chunks:
        assert chunk.document not in found, f"{chunk.document} answers twice"
        found[chunk.document] = chunk.text
    allowed = {name: {text} for name, text in expected.items()}
    if pending and pending["do"] == "add":
        allowed.setdefault(pending["name"], {""}).add(pending["text"])
    if pending and pending["do"] == "remove" and pending["name"] in allowed:
        allowed[pending["name"]].add("")
    for name in NAMES:
        assert found.get(name, "") in allowed.get(name, {""}), (name, found.get(name), allowed.get(name))
    searcher = Searcher.open(COLLECTION, home, HASHING, HashingEmbedder())
    for text in found.values():
        assert searcher.search(text, 1)[0].chunk.text == text
    seen = {passage.chunk.text for passage in searcher.search("valve blocked 阀门堵塞", 50)}
    assert seen == set(found.values()), (seen, found)
    check_old_snapshots(home.collection(COLLECTION), {name for name in NAMES if name not in allowed})


def check_old_snapshots(folder: Path, gone: set[str]) -> None:
    hidden = set(read_removed(folder).tolist())
    for snapshot in snapshot_folders(folder):
        dead = hidden | set(read_dead(snapshot).tolist())
        for part in ("base", "delta"):
            if not (snapshot / part).exists():
                continue
            chunks = ChunkFile(snapshot / part)
            live = {
                chunks.documents[owner]
                for number, owner in zip(chunks.numbers.tolist(), chunks.owners.tolist(), strict=True)
                if number not in dead
            }
            assert not live & gone, f"{live & gone} would come back with {snapshot.name}"


def in_child(run: Callable[[], None], seconds: float | None = None) -> None:
    """Run in a child process, which is killed after some seconds or must end well."""
    child = os.fork()
    if not child:
        failed = True
        try:
            run()
            failed = False
        finally:
            if failed:
                traceback.print_exc()
            os._exit(failed)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    if ended != (0 if seconds is None else -signal.SIGKILL):
        sys.exit(f"a child ended with {ended}")


def warm_up() -> None:
    """Load what every child would load again: libraries and the dictionary of Chinese words."""
    import faiss  # noqa: F401
    import tantivy  # noqa: F401

    analyze("阀门")


def main() -> None:
    root, documents, kills, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    home, journal, dice = Home(root).make(), Journal(root / "journal.jsonl"), random.Random(seed)
    warm_up()
    for name in NAMES[:4]:
        in_child(partial(change, home, documents, journal, "add", name, text_of(name, 1)))
    cut: Counter[str] = Counter()
    for kill in range(kills):
        seconds = dice.uniform(0, LONGEST_SECONDS)
        in_child(partial(change_forever, home, documents, journal, seed + kill), seconds)
        expected, pending = journal.read()
        cut[pending["do"] if pending else "between"] += 1
        in_child(partial(check, home, expected, pending))
        if pending:  # the same command goes on from there
            again = pending["do"], pending["name"], pending["text"]
            in_child(partial(change, home, documents, journal, *again))
            expected, _ = journal.read()
            in_child(partial(check, home, expected, None))
    sys.stdout.write(json.dumps(cut) + "\n")


if __name__ == "__main__":
    main()
