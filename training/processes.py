"""The processes that train together: one by itself, or several that a launcher of accelerate started.

Each process computes packs of its own; gradients are averaged, so all hold the same weights.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PATIENCE = timedelta(minutes=30)


class Processes:
    """What one process knows of the others.

    Attributes:
        rank: number of this process, from 0.
        count: how many there are.
    """

    def __init__(self, rank: int = 0, count: int = 1, state: Any = None) -> None:
        self.rank = rank
        self.count = count
        self._state = state

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and rows."""
        return self.rank == 0

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its mean over all processes, in one exchange."""
        import torch

        if self.count == 1:
            return
        joined = torch.cat([tensor.flatten() for tensor in tensors])
        torch.distributed.all_reduce(joined)
        joined /= self.count
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, part in zip(tensors, torch.split(joined, sizes), strict=True):
            tensor.copy_(part.view_as(tensor))

    def total(self, values: Sequence[float]) -> list[float]:
        """Return each value's sum over all processes."""
        import torch

        if self.count == 1:
            return list(values)
        joined = torch.tensor(list(values), dtype=torch.float64, device=self._state.device)
        torch.distributed.all_reduce(joined)
        return [float(value) for value in joined]

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self._state is not None:
            self._state.wait_for_everyone()

    def close(self) -> None:
        """Leave the group of processes."""
        if self._state is not None:
            self._state.destroy_process_group()


def launched_count() -> int:
    """Return how many processes a launcher started to train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def open_processes() -> Processes:
    """Join the other processes if a launcher started this one as one of several.

    ``accelerate launch`` and ``torchrun`` tell by WORLD_SIZE; processors talk through gloo, GPUs through
    NCCL, one GPU for each process.
    """
    if launched_count() == 1:
        return Processes()
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    if state.device.type == "cuda":
        torch.cuda.set_device(state.device)
    return Processes(state.process_index, state.num_processes, state)
