"""What ``deskmate train`` refuses before it opens a model, what it tells, runs compared and grids tried."""

from __future__ import annotations

import json
import shlex
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
from assistant.core.runs import Run
from assistant.core.settings import Settings
from assistant.store.adapters import Adapters
from assistant.store.candidates import read_candidate
from assistant.store.database import Database
from assistant.store.documents import Collection, Documents, NewVersion
from assistant.store.history import History
from training.adapters import read_card
from training.dataset import make_example, read_examples, write_dataset


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
    command = told.splitlines()[-1].removeprefix("next: deskmate ")
    assert command.startswith("--set train.rank=2 ")
    assert f" --set train.learning_rate={best} --set train.validation_examples=24 train" in command
    before = set(home.adapters.iterdir())
    done = CliRunner().invoke(root, shlex.split(command))
    assert "is there already" in done.stdout
    assert set(home.adapters.iterdir()) == before
    with closing(Database(home.database_url)) as opened, opened.read() as session:
        assert Adapters(session).active("c") is None
        assert len(Adapters(session).of("c")) == 2


def test_a_bad_grid_or_setting_is_refused_before_anything_is_trained(
    tiny: Callable[..., str], home: Home
) -> None:
    for grid in ("train.rank=0,2", "train.nothing=1", "rank=2"):
        tiny("train", "sweep", "--collection", "c", "--grid", grid, code=2)
    assert not home.runs.exists()


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter.json"])
def test_an_adapter_that_was_damaged_is_trained_again(
    name: str, tiny: Callable[..., str], home: Home
) -> None:
    made = json.loads(tiny("train", "--collection", "c", "--serve", "--json"))["adapter"]
    file = home.adapters / made["name"] / name
    whole = file.read_bytes()
    for damage in (file.unlink, lambda: file.write_bytes(whole[:9])):
        damage()
        again = json.loads(tiny("train", "--collection", "c", "--json"))
        assert again["report"]["steps"] > 0
        assert again["adapter"]["is_active"] is True
        assert len(file.read_bytes()) > 9
    assert "is there already" in tiny("train", "--collection", "c")


def test_killed_before_it_was_registered_nothing_is_trained_again(
    tiny: Callable[..., str], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.session.CHECKPOINT_SECONDS", 0.0)
    with monkeypatch.context() as patched:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr("training.adapters.write_prompts", full)
        tiny("train", "--collection", "c", code=1)
    (metrics,) = home.runs.glob("*/metrics.jsonl")
    before = metrics.read_bytes()
    tiny("train", "--collection", "c")
    assert metrics.read_bytes() == before
    assert not (metrics.parent / "checkpoint").exists()


def test_a_second_process_is_sent_away(tiny: Callable[..., str], home: Home) -> None:
    name = json.loads(tiny("train", "--collection", "c", "--json"))["adapter"]["name"]
    (home.adapters / name / "adapter.json").unlink()
    with Run(home.runs / f"train-{name}").alone():
        tiny("train", "--collection", "c", code=7)
    tiny("train", "--collection", "c")


def test_options_before_a_command_that_does_not_see_them_are_refused(tiny: Callable[..., str]) -> None:
    grid = ("sweep", "--grid", "train.rank=2")
    for options in (("--collection", "c"), ("--json",), ("--serve",), ("--background",)):
        tiny("train", *options, *grid, code=2)
        tiny("train", *options, "compare", "a", "b", code=2)
    tiny("synth", "--collection", "c", "recipes", code=2)


def test_a_sweep_of_which_nothing_comes_fails(tiny: Callable[..., str], home: Home) -> None:
    tiny("train", "sweep", "--collection", "nothing", "--grid", "train.rank=2", code=3)
    told = tiny("train", "sweep", "--collection", "c", "--grid", "train.targets=none", code=5)
    assert "failed: train.targets = none" in told
    tiny("train", "sweep", "--collection", "c", "--grid", "train.targets=none", "--background")
    tiny("worker", "--once")
    (job,) = json.loads(tiny("jobs", "list", "--json"))["jobs"]
    assert job["state"] == "failed"
    assert "no combination of the grid could be trained" in job["error"]["message"]


def test_what_was_left_out_or_could_not_be_asked_is_told(
    tiny: Callable[..., str], home: Home, tiny_model: Path, tmp_path: Path
) -> None:
    long = make_example(
        recipe="r",
        language="zh",
        messages=(Message(role="user", content="阀门？" * 600),),
        answer="阀门。",
    )
    short = make_example(
        recipe="r", language="zh", messages=(Message(role="user", content="阀门？"),), answer="阀门。"
    )
    folder = home.collection("d") / "datasets"
    write_dataset(folder, [long, short], collection="d", snapshot="1", rejected={}, chunk_count=1, key="k")
    told = tiny("train", "--collection", "d", settings=("train.validation_examples=1",))
    assert "1 of 2 examples were left out: longer than the base's window" in told
    assert "no answer was scored" in told
    told = tiny("train", "sweep", "--collection", "d", "--grid", "train.rank=2")
    assert "no answer was scored" in told
    assert "  – " in told


def test_what_one_process_does_is_refused_of_a_launcher(
    tiny: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    tiny("train", "--collection", "c", "--background", code=2)
    tiny("train", "sweep", "--collection", "c", "--grid", "train.rank=2", code=2)
    monkeypatch.delenv("WORLD_SIZE")
    assert json.loads(tiny("jobs", "list", "--json"))["jobs"] == []


def test_a_card_names_what_was_learnt_and_not_what_was_held_out(
    tiny: Callable[..., str], database: Database, home: Home
) -> None:
    folder = home.collection("泵") / "datasets"
    _, rows = read_examples(folder, "泵")
    held = [msgspec.structs.replace(row, split=s) for row, s in zip(rows, ("train", "valid"), strict=True)]
    write_dataset(folder, held, collection="泵", snapshot="1", rejected={}, chunk_count=2, key="k")
    adapter = json.loads(tiny("train", "--collection", "泵", "--json"))["adapter"]
    card = read_card(adapter["folder"])
    assert card.chunks == ("a.md",)
    assert card.documents == {"a.md": (1,)}
