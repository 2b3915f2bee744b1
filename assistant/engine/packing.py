"""Linear layers in the processor's own layout: the weights of a bfloat16 model, reordered once.

PyTorch reorders a bfloat16 matrix at every call. Measured on two cores of an EPYC with avx512_bf16, half
a billion weights: reordered ahead, a token costs 28 % less processor time in a stream and a batch 24 %.
The arithmetic is the same, only the order of additions differs. The output head is the largest of them: half
its time is saved, a fifth of a token's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


def pack_linear_layers(model: Any) -> int:
    """Reorder the linear layers of a model on the processor; the model can then only be run.

    An output head that shares its matrix with the embeddings is held twice from then on: rows cannot be
    looked up in the processor's layout. For 150 000 entries of 896 values that is 272 MB.

    Returns:
        How many layers were packed; 0 where this processor or this type of weights gains nothing.
    """
    import torch

    if not _can_pack(model):
        return 0
    embeddings = model.get_input_embeddings()
    layers = [layer for layer in model.modules() if type(layer) is torch.nn.Linear]
    with torch.no_grad():
        for layer in layers:
            layer.forward = _packed_forward(layer)  # type: ignore[method-assign, assignment]
            if layer.weight is not embeddings.weight:
                # PEFT asks the weight for its type and device only; its memory is held once, packed
                layer.weight = torch.nn.Parameter(layer.weight.new_empty(0), requires_grad=False)
    return len(layers)


def _can_pack(model: Any) -> bool:
    import torch

    operators = torch.ops.mkldnn
    return bool(
        model.device.type == "cpu"
        and model.dtype == torch.bfloat16
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(operators, "_linear_pointwise")
        and hasattr(operators, "_reorder_linear_weight")
        and operators._is_mkldnn_bf16_supported()  # noqa: SLF001 - what torch.compile asks
    )


def _packed_forward(layer: torch.nn.Linear) -> Callable[[torch.Tensor], torch.Tensor]:
    import torch

    run = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001 - what torch.compile emits
    weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), 1)  # noqa: SLF001
    bias = layer.bias

    def forward(states: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = run(states, weight, bias, "none", [], "")
        return result

    return forward
