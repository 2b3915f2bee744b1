"""Datasets for other trainers: LLaMA-Factory, ShareGPT, Alpaca, OpenAI messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from assistant.core.errors import InputError
from assistant.core.jsonl import write_json, write_jsonl
from assistant.core.records import Example, Record, Split

ExportFormat = Literal["llamafactory", "sharegpt", "alpaca", "openai"]
FORMATS: tuple[ExportFormat, ...] = ("llamafactory", "sharegpt", "alpaca", "openai")
DATASET_INFO, TRAIN_CONFIG = "dataset_info.json", "train_lora.yaml"
_SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}
_SPLITS: tuple[Split, ...] = ("train", "valid", "test")

# what chat templates mark turns with: another trainer would read it in a document as the beginning of a turn
_MARKER = re.compile(r"<(\|[a-z_0-9]+\|>)", re.IGNORECASE)
# of the second generation and its half steps; later ones think aloud and have templates of their own
_QWEN = re.compile(r"qwen(?:1|2)", re.IGNORECASE)
_PLAIN = re.compile(r"[\w./~][\w./~-]*")

Row = dict[str, object]


class Exported(Record, frozen=True, kw_only=True):
    """What was written: file → rows, and the files that describe them."""

    rows: dict[str, int]
    described_by: tuple[str, ...] = ()


def export(
    examples: Sequence[Example], folder: Path, form: ExportFormat, name: str, base_model: str
) -> Exported:
    """Write a dataset in another trainer's format, one JSON Lines file a split.

    For ``llamafactory`` the ShareGPT rows come with ``dataset_info.json`` and a training configuration, so
    that ``llamafactory-cli train train_lora.yaml`` opens them from that folder.

    Args:
        examples: of the dataset.
        folder: where the files go; made if need be.
        form: of the rows.
        name: of the dataset, part of the files' names.
        base_model: named in the configuration; a folder or a name that the trainer knows.

    Raises:
        InputError: an example does not fit the format; the message names it.
    """
    make = _ROWS[form]
    examples = [_without_markers(example) for example in examples]
    written: dict[str, int] = {}
    files: dict[Split, str] = {}
    for split in _SPLITS:
        rows = [make(example) for example in examples if example.split == split]
        if rows:
            files[split] = f"{name}-{split}.jsonl"
            written[files[split]] = write_jsonl(folder / files[split], rows)
    if form != "llamafactory":
        return Exported(rows=written)
    described = {f"{name}-{split}": {"file_name": file, **_DESCRIPTION} for split, file in files.items()}
    write_json(folder / DATASET_INFO, described)
    (folder / TRAIN_CONFIG).write_text(_config(name, files, base_model), "utf-8")
    return Exported(rows=written, described_by=(DATASET_INFO, TRAIN_CONFIG))


# as LLaMA-Factory's data/README.md describes the ShareGPT form
_DESCRIPTION: Mapping[str, object] = {
    "formatting": "sharegpt",
    "columns": {"messages": "conversations", "system": "system"},
    "tags": {
        "role_tag": "from",
        "content_tag": "value",
        "user_tag": "human",
        "assistant_tag": "gpt",
        "system_tag": "system",
    },
}


def _without_markers(example: Example) -> Example:
    """Return an example whose texts open no turn of their own, as training here breaks them too."""
    turns = tuple(
        msgspec.structs.replace(turn, content=_MARKER.sub(r"< \1", turn.content)) for turn in example.messages
    )
    return msgspec.structs.replace(example, messages=turns)


def _sharegpt(example: Example) -> Row:
    turns = [{"from": _SPEAKERS[turn.role], "value": turn.content} for turn in _turns(example)]
    return {"conversations": turns, "system": _instructions(example), "id": example.id}


def _openai(example: Example) -> Row:
    messages = [{"role": turn.role, "content": turn.content} for turn in example.messages]
    return {"messages": [turn for turn in messages if turn["role"] != "system" or turn["content"]]}


def _alpaca(example: Example) -> Row:
    turns = [turn.content for turn in _turns(example)]
    history = [[asked, answered] for asked, answered in zip(turns[:-2:2], turns[1:-2:2], strict=True)]
    return {
        "instruction": turns[-2],
        "input": "",
        "output": turns[-1],
        "system": _instructions(example),
        "history": history,
        "id": example.id,
    }


_ROWS: Mapping[ExportFormat, Callable[[Example], Row]] = {
    "llamafactory": _sharegpt,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "openai": _openai,
}


def _instructions(example: Example) -> str:
    return "\n\n".join(turn.content for turn in example.messages if turn.role == "system" and turn.content)


def _turns(example: Example) -> list[_Turn]:
    """Return the turns without the instructions, people and assistant in turn as these formats want it."""
    turns = [
        _Turn(role=turn.role, content=turn.content) for turn in example.messages if turn.role != "system"
    ]
    wanted = ["user", "assistant"] * (len(turns) // 2)
    if not turns or [turn.role for turn in turns] != wanted:
        raise InputError(f"example {example.id}: people and assistant do not take turns")
    return turns


class _Turn(Record, frozen=True, kw_only=True):
    role: str
    content: str


def _config(name: str, files: Mapping[Split, str], base_model: str) -> str:
    return "\n".join(_config_lines(name, files, base_model)) + "\n"


def _yaml(text: str) -> str:
    """Return a text as YAML takes it: quoted where it is no plain word or path."""
    return text if _PLAIN.fullmatch(text) else msgspec.json.encode(text).decode()


def _config_lines(name: str, files: Mapping[Split, str], base_model: str) -> Iterator[str]:
    yield "# llamafactory-cli train train_lora.yaml"
    yield f"model_name_or_path: {_yaml(base_model)}"
    yield "stage: sft"
    yield "do_train: true"
    yield "finetuning_type: lora"
    yield "lora_target: all"
    yield "lora_rank: 16"
    yield "lora_alpha: 32"
    yield "dataset_dir: ."
    yield f"dataset: {name}-train"
    if "valid" in files:
        yield f"eval_dataset: {name}-valid"
        yield "eval_strategy: epoch"
        yield "per_device_eval_batch_size: 1"
    if _QWEN.search(Path(base_model).name):
        yield "template: qwen"
    else:
        yield "# no template: LLaMA-Factory reads the one of the model's tokenizer"
    yield "cutoff_len: 2048"
    yield f"output_dir: {name}-lora"
    yield "per_device_train_batch_size: 1"
    yield "gradient_accumulation_steps: 8"
    yield "learning_rate: 3.0e-4"
    yield "num_train_epochs: 3.0"
    yield "lr_scheduler_type: cosine"
    yield "warmup_ratio: 0.06"
    yield "bf16: true"
