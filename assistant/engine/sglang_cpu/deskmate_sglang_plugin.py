"""SGLang plugin (entry point group ``sglang.srt.plugins``): LoRA without pinned memory.

SGLang's LoRA code asks for pinned host memory whatever the device; a torch without CUDA has none. The name
``torch`` in those two modules stands for a view of torch whose factories ignore the wish. Torch itself is
left alone: with its own factories changed, models returned NaN.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch  # noqa: TID253 - runs in SGLang's process only

_FACTORIES = frozenset({"tensor", "empty", "zeros", "ones", "full", "arange"})
_MODULES = ("sglang.srt.lora.layers", "sglang.srt.lora.backend.torch_backend")


class _Unpinned:
    def __getattr__(self, name: str) -> Any:
        attribute = getattr(torch, name)
        if name not in _FACTORIES:
            return attribute

        def make(*values: Any, pin_memory: bool = False, **named: Any) -> Any:
            del pin_memory
            return attribute(*values, **named)

        return make


def activate() -> None:
    """Give the modules their view; called by SGLang in each of its processes."""
    if torch.cuda.is_available():
        return
    for module in _MODULES:
        importlib.import_module(module).torch = _Unpinned()  # type: ignore[attr-defined]
    torch.Tensor.pin_memory = lambda self, *_: self  # type: ignore[method-assign]
