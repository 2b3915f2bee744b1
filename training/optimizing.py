"""AdamW on fp32 copies of the adapter's weights, with warm-up, decay, clipping and LoRA+'s two rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from assistant.core.settings_train import TrainSettings
from training.processes import Processes

if TYPE_CHECKING:
    import torch

ADAM_BETAS = (0.9, 0.95)
LAST_SHARE = 0.1


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """Return the rate of a step: linear warm-up, then a cosine or a line down to a tenth."""
    warm_up = max(1, round(steps * settings.warm_up_share))
    if step < warm_up:
        return settings.learning_rate * (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    left = 1 - done if settings.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return settings.learning_rate * (LAST_SHARE + (1 - LAST_SHARE) * left)


class Optimizer:
    """Updates the adapter.

    The adapter computes in the base's dtype (in fp32 beside a bf16 base a step takes 1.5 times as
    long) and is updated in fp32, since bf16 loses small updates.

    Args:
        named: the learnt weights by name.
        settings: of training.
    """

    def __init__(self, named: Sequence[tuple[str, torch.Tensor]], settings: TrainSettings) -> None:
        import torch

        self._weights = [weight for _, weight in named]
        self._masters = [weight.detach().float().clone().requires_grad_() for weight in self._weights]
        self._limit = settings.gradient_norm
        fast = ["lora_B" in name for name, _ in named]
        ratios = (1.0, settings.plus_ratio)
        groups = [
            {"params": [m for m, is_fast in zip(self._masters, fast, strict=True) if is_fast is wanted]}
            for wanted in (False, True)
        ]
        self._adam = torch.optim.AdamW(groups, betas=ADAM_BETAS, weight_decay=0.0)
        for group, ratio in zip(self._adam.param_groups, ratios, strict=True):
            group["ratio"] = ratio

    def step(self, rate: float, loss: torch.Tensor, processes: Processes) -> tuple[float, float]:
        """Make one step with the gradients that lie on the weights; where they are no numbers, make none.

        Args:
            rate: learning rate.
            loss: of this process, to be averaged with the gradients; of shape (1,).
            processes: that train together.

        Returns:
            The mean loss and the length of the gradient before it was cut.
        """
        import torch

        for master, weight in zip(self._masters, self._weights, strict=True):
            master.grad = torch.zeros_like(master) if weight.grad is None else weight.grad.float()
            weight.grad = None
        processes.average([loss, *(master.grad for master in self._masters if master.grad is not None)])
        norm = float(torch.nn.utils.clip_grad_norm_(self._masters, self._limit))
        if math.isfinite(norm) and math.isfinite(float(loss)):
            for group in self._adam.param_groups:
                group["lr"] = rate * group["ratio"]
            self._adam.step()
            self._show_weights()
        self._adam.zero_grad(set_to_none=True)
        return float(loss), norm

    def weights(self) -> list[torch.Tensor]:
        """Return a copy of the adapter's fp32 weights."""
        return [master.detach().clone() for master in self._masters]

    def put_weights(self, weights: Sequence[torch.Tensor]) -> None:
        """Set the adapter's weights."""
        import torch

        with torch.no_grad():
            for master, given in zip(self._masters, weights, strict=True):
                master.copy_(given)
        self._show_weights()

    def state(self) -> dict[str, Any]:
        """Return all that ``put_state`` needs to go on."""
        return {"masters": [master.detach() for master in self._masters], "adam": self._adam.state_dict()}

    def put_state(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._adam.load_state_dict(state["adam"])
        self.put_weights(state["masters"])

    def _show_weights(self) -> None:
        import torch

        with torch.no_grad():
            for master, weight in zip(self._masters, self._weights, strict=True):
                weight.copy_(master)
