"""What ``deskmate train`` refuses before it opens a model, what it tells, runs compared and grids tried."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from assistant.answering.opening import Resources
from assistant.cli.app import root
from assistant.core.errors import InputError, ModelError
from assistant.core.home import Home
from assistant.core.records import Chunk, Message
from assistant.core.settings import Settings
from assistant.store.adapters import Adapters
from assistant.store.candidates import read_candidate
from assistant.store.database import Database
from assistant.store.documents import Collection, Documents, NewVersion
from assistant.store.history import History
from training.dataset import make_example, write_dataset


@pytest.fixture
def database(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """Two documents, and a dataset with an example of each."""
    monkeypatch.setenv("DESKMATE_HOME", str(home.root))
    names = ("a.md", "zh/泵.md")
    examples = [
        make_example(
            recipe="r",
            language="en",
            messages=(Message(role="user", content=f"What is {name}?"),),
            answer="A manual.",
            chunks=[Chunk(id=name, document=name, version=1, position=0, text="A manual.")],
        )
        for name in names
    ]
    folder = home.collection("泵") / "datasets"
    write_dataset(folder, examples, collection="泵", snapshot="1", rejected={}, chunk_count=2, key="k")
    with closing(Database(home.database_url)) as opened:
        with opened.write() as session:
            documents = Documents(session)
            row = documents.make_collection("泵").id
            for name in names:
                new = NewVersion(document=name, number=1, sha256=name, recipe="r", size_bytes=1, title=name)
                documents.save_version(row, new)
        yield opened


def collection(documents: Documents) -> Collection:
    found = documents.find_collection("泵")
    assert found is not None
    return found


def trained() -> BaseException | None:
    return CliRunner().invoke(root, ["train", "--collection", "泵"]).exception


def test_what_was_removed_is_not_learnt(database: Database) -> None:
    assert isinstance(trained(), ModelError)  # the model is not there: the dataset was taken
    with database.write() as session:
        Documents(session).delete(collection(Documents(session)), "zh/泵.md")
    refused = trained()
    assert isinstance(refused, InputError)
    assert "no longer in it: 1, such as 'zh/泵.md'" in refused.message
    assert refused.next_command == "deskmate synth --collection 泵"


def test_a_document_that_was_renamed_is_still_there(database: Database) -> None:
    with database.write() as session:
        history = History(session, collection(Documents(session)))
        history.rename(history.version("a.md"), "b.md")
        assert history.paths() == {"a.md", "b.md", "zh/泵.md"}
    assert isinstance(trained(), ModelError)
    with database.write() as session:
        Documents(session).delete(collection(Documents(session)), "b.md")
    refused = trained()
    assert isinstance(refused, InputError)
    assert "'a.md'" in refused.message


@pytest.fixture
def tiny(home: Home, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command over a collection with eight examples and the tiny model; return its output."""
    monkeypatch.setenv("DESKMATE_HOME", str(home.root))
    examples = [
        make_example(
            recipe="r",
            language="en",
            messages=(Message(role="system", content="Answer."), Message(role="user", content=f"valve {n}?")),
            answer=f"valve {n}.",
        )
        for n in range(8)
    ]
    rows = [
        msgspec.structs.replace(row, split="valid" if n > 5 else "train") for n, row in enumerate(examples)
    ]
    folder = home.collection("c") / "datasets"
    write_dataset(folder, rows, collection="c", snapshot="1", rejected={}, chunk_count=1, key="k")
    short = ["train.rank=2", "train.epochs=1", "train.step_tokens=96", "train.learning_rate=5e-3"]
    short += ["engine.dtype=float32", f"engine.base_model={tiny_model}", "train.validations=1"]
    flags = [f"--set={each}" for each in short]

    def run(*arguments: str, settings: tuple[str, ...] = (), code: int = 0) -> str:
        more = [f"--set={each}" for each in settings]
        done = CliRunner().invoke(root, [*flags, *more, *arguments])
        assert (done.exception is None) == (code == 0), done.exception
        return done.stdout

    return run


def test_an_adapter_is_served_told_and_compared(tiny: Callable[..., str], home: Home) -> None:
    first = json.loads(tiny("train", "--collection", "c", "--serve", "--json"))
    assert first["adapter"]["is_active"] is True
    card = json.loads((home.adapters / first["adapter"]["name"] / "adapter.json").read_text())
    assert card["dataset_hash"] == first["adapter"]["dataset_hash"]
    assert {"base_hash", "template_hash", "chunks", "documents", "access", "metrics", "settings"} <= set(card)
    assert "is there already" in tiny("train", "--collection", "c")

    told = tiny("train", "--collection", "c", settings=("train.method=dora",))
    assert "tokens/s, peak" in told
    assert "not served" in told
    with closing(Database(home.database_url)) as opened, opened.read() as session:
        served = Adapters(session).active("c")
        assert served is not None
        assert served.name == first["adapter"]["name"]
        second = next(found.name for found in Adapters(session).of("c") if found.name != served.name)
        assert read_candidate(home.collection("c")) == served.name
    compared = tiny("train", "compare", served.name, second)
    assert "settings.train.method" in compared
    assert "dora" in compared
    assert "last_loss" in compared
    found = json.loads(tiny("train", "compare", served.name, second, "--json"))
    assert found["settings"] == {"settings.train.method": ["lora", "dora"]}


def test_a_new_adapter_is_measured_before_it_is_served(tiny: Callable[..., str], home: Home) -> None:
    first = json.loads(tiny("train", "--collection", "c", "--serve", "--json"))["adapter"]["name"]
    told = tiny("train", "--collection", "c", settings=("train.seed=8",))
    assert "not served: eval and release come first" in told
    with closing(Resources(home, Settings())) as resources:
        served, candidate = resources.active_adapter("c"), resources.candidate_adapter("c")
    assert served is not None
    assert candidate is not None
    assert served.name == first
    assert candidate.name != first
    assert candidate.name in told


def test_a_queued_sweep_is_worked_off(tiny: Callable[..., str], home: Home) -> None:
    grid = ("--collection", "c", "--grid", "train.learning_rate=1e-9,5e-3")
    tiny("train", "sweep", *grid, "--background")
    tiny("train", "sweep", "--collection", "c", "--grid", "train.rank=0", "--background", code=2)
    tiny("worker", "--once")
    (job,) = json.loads(tiny("jobs", "list", "--json"))["jobs"]
    assert job["state"] == "succeeded", job
    assert len(job["result"]["trials"]) == 2
    assert job["result"]["trials"][0]["report"]["validation_score"] is not None
    assert read_candidate(home.collection("c")) is None


def test_a_sweep_ranks_by_answers_and_serves_nothing(tiny: Callable[..., str], home: Home) -> None:
    sweep = ("train", "sweep", "--collection", "c", "--grid", "train.learning_rate=1e-9,5e-3")
    trials = json.loads(tiny(*sweep, "--json"))["trials"]
    scores = [trial["report"]["validation_score"] for trial in trials]
    assert scores == sorted(scores, reverse=True)
    assert all(trial["report"]["validation_examples"] == 2 for trial in trials)
    told = tiny(*sweep)
    best = trials[0]["settings"]["train.learning_rate"]
    assert f"next: deskmate --set train.learning_rate={best} --set train.validation_examples=24 train" in told
    with closing(Database(home.database_url)) as opened, opened.read() as session:
        assert Adapters(session).active("c") is None
        assert len(Adapters(session).of("c")) == 2


def test_a_bad_grid_or_setting_is_refused_before_anything_is_trained(
    tiny: Callable[..., str], home: Home
) -> None:
    for grid in ("train.rank=0,2", "train.nothing=1", "rank=2"):
        tiny("train", "sweep", "--collection", "c", "--grid", grid, code=2)
    assert not home.runs.exists()
