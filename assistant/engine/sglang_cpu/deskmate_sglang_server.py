"""``python -m deskmate_sglang_server``: SGLang's own server on a torch without CUDA.

Each process that the server spawns imports its main module again, so what is done here holds in them too.
"""

from __future__ import annotations

import os
import runpy
from typing import Any

import torch  # noqa: TID253 - runs in SGLang's process only

os.environ.setdefault("SGLANG_USE_CPU_ENGINE", "1")

# torchvision's wheel is linked to CUDA: beside a torch without it the operators do not load, and then
# registering their fake versions fails for want of the schemas, which are all that is needed
_OPERATORS: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
for _name in ("nms", "qnms"):
    _OPERATORS.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

if __name__ == "__main__":
    runpy.run_module("sglang.launch_server", run_name="__main__", alter_sys=False)
