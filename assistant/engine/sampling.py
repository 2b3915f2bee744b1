"""From a row's scores to its next token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assistant.engine.protocol import GenerationRequest

if TYPE_CHECKING:
    import torch


def make_generator(request: GenerationRequest) -> torch.Generator | None:
    """Return the row's own source of chance, None where the choice is greedy."""
    import torch

    if request.temperature <= 0:
        return None
    generator = torch.Generator()
    if request.seed is None:
        generator.seed()
    else:
        generator.manual_seed(request.seed)
    return generator


def choose(
    scores: torch.Tensor,
    requests: Sequence[GenerationRequest],
    generators: Sequence[torch.Generator | None],
) -> list[int]:
    """Return the next token of each row.

    Args:
        scores: shape (rows, vocabulary).
        requests: one per row.
        generators: one per row, None is greedy.
    """
    # not argmax, which takes four times as long for bfloat16
    tokens: list[int] = scores.max(-1).indices.tolist()
    for row, (request, generator) in enumerate(zip(requests, generators, strict=True)):
        if generator is not None:
            tokens[row] = _sample(scores[row], request, generator)
    return tokens


def _sample(scores: torch.Tensor, request: GenerationRequest, generator: torch.Generator) -> int:
    import torch

    shares = torch.softmax(scores.float().cpu() / request.temperature, -1)
    if request.top_p < 1:
        ordered, order = shares.sort(descending=True)
        # a token stays while the ones before it do not yet fill the nucleus: the first always stays
        ordered[ordered.cumsum(-1) - ordered >= request.top_p] = 0
        return int(order[torch.multinomial(ordered, 1, generator=generator)])
    return int(torch.multinomial(shares, 1, generator=generator))
