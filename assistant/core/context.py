"""From passages to the context of a prompt: a budget of tokens, in a stable order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from assistant.core.records import Passage


def choose_context(
    passages: Sequence[Passage], count_tokens: Callable[[str], int], *, max_passages: int, max_tokens: int
) -> tuple[Passage, ...]:
    """Take the best passages that fit the budget, sorted by document and position.

    The order does not depend on the question's wording, so that an engine's prefix cache can work;
    at least the best passage is always taken.
    """
    chosen: list[Passage] = []
    left = max_tokens
    for passage in passages:
        if chosen and len(chosen) >= max_passages:
            break
        cost = count_tokens(passage.chunk.text) + count_tokens(" › ".join(passage.chunk.heading_path)) + 8
        if chosen and cost > left:
            continue
        chosen.append(passage)
        left -= cost
    return tuple(sorted(chosen, key=lambda p: (p.chunk.document, p.chunk.position)))
