"""The steps of a run: order, checkpoints, validation, metrics, and what ends it early."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from assistant.core.errors import InputError, ModelError
from assistant.core.ids import content_id
from assistant.core.jsonl import read_finished_jsonl, write_jsonl
from assistant.core.progress import Progress
from assistant.core.records import Record
from assistant.core.runs import Run
from assistant.core.settings_train import TrainSettings
from training.checkpoints import State, read_checkpoint, write_checkpoint
from training.memory import MEBIBYTE, peak_memory
from training.optimizing import Optimizer, learning_rate
from training.processes import Processes
from training.rendering import Pack
from training.student import Student
from training.validation import Split, validation_score

if TYPE_CHECKING:
    import torch

CHECKPOINT_SECONDS = 60.0
CHECKPOINT = "checkpoint"


class TrainReport(Record, frozen=True, kw_only=True):
    """What a run made.

    Attributes:
        adapter: folder of the adapter.
        steps: optimiser steps.
        examples: examples trained on.
        tokens: tokens computed over all epochs, by all processes.
        seconds: wall time, over all resumptions.
        first_loss: mean loss of the first tenth.
        last_loss: mean loss of the last tenth.
        tokens_per_second: computed ones.
        peak_mebibytes: most memory held by this process.
        way: how packs were computed: ``SharedPrefix`` or ``PlainRows``.
        too_long: examples left out because they are longer than the base's window.
        validation_examples: examples asked while training.
        validation_score: of the kept state, None where nothing was held out.
        stopped_early: validation brought no gain any more.
        processes: that trained together.
    """

    adapter: str
    steps: int
    examples: int
    tokens: int
    seconds: float
    first_loss: float
    last_loss: float
    tokens_per_second: float = 0.0
    peak_mebibytes: int = 0
    way: str = "SharedPrefix"
    too_long: int = 0
    validation_examples: int = 0
    validation_score: float | None = None
    stopped_early: bool = False
    processes: int = 1


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


class Session:
    """The steps of a run, from the checkpoint on.

    Args:
        student: the model that is tuned.
        packs: what it is trained on.
        split: what the packs are made of, and what is asked meanwhile.
        run: where metrics and checkpoints go.
        settings: of training.
        progress: told of each step.
        processes: that train together.
    """

    def __init__(
        self,
        student: Student,
        packs: Sequence[Pack],
        split: Split,
        run: Run,
        settings: TrainSettings,
        progress: Progress,
        processes: Processes,
    ) -> None:
        self.way = ""
        self._student = student
        self._packs = packs
        self._split = split
        self._run = run
        self._settings = settings
        self._progress = progress
        self._processes = processes
        self._optimizer = Optimizer(student.named_weights(), settings)
        self._order = step_order(packs, settings)
        self._steps = math.ceil(len(self._order) / processes.count)
        ids = (example.id for example in split.train)
        shaping = msgspec.structs.replace(settings, memory_mebibytes=0)
        self._fingerprint = content_id(str(shaping), str(processes.count), *ids)
        self._done = 0
        self._asked = 0  # steps done at the last validation
        self._is_whole = True  # no step is under way
        self._best: tuple[float, list[torch.Tensor]] | None = None
        self._misses = 0
        self._saved = time.monotonic()
        self._began = time.monotonic()

    def work(self) -> None:
        """Make all steps; whatever ends them early, a checkpoint is left behind."""
        self._resume()
        self._progress.start("training", self._steps)
        self._progress.advance(self._done)
        try:
            self._validate()  # where it was stopped while it asked
            while self._done < self._steps and not self._has_stopped:
                self._step()
                self._validate()
                if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
                    self._checkpoint()
        except BaseException:
            if self._is_whole and self._done:
                self._checkpoint()
            raise
        self._progress.finish()
        if self._best is not None:
            self._optimizer.put_weights(self._best[1])

    @property
    def _has_stopped(self) -> bool:
        return 0 < self._settings.patience <= self._misses

    def _pack(self, step: int, rank: int) -> Pack:
        place = step * self._processes.count + rank
        return self._packs[self._order[place % len(self._order)]]

    def _step(self) -> None:
        import torch

        began, worked = time.monotonic(), time.process_time()
        rate = learning_rate(self._done, self._steps, self._settings)
        # dropout by seed and place, not by what went before: a resumed run draws the same, on every device
        torch.manual_seed(self._settings.seed + self._done * self._processes.count + self._processes.rank)
        loss = self._student.backward(self._pack(self._done, self._processes.rank))
        self._is_whole = False
        value, norm = self._optimizer.step(rate, loss, self._processes)
        self._is_whole = True
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise ModelError(
                f"step {self._done}: the loss became {value}, the gradient's length {norm}; the state before "
                "this step is kept; a lower [train] learning_rate helps"
            )
        self._done += 1
        self._tell(value, norm, rate, (time.monotonic() - began, time.process_time() - worked))

    def _tell(self, loss: float, norm: float, rate: float, spent: tuple[float, float]) -> None:
        seconds, cpu_seconds = spent
        packs = (self._pack(self._done - 1, rank) for rank in range(self._processes.count))
        tokens = sum(pack.token_count for pack in packs)
        self._log(
            step=self._done - 1,
            loss=round(loss, 5),
            gradient_norm=round(norm, 4),
            rate=float(f"{rate:.4g}"),
            tokens=tokens,
            tokens_per_second=round(tokens / seconds, 1),
            seconds=round(seconds, 3),
            cpu_seconds=round(cpu_seconds, 3),
        )
        note = f"loss {loss:.2f}, {tokens / seconds:.0f} tokens/s"
        self._progress.advance(note=note)

    def _validate(self) -> None:
        if not (self._split.valid and self._is_due(self._done) and self._asked < self._done):
            return
        began = time.monotonic()
        score = validation_score(self._student, self._split.valid, self._processes)
        if self._best is None or score > self._best[0]:
            self._best, self._misses = (score, self._optimizer.weights()), 0
        else:
            self._misses += 1
        self._asked = self._done
        self._log(
            step=self._done - 1,
            validation_score=round(score, 4),
            validation_seconds=round(time.monotonic() - began, 2),
        )

    def _is_due(self, done: int) -> bool:
        """Whether answers are scored after so many steps: evenly spread, the last time at the end."""
        times = self._settings.validations
        return done * times // self._steps > max(0, done - 1) * times // self._steps

    def _log(self, **values: float | str) -> None:
        if self._processes.is_main:
            self._run.log(**values)

    def _resume(self) -> None:
        """Go on from the checkpoint; what was measured after it is measured again."""
        state = read_checkpoint(self._run.folder / CHECKPOINT, self._fingerprint)
        if state is not None:
            self._optimizer.put_state(state.optimizer)
            self._done, self._misses, self._asked = state.step, state.misses, state.asked
            self._best = (state.best[0], state.best[1]) if state.best else None
        if self._processes.is_main:
            rows = self._metrics()
            write_jsonl(self._run.metrics_path, [row for row in rows if self._stands(row)])
        self._processes.wait()

    def _metrics(self) -> list[dict[str, int | float]]:
        path = self._run.metrics_path
        try:
            return read_finished_jsonl(path, dict[str, int | float])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is damaged: {error}; remove {path.parent} to begin anew") from error

    def _stands(self, row: Mapping[str, float]) -> bool:
        """Whether a row of metrics is of what the checkpoint holds."""
        return row["step"] < (self._asked if "validation_score" in row else self._done)

    def _checkpoint(self) -> None:
        self._saved = time.monotonic()
        if not self._processes.is_main:
            return
        state = State(
            step=self._done,
            fingerprint=self._fingerprint,
            optimizer=self._optimizer.state(),
            best=self._best,
            misses=self._misses,
            asked=self._asked,
        )
        write_checkpoint(self._run.folder / CHECKPOINT, state)

    def report(self, adapter: Path, too_long: int) -> TrainReport:
        """Return what came out."""
        every = self._metrics()
        rows = [row for row in every if "loss" in row]
        losses = [row["loss"] for row in rows]
        tenth = max(1, len(losses) // 10)
        seconds, tokens = sum(row["seconds"] for row in rows), sum(row["tokens"] for row in rows)
        return TrainReport(
            adapter=str(adapter),
            steps=len(rows),
            examples=len(self._split.train) - too_long,
            tokens=int(tokens),
            seconds=round(seconds + sum(row.get("validation_seconds", 0.0) for row in every), 1),
            first_loss=round(sum(losses[:tenth]) / tenth, 4),
            last_loss=round(sum(losses[-tenth:]) / tenth, 4),
            tokens_per_second=round(tokens / seconds, 1),
            peak_mebibytes=round(peak_memory() / MEBIBYTE),
            way=self.way,
            too_long=too_long,
            validation_examples=len(self._split.valid),
            validation_score=round(self._best[0], 4) if self._best else None,
            stopped_early=self._has_stopped and self._done < self._steps,
            processes=self._processes.count,
        )
