"""Two processes of accelerate's launcher, and a run that is killed: real processes, so slow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from assistant.core.home import Home
from assistant.core.records import Example
from assistant.store.candidates import read_candidate
from training.adapters import CARD, read_card
from training.dataset import write_dataset
from training.processes import Processes

CONFIGS = Path(__file__).parents[2] / "configs" / "train" / "accelerate"
BIN = Path(sys.executable).parent
SHORT = ["train.rank=4", "train.learning_rate=5e-3", "train.step_tokens=96", "engine.dtype=float32"]

Deskmate = Callable[..., list[str]]


@pytest.fixture
def command(home: Home, tiny_model: Path, examples: list[Example]) -> Deskmate:
    """Return the command line of a short training on a dataset below ``home``."""
    folder = home.collection("c") / "datasets"
    write_dataset(folder, examples, collection="c", snapshot="1", rejected={}, chunk_count=1, key="k")

    def make(*settings: str) -> list[str]:
        flags = [f"--set={each}" for each in (*SHORT, f"engine.base_model={tiny_model}", *settings)]
        return [str(BIN / "deskmate"), *flags, "train", "--collection", "c", "--json"]

    return make


def environment(home: Home) -> dict[str, str]:
    return os.environ | {"DESKMATE_HOME": str(home.root)}


def losses(home: Home) -> list[float]:
    (file,) = home.runs.glob("train-*/metrics.jsonl")
    return [row["loss"] for line in file.read_text().splitlines() if "loss" in (row := json.loads(line))]


def test_alone_nothing_is_exchanged() -> None:
    import torch

    alone = Processes()
    gradient = torch.tensor([1.0, 2.0])
    alone.average([gradient])
    assert gradient.tolist() == [1.0, 2.0]
    assert alone.total([3.0]) == [3.0]
    assert alone.is_main


def test_every_launcher_file_opens_with_its_command() -> None:
    files = sorted(CONFIGS.glob("*.yaml"))
    assert len(files) == 4
    for file in files:
        text = file.read_text("utf-8")
        assert text.startswith(f"# accelerate launch --config_file configs/train/accelerate/{file.name} ")
        assert yaml.safe_load(text)["num_processes"] >= 1


@pytest.mark.slow
def test_two_processes_train_one_adapter(home: Home, command: Deskmate) -> None:
    launcher = [str(BIN / "accelerate"), "launch", "--config_file", str(CONFIGS / "two-cpu-processes.yaml")]
    launch = [*launcher, "--main_process_port", "0", "--no_python", *command("train.epochs=3")]
    done = subprocess.run(launch, env=environment(home), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()  # the main process alone speaks
    found = json.loads(line)
    assert found["report"]["processes"] == 2
    assert found["report"]["steps"] == 6
    assert found["report"]["last_loss"] < found["report"]["first_loss"]
    assert read_card(found["adapter"]["folder"]).metrics.processes == 2
    assert read_candidate(home.collection("c")) == found["adapter"]["name"]


@pytest.mark.slow
def test_a_run_killed_at_any_point_goes_on_to_the_same_loss(
    tmp_path: Path, home: Home, command: Deskmate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL in the middle of a run with dropout, twice; the losses are those of a run never touched."""
    line = command("train.dropout=0.2", "train.epochs=12")
    script = (
        "import sys, training.session as s; s.CHECKPOINT_SECONDS = 0.0; sys.argv = sys.argv[1:]; "
        "from assistant.cli import main; main()"
    )
    started = [sys.executable, "-c", script, *line]
    for wanted in (7, 20):
        process = subprocess.Popen(started, env=environment(home), stdout=subprocess.DEVNULL)
        while process.poll() is None and _rows(home) < wanted:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not list(home.adapters.glob(f"*/{CARD}"))
    done = subprocess.run(line, env=environment(home), capture_output=True, text=True, check=True)
    resumed = losses(home)
    other = Home(tmp_path / "other").make()
    (home.root / "collections").rename(other.root / "collections")
    subprocess.run(line, env=environment(other), capture_output=True, check=True)
    assert resumed == pytest.approx(losses(other), rel=1e-3)
    assert json.loads(done.stdout)["report"]["steps"] == len(resumed)


def _rows(home: Home) -> int:
    files = list(home.runs.glob("train-*/metrics.jsonl"))
    return len(files[0].read_text().splitlines()) if files else 0
