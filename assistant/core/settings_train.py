"""``[train]``: how an adapter is tuned."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
MAX_RANK = 256  # more is taken by no engine here
MAX_PLUS_RATIO = 1e4


class TrainSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[train]``: LoRA.

    Attributes:
        method: ``lora``; ``rslora`` scales by alpha / √rank (Kalajdzievski 2023); ``dora`` also learns each
            row's length (Liu et al. 2024).
        quantize: ``nf4`` keeps the frozen base in 4 bits (QLoRA, Dettmers et al. 2023).
        plus_ratio: learning rate of the adapter's second matrices over that of its first (LoRA+, Hayou et
            al. 2024, there 16); 1 is plain LoRA.
        targets: names of the layers that get an adapter; empty means every linear layer but the output head.
        dtype: of the base while training; ``auto`` takes the engine's, but float32 on a processor that
            computes bfloat16 slowly.
        rank: of the adapter.
        alpha: its scale.
        dropout: on the adapter's input.
        learning_rate: peak, after warm-up.
        schedule: how the rate falls after the warm-up, to a tenth of the peak.
        warm_up_share: share of the steps in which the rate rises.
        gradient_norm: gradients longer than this are cut to it.
        epochs: passes over what is to be known by heart; each context is seen once.
        step_tokens: most tokens of one optimiser step, a shared context not counted.
        activation_checkpointing: compute activations twice instead of keeping them.
        memory_mebibytes: most memory to plan with; 0 means what is free.
        validation_examples: examples held out, whole documents at a time; their answers are scored while
            training and the best state is kept. 0 trains on everything.
        validations: how often they are asked over the run.
        patience: validations without gain after which training stops early; 0 never stops early.
        seed: of initialisation and order.
    """

    method: Literal["lora", "rslora", "dora"] = "lora"
    quantize: Literal["none", "nf4"] = "none"
    plus_ratio: Annotated[float, Meta(ge=1.0, le=MAX_PLUS_RATIO)] = 1.0
    targets: tuple[str, ...] = ()
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    rank: Annotated[int, Meta(ge=1, le=MAX_RANK)] = 16
    alpha: Positive = 32
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    learning_rate: Annotated[float, Meta(gt=0, le=1.0)] = 3e-4
    schedule: Literal["cosine", "linear"] = "cosine"
    warm_up_share: Share = 0.06
    gradient_norm: Annotated[float, Meta(gt=0)] = 1.0
    epochs: Positive = 1
    step_tokens: Positive = 448
    activation_checkpointing: bool = False
    memory_mebibytes: Count = 0
    validation_examples: Count = 0
    validations: Positive = 4
    patience: Count = 2
    seed: int = 7
