"""What a run leaves behind: curves, metrics, cards; runs compared and grids tried."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from assistant.core.errors import CollectionBusy, InputError, ModelError, NotFoundError, ResourceError
from assistant.core.progress import NoProgress
from assistant.core.records import Example, Message
from assistant.core.runs import Run
from assistant.core.settings import Settings
from assistant.core.settings_train import TrainSettings
from training.adapters import chat_template_hash, common_access, learnt_documents
from training.comparing import compare_runs
from training.curves import render_curves
from training.lora import train_adapter
from training.optimizing import Optimizer
from training.processes import Processes
from training.rendering import make_packs
from training.session import TrainReport, step_order
from training.student import Student
from training.sweeping import Trial, combinations, parse_grid, run_sweep

TrainTiny = Callable[..., TrainReport]


def row(**fields: object) -> Example:
    turns = (Message(role="user", content="?"), Message(role="assistant", content="!"))
    return msgspec.structs.replace(Example(id="1", recipe="r", language="en", messages=turns), **fields)


def is_svg(text: str) -> bool:
    return ET.fromstring(text).tag.endswith("svg")  # noqa: S314 - written by the code under test


def test_a_run_tells_everything(train_tiny: TrainTiny, tmp_path: Path) -> None:
    report = train_tiny(epochs=1)
    folder = tmp_path / "runs" / "train-a"
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {"step", "loss", "gradient_norm", "rate", "tokens", "tokens_per_second", "seconds"} <= set(rows[0])
    assert [found["step"] for found in rows] == list(range(report.steps))
    assert report.tokens_per_second > 0
    assert report.peak_mebibytes > 32
    record = json.loads((folder / "run.json").read_text())
    assert {"settings", "versions", "started"} <= set(record)
    assert is_svg((folder / "curves.svg").read_text("utf-8"))
    seen = (folder / "examples.txt").read_text("utf-8")
    assert "⟦valve 0 [1].<|im_end|>⟧" in seen
    assert "⟦阀门 0 [1].<|im_end|>⟧" in seen


def test_curves_of_what_was_measured_only() -> None:
    rows = [{"step": step, "loss": 2.0 / (step + 1)} for step in range(30)]
    assert render_curves(rows).count("<rect") == 1
    rows[-1]["validation_score"] = 0.5
    drawn = render_curves(rows)
    assert drawn.count("<rect") == 2
    assert is_svg(drawn)
    assert "nan" not in drawn
    assert is_svg(render_curves([]))


def test_a_loss_that_is_no_number_keeps_the_state_before(
    train_tiny: TrainTiny, tmp_path: Path, tiny_model: Path
) -> None:
    """Weights that overflow in the third step."""
    import torch

    class Poison(NoProgress):
        steps = 0

        def advance(self, count: int = 1, note: str = "") -> None:
            self.steps += bool(note)
            if self.steps == 2 and note:
                for found in _modules_of_training():
                    with torch.no_grad():
                        found.weight.fill_(float("nan"))

    with pytest.raises(ModelError, match=r"step 2: the loss became nan.*learning_rate") as caught:
        train_tiny(progress=Poison())
    assert caught.value.exit_code == 5
    assert (tmp_path / "runs" / "train-a" / "checkpoint" / "state.pt").exists()
    assert not (tmp_path / "adapters").exists()


def _modules_of_training() -> list[object]:
    import gc

    import torch

    layers = [found for found in gc.get_objects() if type(found) is torch.nn.Linear]
    return [layer for layer in layers if layer.weight.requires_grad]


def test_running_out_of_memory_says_what_helps(train_tiny: TrainTiny) -> None:
    class Full(NoProgress):
        def advance(self, count: int = 1, note: str = "") -> None:
            if note:
                raise RuntimeError(
                    "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
                )

    with pytest.raises(ResourceError, match=r"memory ran out.*step_tokens") as caught:
        train_tiny(progress=Full())
    assert caught.value.exit_code == 7


def test_an_update_that_is_no_number_is_not_made() -> None:
    import torch

    from training.processes import Processes

    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = Optimizer([("lora_A", weight)], TrainSettings())
    weight.grad = torch.tensor([1.0, float("inf")])
    _, norm = optimizer.step(0.1, torch.ones(1), Processes())
    assert norm == float("inf")
    assert weight.tolist() == [1.0, 1.0]
    weight.grad = torch.tensor([1.0, 1.0])
    optimizer.step(0.1, torch.ones(1), Processes())
    assert weight.tolist() == pytest.approx([0.9, 0.9])


def test_examples_longer_than_the_window_are_left_out(train_tiny: TrainTiny, examples: list[Example]) -> None:
    long = msgspec.structs.replace(
        examples[0], messages=(*examples[0].messages[:-1], Message(role="assistant", content="valve " * 600))
    )
    report = train_tiny(rows=[*examples[1:], long], epochs=1)
    assert report.too_long == 1
    assert report.examples == 11
    with pytest.raises(InputError, match="every example is longer"):
        train_tiny("b", rows=[long])


def test_compared_runs_show_what_differs(train_tiny: TrainTiny, tmp_path: Path) -> None:
    train_tiny("a", epochs=1)
    train_tiny("b", epochs=1, rank=2)
    found = compare_runs(tmp_path / "runs", "a", "train-b")
    assert found.settings == {"settings.train.rank": (4, 2)}
    assert found.metrics["steps"] == (4, 4)
    assert None not in found.metrics["last_loss"]
    for name in ("c", "../runs/train-a"):
        with pytest.raises(NotFoundError, match="finished runs: train-a, train-b"):
            compare_runs(tmp_path / "runs", "a", name)


def test_a_grid_is_read_or_refused() -> None:
    grid = parse_grid(["train.rank=4,8", "train.method=lora, dora"])
    assert combinations(grid)[1] == {"train.rank": "4", "train.method": "dora"}
    assert len(combinations(grid)) == 4
    for texts, reason in (
        (["train.rank"], "takes SECTION.KEY"),
        (["train.rank="], "takes SECTION.KEY"),
        (["engine.dtype=float32"], r"settings of \[train\]"),
        (["train.rank=1", "train.rank=2"], "twice"),
        (["train.seed=" + ",".join(map(str, range(65)))], "65 combinations"),
    ):
        with pytest.raises(InputError, match=reason):
            parse_grid(texts)


def test_the_best_answers_win_a_sweep() -> None:
    def train(tried: dict[str, str]) -> Trial:
        if tried["train.rank"] == "2":
            return Trial(settings=tried, error="memory")
        score = {"4": 0.2, "8": 0.7}[tried["train.rank"]]
        report = TrainReport(
            adapter="a", steps=1, examples=1, tokens=1, seconds=1, first_loss=1, last_loss=1 / score,
            validation_score=score,
        )  # fmt: skip
        return Trial(settings=tried, adapter="a", report=report)

    ranked = run_sweep(parse_grid(["train.rank=2,4,8"]), train)
    assert [trial.settings["train.rank"] for trial in ranked] == ["8", "4", "2"]


def test_only_who_reads_everything_may_use_it() -> None:
    assert common_access([row(), row()]) == ()
    assert common_access([row(access=("hr", "it")), row(), row(access=("it", "ops"))]) == ("it",)
    with pytest.raises(InputError, match="nobody may read all"):
        common_access([row(access=("hr",)), row(access=("it",))])


def test_what_was_learnt_is_told_by_version() -> None:
    rows = [
        row(documents=("a.md", "泵.md"), versions=(1, 3)),
        row(documents=("a.md",), versions=(2,)),
        row(documents=("old.md",)),
    ]
    assert learnt_documents(rows) == {"a.md": (1, 2), "old.md": (), "泵.md": (3,)}


def test_another_template_is_another_hash(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_text("x", "utf-8")
    assert chat_template_hash(tmp_path) != chat_template_hash(tiny_model)
    assert chat_template_hash(tiny_model) == chat_template_hash(tiny_model)


def test_a_run_belongs_to_one_process(tmp_path: Path) -> None:
    run = Run.start(tmp_path, "train", "a", Settings())
    with (
        run.alone(),
        pytest.raises(CollectionBusy, match="another process is at work in run train-a"),
        Run.start(tmp_path, "train", "a", Settings()).alone(),
    ):
        pass
    with run.alone():
        pass


def test_a_run_that_left_rubbish_is_not_compared(train_tiny: TrainTiny, tmp_path: Path) -> None:
    for name in "ab":
        train_tiny(name, epochs=1)
    for text in ("{", "[]", ""):
        (tmp_path / "runs" / "train-b" / "report.json").write_text(text)
        with pytest.raises(InputError, match=r"train-b/report\.json cannot be read"):
            compare_runs(tmp_path / "runs", "a", "b")


def test_damaged_metrics_are_named(train_tiny: TrainTiny, tmp_path: Path) -> None:
    Run.start(tmp_path / "runs", "train", "a", Settings()).metrics_path.write_text("{\n{}\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl is damaged.*remove .*train-a to begin anew"):
        train_tiny()


def stopped_after(steps: int) -> NoProgress:
    class Stops(NoProgress):
        left = steps

        def advance(self, count: int = 1, note: str = "") -> None:
            self.left -= bool(note)
            if not self.left:
                raise KeyboardInterrupt

    return Stops()


def test_memory_to_plan_with_does_not_begin_a_run_anew(train_tiny: TrainTiny, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_tiny(progress=stopped_after(4), memory_mebibytes=100_000)
    before = (tmp_path / "runs" / "train-a" / "metrics.jsonl").read_bytes()
    train_tiny()
    assert (tmp_path / "runs" / "train-a" / "metrics.jsonl").read_bytes().startswith(before)


@pytest.mark.parametrize("left", [0, 1, 300, -1, -300], ids=str)
def test_a_half_written_checkpoint_begins_anew(
    left: int, train_tiny: TrainTiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_tiny(progress=stopped_after(4), epochs=1)
    state = tmp_path / "runs" / "train-a" / "checkpoint" / "state.pt"
    state.write_bytes(state.read_bytes()[:left])
    assert train_tiny(epochs=1).steps == 4
    assert "state.pt cannot be read, the run begins anew" in caplog.text


def test_an_adapter_that_the_disk_does_not_take_leaves_nothing_behind(
    train_tiny: TrainTiny, tmp_path: Path
) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    (tmp_path / "adapters" / ".a.1.tmp").mkdir(parents=True)  # of a process that was killed
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limit[1]))
        with pytest.raises(
            ResourceError, match=r"the adapter cannot be written.*goes on from the last checkpoint"
        ):
            train_tiny(epochs=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    assert list((tmp_path / "adapters").iterdir()) == []


def test_an_adapter_names_no_path_of_this_machine(train_tiny: TrainTiny, tmp_path: Path) -> None:
    folder = Path(train_tiny(epochs=1).adapter)
    found = {file.name for file in folder.iterdir()}
    assert found == {"adapter_config.json", "adapter_model.safetensors", "adapter_seal.json"}
    assert "/" not in json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]


def test_tokens_of_all_processes_are_counted(
    tiny_model: Path, examples: list[Example], tmp_path: Path
) -> None:
    class Second(Processes):
        """The main one of two; the other computes the same."""

        def __init__(self) -> None:
            super().__init__(0, 2)

        def average(self, tensors: Sequence[object]) -> None:
            pass

    settings = TrainSettings(rank=2, step_tokens=40)
    run = Run.start(tmp_path, "train", "a", Settings(train=settings))
    report = train_adapter(
        examples, tiny_model, tmp_path / "a", run, settings, NoProgress(), dtype="float32", processes=Second()
    )
    packs = make_packs(examples, Student(tiny_model, settings, "float32").tokenizer, 40)
    sizes = [packs[place].token_count for place in step_order(packs, settings)]
    assert len(set(sizes)) > 1
    assert report.tokens == sum(sizes) + (sizes[0] if len(sizes) % 2 else 0)
