"""Which of many good pairs are taken: in turn over languages, documents and chunks; splits by document."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from assistant.core.ids import content_id
from assistant.core.records import Split
from training.pairs import Pair

_SPLIT_STEPS = 10_000
_LEAST_SHARED = 8


def choose_balanced(
    pairs: Sequence[Pair], count: int, document_share: float, rng: random.Random
) -> list[int]:
    """Return the places of at most ``count`` pairs, in their order.

    They are taken in turn over languages, in each over its documents, in each over its chunks, so that
    none crowds out the others; no document gives more than ``document_share`` where there are several.

    Args:
        pairs: to choose from.
        count: most pairs.
        document_share: of ``count``, most of one document.
        rng: breaks ties.
    """
    documents = {pair.chunk.document for pair in pairs}
    most = count if len(documents) < 2 else max(_LEAST_SHARED, round(document_share * count))  # noqa: PLR2004
    order = list(range(len(pairs)))
    rng.shuffle(order)
    taken: dict[str, int] = {}
    chosen: list[int] = []
    for place in _in_turn(order, [_language(pairs), _document(pairs), _chunk(pairs)]):
        document = pairs[place].chunk.document
        if len(chosen) >= count:
            break
        if taken.get(document, 0) < most:
            taken[document] = taken.get(document, 0) + 1
            chosen.append(place)
    return sorted(chosen)


def split_of(documents: Sequence[str], valid_share: float, test_share: float, seed: int) -> Split:
    """Return the split of an example: that of its first document, the same in every dataset of a seed."""
    if not documents or valid_share + test_share <= 0:
        return "train"
    drawn = int(content_id(str(seed), documents[0]), 16) % _SPLIT_STEPS / _SPLIT_STEPS
    if drawn < test_share:
        return "test"
    return "valid" if drawn < test_share + valid_share else "train"


def _in_turn(places: Sequence[int], keys: Sequence[Callable[[int], str]]) -> list[int]:
    if not keys:
        return list(places)
    groups: dict[str, list[int]] = {}
    for place in places:
        groups.setdefault(keys[0](place), []).append(place)
    queues = [_in_turn(group, keys[1:])[::-1] for group in groups.values()]
    ordered: list[int] = []
    while queues:
        ordered.extend(queue.pop() for queue in queues)
        queues = [queue for queue in queues if queue]
    return ordered


def _language(pairs: Sequence[Pair]) -> Callable[[int], str]:
    return lambda place: pairs[place].chunk.language


def _document(pairs: Sequence[Pair]) -> Callable[[int], str]:
    return lambda place: pairs[place].chunk.document


def _chunk(pairs: Sequence[Pair]) -> Callable[[int], str]:
    return lambda place: pairs[place].chunk.id
