"""The loss of a pack, in two ways: with its shared prefix computed once, or each example as a row of its own.

The first is fast but needs an architecture that takes a mask for each pair of tokens and goes on from
given keys and values. ``choose_loss`` tries it on the data at hand against the second, which any causal
language model computes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from assistant.core.errors import ModelError
from training.rendering import Pack, pack_tensors

if TYPE_CHECKING:
    import torch

ROW_TOKENS = 2048
# rounding moves a token's loss in bf16 by a percent; seeing too much or standing elsewhere by far more
LEAST_LOSS = 0.5
TOLERANCE = {"bfloat16": 0.06, "float32": 2e-3}


class PackLoss(Protocol):
    """Computes the loss of packs."""

    def parts(self, pack: Pack) -> Iterator[torch.Tensor]:
        """Yield tensors whose sum is the pack's loss; each may be taken backward before the next."""


class SharedPrefix:
    """The prefix once, all examples behind it as branches.

    The prefix is read without gradients: its keys and values are exact, only the gradient through
    them is cut, which takes half the time of a step. The output head is applied at the answers'
    positions only; over all positions its 152k-wide logits would be gigabytes.

    Args:
        model: causal language model of transformers.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def parts(self, pack: Pack) -> Iterator[torch.Tensor]:
        """Yield the whole pack's loss."""
        tensors = self._tensors(pack)
        losses = self._losses(tensors)
        yield (losses * tensors["weights"]).sum() / tensors["weights"].sum()

    def token_losses(self, pack: Pack) -> torch.Tensor:
        """Return the loss of each learnt token."""
        return self._losses(self._tensors(pack))

    def _tensors(self, pack: Pack) -> dict[str, torch.Tensor]:
        tensors = pack_tensors(pack, self._model.dtype)
        return {name: rows.to(self._model.device) for name, rows in tensors.items()}

    def _losses(self, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
        import torch

        with torch.no_grad():
            # without the output head: for the view of one position it copies its matrix, half a second
            read = self._model.base_model(input_ids=tensors["prefix_ids"], use_cache=True)
        logits = self._model(
            input_ids=tensors["input_ids"],
            position_ids=tensors["position_ids"],
            attention_mask=tensors["attention_mask"],
            past_key_values=_frozen(read.past_key_values),
            use_cache=True,
            logits_to_keep=tensors["predictors"],
        ).logits[0]
        return torch.nn.functional.cross_entropy(logits.float(), tensors["targets"], reduction="none")


class PlainRows:
    """Each example by itself, rows of like length padded together.

    Args:
        model: causal language model of transformers.
        pad_id: token of the padding.
    """

    def __init__(self, model: Any, pad_id: int) -> None:
        self._model = model
        self._pad_id = pad_id

    def parts(self, pack: Pack) -> Iterator[torch.Tensor]:
        """Yield the loss of as many rows as are computed together."""
        total = sum(branch.token_weight * branch.answer_token_count for branch in pack.branches)
        for rows in row_slices(pack):
            losses = self._row_losses(pack, rows)
            weights = [pack.branches[row].token_weight for row in rows]
            weighted = [loss.sum() * weight for loss, weight in zip(losses, weights, strict=True)]
            yield sum(weighted[1:], weighted[0]) / total

    def token_losses(self, pack: Pack) -> torch.Tensor:
        """Return the loss of each learnt token, in the order of the branches."""
        import torch

        return torch.cat(self._row_losses(pack, list(range(len(pack.branches)))))

    def _row_losses(self, pack: Pack, rows: Sequence[int]) -> list[torch.Tensor]:
        import torch

        width = len(pack.prefix) + max(len(pack.branches[row].ids) for row in rows)
        ids = torch.full((len(rows), width), self._pad_id)
        seen = torch.zeros(len(rows), width, dtype=torch.long)
        for place, row in enumerate(rows):
            tokens = torch.tensor([*pack.prefix, *pack.branches[row].ids])
            ids[place, : len(tokens)] = tokens
            seen[place, : len(tokens)] = 1
        device = self._model.device
        logits = self._model(input_ids=ids.to(device), attention_mask=seen.to(device), use_cache=False).logits
        places: list[int] = []
        positions: list[int] = []
        counts: list[int] = []
        for place, row in enumerate(rows):
            start = len(pack.prefix) + pack.branches[row].answer_start
            end = len(pack.prefix) + len(pack.branches[row].ids)
            places.extend([place] * (end - start))
            positions.extend(range(start, end))
            counts.append(end - start)
        where, learnt = torch.tensor(places), torch.tensor(positions)
        # taken at once: row by row, each would bring a gradient as large as all scores together
        scores = logits[where.to(device), (learnt - 1).to(device)].float()
        targets = ids[where, learnt].to(device)
        losses = torch.nn.functional.cross_entropy(scores, targets, reduction="none")
        return list(torch.split(losses, counts))


def row_slices(pack: Pack) -> Iterator[list[int]]:
    """Yield the branches that are padded and computed together, those of like length."""
    rows: list[int] = []
    for row in sorted(range(len(pack.branches)), key=lambda index: len(pack.branches[index].ids)):
        width = len(pack.prefix) + len(pack.branches[row].ids)
        if rows and width * (len(rows) + 1) > ROW_TOKENS:
            yield rows
            rows = []
        rows.append(row)
    yield rows


def choose_loss(model: Any, packs: Sequence[Pack], pad_id: int, *, has_windows: bool) -> PackLoss:
    """Return the fast loss if this architecture computes it rightly, else the plain one.

    Tried on the shortest pack of several examples. A model with windows sees of a long prefix its last
    tokens only, which a mask for all layers alike cannot say.
    """
    import torch

    plain = PlainRows(model, pad_id)
    if has_windows or not packs:
        return plain
    fast = SharedPrefix(model)
    several = [pack for pack in packs if len(pack.branches) > 1] or list(packs)
    shortest = min(several, key=lambda pack: pack.token_count)
    probe = Pack(prefix=shortest.prefix, branches=shortest.branches[:2])
    with torch.no_grad():
        expected = plain.token_losses(probe)
        try:
            found = fast.token_losses(probe)
        except (AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError):
            return plain  # what a foreign architecture says to arguments that it does not know
    tolerance = TOLERANCE["float32" if model.dtype == torch.float32 else "bfloat16"]
    return fast if agree(found, expected, tolerance) else plain


def agree(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> bool:
    """Return whether two ways give the same losses but for rounding.

    Answers that the base knows already have losses near zero, where rounding is a large share.
    """
    scale = max(float(expected.mean()), LEAST_LOSS)
    return float((found - expected).abs().mean()) <= tolerance * scale


def checkpoint_activations(model: Any) -> None:
    """Let each layer compute its activations again in the backward pass instead of keeping them.

    transformers' own way gives up given keys and values, which the shared prefix needs.

    Raises:
        ModelError: the model's layers are not found.
    """
    import torch

    count = model.config.num_hidden_layers
    lists = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == count]
    if not lists:
        raise ModelError(
            f"[train] activation_checkpointing: no list of {count} layers is found in this base model "
            f"({type(model).__name__}); without it a lower step_tokens takes less memory"
        )
    for layer in lists[0]:
        layer.forward = functools.partial(_checkpointed, layer.forward)


def _checkpointed(forward: Any, *args: Any, **kwargs: Any) -> Any:
    import torch
    from torch.utils.checkpoint import checkpoint

    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)


def _frozen(cache: Any) -> Any:
    """Return a cache with the same keys and values to which nothing is added: a layer may run twice."""
    from transformers import Cache

    layers = []
    for layer in cache.layers:
        frozen = _frozen_class()()
        frozen.keys, frozen.values, frozen.is_initialized = layer.keys, layer.values, True
        layers.append(frozen)
    return Cache(layers=layers)


@functools.cache
def _frozen_class() -> Any:
    import torch
    from transformers.cache_utils import DynamicLayer

    def update(self: Any, keys: Any, values: Any, *_: object, **__: object) -> tuple[Any, Any]:
        return torch.cat([self.keys, keys], dim=-2), torch.cat([self.values, values], dim=-2)

    return type("FrozenLayer", (DynamicLayer,), {"update": update})
