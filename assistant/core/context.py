"""From passages to the context of a prompt: what stands together, a budget of tokens, a stable order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from assistant.core.records import Chunk, Passage

# measured on nine sets of questions (docs/experiments.md): shares from .2 to .4 are alike, .5 is worse;
# the first four are those that an answer's context holds
_LEADING = 4
_LEAST_SHARE = 0.4


def choose_context(
    passages: Sequence[Passage],
    count_tokens: Callable[[str], int],
    *,
    max_passages: int,
    max_tokens: int,
    first: int = 1,
) -> tuple[Passage, ...]:
    """Take the best passages that fit the budget, neighbours together, sorted by document and position.

    The order does not depend on the question's wording, so that an engine's prefix cache can work;
    at least the best passage is always taken.

    Args:
        passages: best first.
        count_tokens: of a text.
        max_passages: most passages taken.
        max_tokens: most tokens that they take together.
        first: so many passages come before any neighbour.
    """
    chosen: list[Passage] = []
    left = max_tokens
    for passage in beside_each_other(passages, first):
        if chosen and len(chosen) >= max_passages:
            break
        cost = count_tokens(passage.chunk.text) + count_tokens(" › ".join(passage.chunk.heading_path)) + 8
        if chosen and cost > left:
            continue
        chosen.append(passage)
        left -= cost
    return tuple(sorted(chosen, key=lambda p: (p.chunk.document, p.chunk.position)))


def beside_each_other(passages: Sequence[Passage], first: int = 1) -> list[Passage]:
    """Return the passages, best first, the first four followed by those beside them in their sections.

    A long explanation is cut into several chunks, and the question finds all of them, but one far better than
    the others. A neighbour comes forward if it was found itself, with .4 of the best passage's score or more.

    Args:
        passages: best first.
        first: so many come before any neighbour.
    """
    if not passages:
        return []
    at = {(_section(p.chunk), p.chunk.position): p for p in passages}
    least = _LEAST_SHARE * passages[0].score
    ordered = {passage.chunk.id: passage for passage in passages[:first]}
    for place, passage in enumerate(passages):
        ordered.setdefault(passage.chunk.id, passage)
        for step in (1, -1) if place < _LEADING else ():
            near = at.get((_section(passage.chunk), passage.chunk.position + step))
            if near and near.score >= least:
                ordered.setdefault(near.chunk.id, near)
    return list(ordered.values())


def _section(chunk: Chunk) -> tuple[str, ...]:
    return (chunk.document, *chunk.heading_path)
