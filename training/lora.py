"""A run: examples in, adapter folder out; resumes where it was stopped, keeps what it had when it fails."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from assistant.core.errors import DeskmateError, InputError, ResourceError
from assistant.core.jsonl import write_json
from assistant.core.progress import Progress
from assistant.core.records import Example
from assistant.core.runs import Run
from assistant.core.settings_train import TrainSettings
from training.curves import write_curves
from training.losses import SharedPrefix
from training.memory import (
    MemoryPlan,
    base_bytes,
    free_memory,
    plan_memory,
    refuse_too_much,
    reset_peak,
)
from training.processes import Processes
from training.rendering import Pack, make_packs, render_learnt, tokenize_example
from training.session import CHECKPOINT, Session, TrainReport
from training.student import Student, training_dtype
from training.validation import Split, hold_out

REPORT = "report.json"
SEEN = "examples.txt"
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def train_adapter(
    examples: Sequence[Example],
    base_folder: Path,
    adapter_folder: Path,
    run: Run,
    settings: TrainSettings,
    progress: Progress,
    *,
    dtype: str = "bfloat16",
    processes: Processes | None = None,
) -> TrainReport:
    """Train an adapter and write it to ``adapter_folder``.

    The run's folder keeps a checkpoint until ``forget_checkpoint``; the same call after a crash goes on
    from it.

    Raises:
        InputError: there is nothing to train on, or an example is broken.
        ModelError: the base model cannot be loaded or the loss is no number any more.
        ResourceError: memory will not suffice, or did not.
    """
    processes = processes or Processes()
    split = split_examples(examples, settings)
    _use_cores(processes)
    reset_peak()
    compute = training_dtype(settings, dtype)
    weights = base_bytes(base_folder, settings, compute)
    free = free_memory(_processes_here(processes))
    least = MemoryPlan(base=weights, adapter=0, activations=0, logits=0)
    refuse_too_much(least, free, settings)
    with _memory_errors(settings):
        student = Student(base_folder, settings, compute)
        packs = make_packs(split.train, student.tokenizer, settings.step_tokens)
        fitting = _fitting(packs, student.window_tokens)
        way = student.choose_loss(fitting)
        learnt = sum(weight.numel() for _, weight in student.named_weights())
        is_shared = way == SharedPrefix.__name__
        plan = plan_memory(student.config, weights, learnt, fitting, settings, compute, is_shared=is_shared)
        refuse_too_much(plan, free, settings)
        split = msgspec.structs.replace(split, valid=_answerable(split.valid, student))
        session = Session(student, fitting, split, run, settings, progress, processes)
        session.way = way
        if processes.is_main:
            _write_seen(run, split, student)
        session.work()
    if processes.is_main:
        student.save(adapter_folder)
    processes.wait()
    too_long = sum(len(pack.branches) for pack in packs) - sum(len(pack.branches) for pack in fitting)
    report = session.report(adapter_folder, too_long)
    if processes.is_main:
        write_json(run.folder / REPORT, report)
        write_curves(run.folder)
    return report


def forget_checkpoint(run: Run) -> None:
    """Remove what a run would go on from, once nothing is left to do."""
    shutil.rmtree(run.folder / CHECKPOINT, ignore_errors=True)


def split_examples(examples: Sequence[Example], settings: TrainSettings) -> Split:
    """Return what is trained on and what is asked meanwhile.

    The dataset's own split is taken where it has one; what is kept for testing is never touched.

    Raises:
        InputError: nothing is left to train on, or an example does not end with an answer.
    """
    for example in examples:
        *prompt, last = example.messages
        if not prompt or last.role != "assistant" or not last.content.strip():
            raise InputError(
                f"example {example.id} does not end with an answer", next_command="deskmate synth"
            )
    train = [example for example in examples if example.split == "train"]
    valid = [example for example in examples if example.split == "valid"]
    if settings.validation_examples and valid:
        random.Random(settings.seed).shuffle(valid)
        split = Split(train=tuple(train), valid=tuple(valid[: settings.validation_examples]))
    else:
        split = hold_out(train, settings.validation_examples, settings.seed)
    if not split.train:
        raise InputError("the dataset leaves nothing to train on", next_command="deskmate synth")
    return split


def _fitting(packs: Sequence[Pack], window_tokens: int) -> list[Pack]:
    """Return the packs without examples that are longer than the base's window.

    Raises:
        InputError: none is left.
    """
    fitting = []
    for pack in packs:
        room = window_tokens - len(pack.prefix)
        branches = tuple(branch for branch in pack.branches if len(branch.ids) <= room)
        if branches:
            fitting.append(Pack(prefix=pack.prefix, branches=branches))
    if not fitting:
        raise InputError(f"every example is longer than the base model's window of {window_tokens} tokens")
    return fitting


def _answerable(examples: Sequence[Example], student: Student) -> tuple[Example, ...]:
    """Return the examples whose question and answer fit into the base's window."""
    sizes = (len(tokenize_example(example, student.tokenizer)[0]) for example in examples)
    return tuple(e for e, size in zip(examples, sizes, strict=True) if size <= student.window_tokens)


def _processes_here(processes: Processes) -> int:
    """Return how many of the processes share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", str(processes.count)))


def _use_cores(processes: Processes) -> None:
    """Give this process its share of the cores.

    A library that this process used before may have left its thread with one worker: measured, a step
    then takes 6 s instead of 3.7.
    """
    import torch

    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // _processes_here(processes)))


def _write_seen(run: Run, split: Split, student: Student) -> None:
    """Write an example of each recipe as the model sees it, for a person to check."""
    by_recipe = {(example.recipe, example.language): example for example in reversed(split.train)}
    texts = [
        f"=== {recipe}, {language}\n{render_learnt(example, student.tokenizer)}\n"
        for (recipe, language), example in sorted(by_recipe.items())
    ]
    (run.folder / SEEN).write_text("\n".join(texts), "utf-8")


@contextmanager
def _memory_errors(settings: TrainSettings) -> Iterator[None]:
    """Turn what allocators say into an error with a way out.

    Raises:
        ResourceError: memory ran out.
    """
    try:
        yield
    except DeskmateError:
        raise
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(
            words in str(error).lower() for words in _OUT_OF_MEMORY
        ):
            raise
        raise ResourceError(
            "memory ran out while training; the last checkpoint is kept for the same settings; what helps: "
            f"a lower [train] step_tokens (now {settings.step_tokens}), activation_checkpointing = true or "
            'quantize = "nf4"'
        ) from error
