"""How much memory training takes, how much there is, and a refusal with its arithmetic before it begins."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from assistant.core.errors import ResourceError
from assistant.core.records import Record
from assistant.core.settings_train import TrainSettings
from assistant.engine.adapters import read_shapes, safetensors_files
from training.losses import row_slices
from training.rendering import Pack

MEBIBYTE = 2**20
# fp32 copy of a weight, its gradient and Adam's two moments, beside the weight and gradient in bf16
_ADAPTER_BYTES = 4 * 4 + 2 * 2
_LIBRARIES = 700 * MEBIBYTE
# NF4 with its scales quantized again: 4.13 bits a weight (Dettmers et al. 2023)
_NF4_BYTES = 4.13 / 8
_LOGIT_BYTES = 2 + 4 + 4 + 4  # as computed, in fp32, their softmax, their gradient


class MemoryPlan(Record, frozen=True, kw_only=True):
    """What training needs at its peak, in bytes.

    Attributes:
        base: frozen weights.
        adapter: its weights, their fp32 copies, gradients and the optimiser's moments.
        activations: of the largest pack, kept for the backward pass.
        logits: of the largest pack's learnt tokens.
        libraries: what Python and its libraries take.
    """

    base: int
    adapter: int
    activations: int
    logits: int
    libraries: int = _LIBRARIES

    @property
    def total(self) -> int:
        """All together."""
        return self.base + self.adapter + self.activations + self.logits + self.libraries

    def describe(self) -> str:
        """Return the sum as a person reads it, without what is not known yet."""
        parts = {"base": self.base, "adapter and optimiser": self.adapter, "activations": self.activations}
        parts |= {"output scores": self.logits, "libraries": self.libraries}
        told = " + ".join(f"{_gib(size)} {name}" for name, size in parts.items() if size)
        return f"{told} = {_gib(self.total)}"


def base_bytes(folder: Path, settings: TrainSettings, dtype: str) -> int:
    """Return the size of a model folder's weights in memory, while training.

    Raises:
        ModelError: they are not there as safetensors, or broken.
    """
    width = 2 if dtype == "bfloat16" else 4
    total = 0
    for file in safetensors_files(folder):
        for name, shape in read_shapes(file).items():
            count = 1
            for size in shape:
                count *= size
            is_packed = settings.quantize == "nf4" and len(shape) == 2 and "layers." in name  # noqa: PLR2004
            total += round(count * (_NF4_BYTES if is_packed else width))
    return total


class _Share(NamedTuple):
    """What is computed at once: tokens with gradients, tokens each may look at, all tokens, output scores."""

    own: int
    seen: int
    held: int
    scores: int


def plan_memory(
    config: Any,
    base: int,
    adapter_weights: int,
    packs: Sequence[Pack],
    settings: TrainSettings,
    dtype: str,
    *,
    is_shared: bool = True,
) -> MemoryPlan:
    """Return what training takes at its peak.

    Args:
        config: of the model, as transformers gives it.
        base: bytes of the frozen weights.
        adapter_weights: how many weights are learnt.
        packs: what is trained on.
        settings: of training.
        dtype: of the base.
        is_shared: examples share their context's tokens; else each is a row of its own, with output scores at
            every position.
    """
    width = 2 if dtype == "bfloat16" else 4
    hidden, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    heads = config.num_attention_heads
    keys = 2 * hidden * (getattr(config, "num_key_value_heads", None) or heads) // heads
    activations = logits = 0
    for share in (share for pack in packs for share in _shares(pack, width, is_shared=is_shared)):
        own = share.own
        # measured on Qwen2: what autograd keeps of a layer for a token; the norms keep fp32
        layer = own * ((10 * hidden + 5 * inner) * width + 6 * hidden * 4)
        attention = heads * own * share.seen * width
        if settings.activation_checkpointing:
            kept = layer + attention + layers * own * hidden * width
        else:
            kept = layers * (layer + attention)
        kept += layers * share.held * keys * width
        activations = max(activations, kept)
        logits = max(logits, share.scores * config.vocab_size)
    return MemoryPlan(
        base=base, adapter=adapter_weights * _ADAPTER_BYTES, activations=activations, logits=logits
    )


def _shares(pack: Pack, width: int, *, is_shared: bool) -> Iterator[_Share]:
    """Yield what a pack takes at once; ``scores`` in bytes for each word of the vocabulary."""
    if is_shared:
        own = pack.token_count - len(pack.prefix)
        yield _Share(own, pack.token_count, pack.token_count, pack.answer_token_count * _LOGIT_BYTES)
        return
    for rows in row_slices(pack):
        longest = len(pack.prefix) + max(len(pack.branches[row].ids) for row in rows)
        own = longest * len(rows)
        learnt = sum(pack.branches[row].answer_token_count for row in rows)
        yield _Share(own, longest, own, 2 * own * width + learnt * (_LOGIT_BYTES - 2))


def refuse_too_much(plan: MemoryPlan, free: int, settings: TrainSettings) -> None:
    """Refuse what does not fit.

    Raises:
        ResourceError: with the arithmetic and what would help.
    """
    limit = settings.memory_mebibytes * MEBIBYTE or free
    if plan.total <= limit:
        return
    helps = []
    if plan.activations:
        helps.append(f"a lower [train] step_tokens (now {settings.step_tokens})")
        if not settings.activation_checkpointing:
            helps.append("activation_checkpointing = true")
    if settings.quantize == "none":
        helps.append('[train] quantize = "nf4"')
    about = "about" if plan.activations else "at least"
    source = "[train] memory_mebibytes allows" if settings.memory_mebibytes else "free are"
    raise ResourceError(
        f"training needs {about} {plan.describe()}, {source} {_gib(limit)}; what helps: "
        f"{' or '.join([*helps, 'a smaller base model'])}"
    )


def free_memory(process_count: int = 1) -> int:
    """Return how many bytes this process may still take: of the GPU, else its share of the machine or group.

    Args:
        process_count: how many train together on this machine.
    """
    import psutil
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    free = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError, KeyError):
        free = min(free, group_memory(Path("/sys/fs/cgroup")))
    return free // process_count


def group_memory(group: Path) -> int:
    """Return how many bytes a control group may still take; files that it only keeps in memory make room."""
    limit = int((group / "memory.max").read_text())
    kept = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return limit - int((group / "memory.current").read_text()) + int(kept["inactive_file"])


def reset_peak() -> None:
    """Let the peak be counted from now on, where the system can."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Return the most bytes held at once: on the GPU where there is one, else by the process."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    with contextlib.suppress(OSError, StopIteration, IndexError):
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
