"""Training beside a plain ``Trainer``: ``python -m training.bench``, also reached by ``make bench``.

Both train the same LoRA on the same examples, one epoch, each in a process of its own and by turns, so
that a busy machine slows both alike. The plain side is what transformers and PEFT give without thought:
batches padded to their longest row, mixed precision, the loss over the whole vocabulary at every position.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assistant.core.environment import prepare_environment
from assistant.core.home import Home
from assistant.core.jsonl import read_jsonl
from assistant.core.progress import NoProgress
from assistant.core.records import Example, Message, Record
from assistant.core.runs import Run
from assistant.core.settings import EngineSettings, Settings
from assistant.core.settings_train import TrainSettings
from training.dataset import make_example

_FACTS = {
    "en": "Pump P-{n} takes {n}.5 bar and 3 kW; its filter is changed every {n} weeks by two people. ",
    "zh": "水泵P-{n}的压力为{n}.5巴，功率3千瓦，滤芯每{n}周由两人更换。",
}
_ASKED = {"en": "How often is the filter of pump P-{n} changed?", "zh": "水泵P-{n}的滤芯多久更换一次？"}
_TOLD = {
    "en": "The filter of pump P-{n} is changed every {n} weeks [1].",
    "zh": "水泵P-{n}的滤芯每{n}周更换一次 [1]。",
}
_QUESTIONS = 5
_FACT_COUNT = {"en": 24, "zh": 20}
_MATRIX = (448, 896, 4864)
_MATRIX_SECONDS = 1.5


class Measure(Record, frozen=True, kw_only=True):
    """One side's run.

    Attributes:
        seconds: of the steps, loading left out.
        cpu_seconds: of the process in that time.
        example_tokens: tokens of all examples, each with its whole prompt, padding not counted.
        computed_tokens: tokens that went through the model.
        peak_mebibytes: most memory held.
        loss: of the last step.
        work: floating point operations in the matrices of layers and head.
        matrix_rate: operations a second of a matrix product alone, measured before.
    """

    seconds: float
    cpu_seconds: float
    example_tokens: int
    computed_tokens: int
    peak_mebibytes: int
    loss: float
    work: float = 0.0
    matrix_rate: float = 0.0


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the table."""
    default = Home.from_environment().models / EngineSettings().base_model
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=default, help="folder of Hugging Face format")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--dataset", type=Path, help="examples.jsonl of a dataset, in place of made-up ones")
    parser.add_argument("--examples", type=int, default=14)
    parser.add_argument("--batch", type=int, default=2, help="rows of the plain side's batch")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--side", choices=["deskmate", "plain"], help="measure one side, print JSON")
    options = parser.parse_args(arguments)
    prepare_environment()
    if options.side:
        measure = (measure_ours if options.side == "deskmate" else measure_plain)(
            options.model, load_examples(options.dataset, options.examples), options.dtype, options.batch
        )
        _say(json.dumps({name: getattr(measure, name) for name in measure.__struct_fields__}))
        return
    _compare(options, sys.argv[1:] if arguments is None else arguments)


def load_examples(dataset: Path | None, count: int) -> list[Example]:
    """Return the first examples of a dataset, or made-up ones: five questions a context, two without."""
    if dataset is not None:
        return list(read_jsonl(dataset, Example))[:count]
    made: list[Example] = []
    group = 0
    while len(made) < count:
        language = "zh" if group % 2 else "en"
        numbers = range(1 + 100 * group, 1 + 100 * group + _FACT_COUNT[language])
        context = "".join(_FACTS[language].format(n=n) for n in numbers)
        for place in range(_QUESTIONS + 2):
            system = f"[1] {context}" if place < _QUESTIONS else "Answer."
            turns = (
                Message(role="system", content=system),
                Message(role="user", content=_ASKED[language].format(n=numbers[place])),
            )
            made.append(
                make_example(
                    recipe="bench",
                    language=language,  # type: ignore[arg-type]
                    messages=turns,
                    answer=_TOLD[language].format(n=numbers[place]),
                )
            )
        group += 1
    return made[:count]


def measure_ours(model: Path, examples: Sequence[Example], dtype: str, _batch: int) -> Measure:
    """Train with the loop of this package."""
    import torch
    from transformers import AutoConfig

    from training.lora import train_adapter

    rate = matrix_rate(getattr(torch, dtype))
    settings = TrainSettings(epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        run = Run.start(Path(folder), "bench", "ours", Settings(train=settings))
        report = train_adapter(
            examples, model, Path(folder) / "adapter", run, settings, NoProgress(), dtype=dtype
        )
        cpu = sum(row["cpu_seconds"] for row in read_jsonl(run.metrics_path, dict[str, float]))
    packs = _packs(model, examples, settings)
    return Measure(
        seconds=report.seconds,
        cpu_seconds=cpu,
        example_tokens=sum(pack.example_token_count for pack in packs),
        computed_tokens=report.tokens,
        peak_mebibytes=report.peak_mebibytes,
        loss=report.last_loss,
        work=count_work(AutoConfig.from_pretrained(str(model)), packs),
        matrix_rate=rate,
    )


def measure_plain(model: Path, examples: Sequence[Example], dtype: str, batch: int) -> Measure:
    """Train with ``transformers.Trainer`` and PEFT."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    from assistant.engine.loading import load_model
    from training.memory import MEBIBYTE, peak_memory, reset_peak
    from training.rendering import tokenize_example

    settings = TrainSettings(epochs=1)
    torch.manual_seed(settings.seed)
    reset_peak()
    loaded = load_model(model, dtype)
    config = LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    rows = []
    for example in examples:
        ids, start = tokenize_example(example, loaded.tokenizer)
        labels = [-100] * start + ids[start:]
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels})
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(model))
    with tempfile.TemporaryDirectory() as folder:
        options = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=batch,
            num_train_epochs=1,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=1,
            max_grad_norm=settings.gradient_norm,
            bf16=dtype == "bfloat16",
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            report_to=[],
            logging_steps=1,
            disable_tqdm=True,
            seed=settings.seed,
        )
        with warnings.catch_warnings():  # PEFT asks transformers by an old name
            warnings.simplefilter("ignore", FutureWarning)
            adapted = get_peft_model(loaded.model.train(), config)
        trainer = Trainer(
            model=adapted,
            args=options,
            train_dataset=rows,
            data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True),
        )
        cpu, began = time.process_time(), time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    tokens = sum(len(row["input_ids"]) for row in rows)
    return Measure(
        seconds=seconds,
        cpu_seconds=time.process_time() - cpu,
        example_tokens=tokens,
        computed_tokens=tokens,
        peak_mebibytes=round(peak_memory() / MEBIBYTE),
        loss=float(losses[-1]),
    )


def matrix_rate(dtype: Any) -> float:
    """Return the operations a second of one matrix product, of the shape of a layer's largest."""
    import torch

    rows, inner, columns = _MATRIX
    left, right = torch.randn(rows, inner, dtype=dtype), torch.randn(inner, columns, dtype=dtype)
    torch.mm(left, right)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < _MATRIX_SECONDS:
        torch.mm(left, right)
        count += 1
    return 2 * rows * inner * columns * count / (time.perf_counter() - began)


def count_work(config: Any, packs: Sequence[Any]) -> float:
    """Return the operations in the matrices of layers and head; attention itself and the adapter left out.

    A token of a prefix is computed forward only; of a branch forward and, since the base is frozen,
    backward towards its inputs only: twice each 2 operations a weight.
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    keys = 2 * hidden * config.num_key_value_heads // config.num_attention_heads
    weights = config.num_hidden_layers * (2 * hidden * hidden + keys * hidden + 3 * hidden * inner)
    work = 0.0
    for pack in packs:
        own = pack.token_count - len(pack.prefix)
        work += 2.0 * weights * (len(pack.prefix) + 2 * own)
        work += 4.0 * pack.answer_token_count * hidden * config.vocab_size
    return work


def _packs(model: Path, examples: Sequence[Example], settings: TrainSettings) -> list[Any]:
    from transformers import AutoTokenizer

    from assistant.engine.tokenizing import ChatTokenizer
    from training.rendering import make_packs

    tokenizer = ChatTokenizer(AutoTokenizer.from_pretrained(str(model)))
    return make_packs(examples, tokenizer, settings.step_tokens)


def _compare(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    ratios = []
    for repeat in range(options.repeats):
        sides = {side: _measure_apart(side, arguments) for side in ("plain", "deskmate")}
        _say(f"run {repeat + 1}: {options.examples} examples, {sides['plain'].example_tokens} tokens")
        for name, found in sides.items():
            speed = found.example_tokens / found.seconds
            spent = f"{found.seconds:9.1f} s{found.cpu_seconds:9.1f} CPU s"
            taken = f"{found.computed_tokens:9d} computed{found.peak_mebibytes:8d} MiB peak"
            _say(f"  {name:10}{speed:8.0f} example tokens/s{spent}{taken}")
        ours, plain = sides["deskmate"], sides["plain"]
        ratios.append((plain.seconds / ours.seconds, plain.cpu_seconds / ours.cpu_seconds))
        reached = ours.work / ours.seconds
        alone = f"a matrix product alone {ours.matrix_rate / 1e9:.0f}: {reached / ours.matrix_rate:.2f}"
        _say(f"  {reached / 1e9:.0f} GFLOP/s in matrices, {alone}")
    wall, cpu = (statistics.median(column) for column in zip(*ratios, strict=True))
    _say(f"tokens a second, deskmate / plain: {wall:.2f}, by CPU seconds {cpu:.2f}")


def _measure_apart(side: str, arguments: Sequence[str]) -> Measure:
    command = [sys.executable, "-m", "training.bench", *arguments, "--side", side]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - this module
    return Measure(**json.loads(done.stdout.strip().splitlines()[-1]))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
