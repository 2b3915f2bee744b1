"""LoRA on a frozen base model: packs in, adapter folder out; resumes where it was stopped."""

from __future__ import annotations

import math
import os
import random
import shutil
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.core.errors import ModelError
from assistant.core.ids import content_id
from assistant.core.jsonl import write_json
from assistant.core.progress import Progress
from assistant.core.records import Example, Record
from assistant.core.runs import Run
from assistant.core.settings import TrainSettings
from assistant.engine.adapters import seal_adapter
from assistant.engine.loading import load_model
from training.rendering import Pack, make_packs, pack_tensors

if TYPE_CHECKING:
    import torch

TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
WARM_UP_SHARE = 0.06
CHECKPOINT_SECONDS = 30.0
GRADIENT_NORM = 1.0
ADAM_BETAS = (0.9, 0.95)


class TrainReport(Record, frozen=True, kw_only=True):
    """What a run made.

    Attributes:
        adapter: folder of the adapter.
        steps: optimiser steps.
        examples: examples in the dataset.
        tokens: tokens computed over all epochs.
        seconds: wall time, over all resumptions.
        first_loss: mean loss of the first tenth.
        last_loss: mean loss of the last tenth.
    """

    adapter: str
    steps: int
    examples: int
    tokens: int
    seconds: float
    first_loss: float
    last_loss: float


def train_adapter(
    examples: Sequence[Example],
    base_folder: Path,
    adapter_folder: Path,
    run: Run,
    settings: TrainSettings,
    progress: Progress,
    *,
    dtype: str = "bfloat16",
) -> TrainReport:
    """Train an adapter and write it to ``adapter_folder``; a finished one is not trained again.

    The run's folder keeps a checkpoint; the same call after a crash goes on from it.

    Raises:
        ModelError: the base model cannot be loaded or the loss is no number any more.
    """
    trainer = _Trainer(base_folder, settings, dtype)
    packs = make_packs(examples, trainer.tokenizer, settings.step_tokens)
    order = step_order(packs, settings)
    step = trainer.resume(run.folder / "checkpoint", len(order))
    progress.start("training", len(order))
    progress.advance(step)
    saved = time.monotonic()
    for index in range(step, len(order)):
        began = time.monotonic()
        loss = trainer.step(packs[order[index]], learning_rate(index, len(order), settings))
        run.log(step=index, loss=round(loss, 5), seconds=round(time.monotonic() - began, 3))
        progress.advance(note=f"loss {loss:.2f}")
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            trainer.checkpoint(run.folder / "checkpoint", index + 1, len(order))
            saved = time.monotonic()
    progress.finish()
    trainer.save(adapter_folder)
    report = _report(run, adapter_folder, examples, [packs[index] for index in order])
    shutil.rmtree(run.folder / "checkpoint", ignore_errors=True)
    return report


def step_order(packs: Sequence[Pack], settings: TrainSettings) -> list[int]:
    """Return the pack of every step, in a seeded random order.

    What is to be known by heart comes in every epoch. A context comes once over all epochs: more
    contexts teach reading better than the same ones again.
    """
    contexts = [index for index, pack in enumerate(packs) if pack.has_context]
    order: list[int] = []
    for epoch in range(settings.epochs):
        indices = [index for index, pack in enumerate(packs) if not pack.has_context]
        indices += contexts[epoch :: settings.epochs]
        random.Random(f"{settings.seed}-{epoch}").shuffle(indices)
        order.extend(indices)
    return order


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """Return the rate of a step: linear warm-up, then linear decay to a tenth."""
    warm_up = max(1, round(steps * WARM_UP_SHARE))
    if step < warm_up:
        return settings.learning_rate * (step + 1) / warm_up
    left = 1 - (step - warm_up) / max(1, steps - warm_up)
    return settings.learning_rate * (0.1 + 0.9 * left)


class _Trainer:
    """The model with its adapter, the optimiser and full-precision copies of the adapter's weights.

    The adapter computes in the base's dtype (in fp32 beside a bf16 base a step takes 1.5 times as
    long) and is updated in fp32, since bf16 loses small updates.
    """

    def __init__(self, base_folder: Path, settings: TrainSettings, dtype: str) -> None:
        import torch
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(settings.seed)
        # a library that this process used before may have left its thread with one worker: measured, a
        # step then takes 6 s instead of 3.7
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        base = load_model(base_folder, dtype)
        self.tokenizer = base.tokenizer
        self.base_folder = base_folder
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=list(TARGET_MODULES),
            task_type="CAUSAL_LM",
        )
        with warnings.catch_warnings():  # PEFT asks transformers by an old name
            warnings.simplefilter("ignore", FutureWarning)
            self.model: Any = get_peft_model(base.model.train(), config, autocast_adapter_dtype=False)
        self.dtype = getattr(torch, dtype)
        self.weights = [p for p in self.model.parameters() if p.requires_grad]
        self.masters = [p.detach().float().clone().requires_grad_() for p in self.weights]
        self.optimizer = torch.optim.AdamW(self.masters, betas=ADAM_BETAS, weight_decay=0.0)
        self.fingerprint = content_id(str(settings), str(base_folder))

    def step(self, pack: Pack, rate: float) -> float:
        """Make one optimiser step on one pack; return its loss."""
        import torch

        loss = self.loss(pack)
        loss.backward()  # type: ignore[no-untyped-call]
        for master, weight in zip(self.masters, self.weights, strict=True):
            master.grad = weight.grad.float() if weight.grad is not None else None
            weight.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters, GRADIENT_NORM)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._copy_masters()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(f"the loss became {value}; a lower [train] learning_rate helps")
        return value

    def loss(self, pack: Pack) -> torch.Tensor:
        """Return the weighted loss of a pack's answers.

        The prefix is read without gradients: its keys and values are exact, only the gradient
        through them is cut, which takes half the time of a step. The output head is applied at the
        answers' positions only; over all positions its 152k-wide logits would be gigabytes.
        """
        import torch

        causal = self.model.get_base_model()
        tensors = {name: rows.to(causal.device) for name, rows in pack_tensors(pack, self.dtype).items()}
        with torch.no_grad():
            read = causal.model(input_ids=tensors["prefix_ids"], use_cache=True)
        hidden = causal.model(
            input_ids=tensors["input_ids"],
            position_ids=tensors["position_ids"],
            attention_mask=tensors["attention_mask"],
            past_key_values=read.past_key_values,
            use_cache=True,
        ).last_hidden_state[0]
        logits = causal.lm_head(hidden[tensors["predictors"]]).float()
        losses = torch.nn.functional.cross_entropy(logits, tensors["targets"], reduction="none")
        return (losses * tensors["weights"]).sum() / tensors["weights"].sum()

    def _copy_masters(self) -> None:
        import torch

        with torch.no_grad():
            for master, weight in zip(self.masters, self.weights, strict=True):
                weight.copy_(master)

    def checkpoint(self, folder: Path, step: int, steps: int) -> None:
        """Write all that a resumption needs; a crash while writing leaves the checkpoint before."""
        import torch

        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "step": step,
            "steps": steps,
            "fingerprint": self.fingerprint,
            "masters": [master.detach() for master in self.masters],
            "optimizer": self.optimizer.state_dict(),
        }
        temporary = folder / "state.tmp"
        torch.save(state, temporary)
        temporary.replace(folder / "state.pt")

    def resume(self, folder: Path, steps: int) -> int:
        """Load the checkpoint if it is of the same settings and length; return the next step."""
        import torch

        path = folder / "state.pt"
        if not path.exists():
            return 0
        state = torch.load(path, weights_only=True)
        if state["fingerprint"] != self.fingerprint or state["steps"] != steps:
            return 0
        with torch.no_grad():
            for master, saved in zip(self.masters, state["masters"], strict=True):
                master.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self._copy_masters()
        return int(state["step"])

    def save(self, folder: Path) -> None:
        """Write the adapter's folder; it appears whole or not at all."""
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        self.model.save_pretrained(temporary)
        seal_adapter(temporary, self.base_folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(folder)


def _report(run: Run, adapter: Path, examples: Sequence[Example], packs: Sequence[Pack]) -> TrainReport:
    import msgspec

    rows = [msgspec.json.decode(line) for line in run.metrics_path.read_bytes().splitlines()]
    losses = [row["loss"] for row in rows]
    tenth = max(1, len(losses) // 10)
    report = TrainReport(
        adapter=str(adapter),
        steps=len(packs),
        examples=len(examples),
        tokens=sum(pack.token_count for pack in packs),
        seconds=round(sum(row["seconds"] for row in rows), 1),
        first_loss=round(sum(losses[:tenth]) / tenth, 4),
        last_loss=round(sum(losses[-tenth:]) / tenth, 4),
    )
    write_json(run.folder / "report.json", report)
    return report
