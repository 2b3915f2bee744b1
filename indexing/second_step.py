"""From the row of a code that a question names to the row of what that row names.

"Which part do I order for F05, and what does it cost?" needs two places: the fault's row, which names the
part, and the part's row in the price list, which holds neither the fault nor what is said of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from assistant.core.records import Chunk
from assistant.core.sentences import numbers
from indexing.codes import CodeIndex, codes_of

# measured on the sample suite and its paraphrases: where the price or the number of a part is asked for, its
# row has .40 to .96 by itself; where only the fault is, it is below .30 or no candidate, but for one of .52
_LEAST = 0.4
_PLACE = 1


def second_step(
    question: str,
    codes: CodeIndex,
    explaining: Iterable[Chunk],
    chunks: Mapping[int, Chunk],
    scores: Mapping[int, float],
) -> int | None:
    """Return the number of the candidate that explains what the rows of the question's codes name.

    It must resemble the question by itself: to one that asks for the fault alone the part's price is no
    help. One whose row holds a figure comes first, since a row without one repeats what the fault's row says.

    Args:
        question: as it is searched for.
        codes: of the snapshot.
        explaining: the chunks that explain the question's codes.
        chunks: number → candidate.
        scores: number → fused score of each candidate, from 0 to 1.

    Returns:
        None where there is none.
    """
    lines = [line for chunk in explaining for line in chunk.text.splitlines()]
    named: defaultdict[int, set[str]] = defaultdict(set)
    for other in {other for code in codes.known(question) for other in codes.beside(code, lines)}:
        for number in codes.explaining(other):
            named[number].add(other)
    near = [number for number in named if scores.get(number, 0.0) >= _LEAST]
    return max(
        near,
        key=lambda number: (_holds_figure(chunks[number].text, named[number]), scores[number], -number),
        default=None,
    )


def with_second_step(order: Sequence[int], step: int) -> list[int]:
    """Return an order with the step in its second place, behind what explains the question's code best."""
    rest = [number for number in order if number != step]
    return [*rest[:_PLACE], step, *rest[_PLACE:]]


def _holds_figure(text: str, named: set[str]) -> bool:
    return any(numbers(line) for line in text.splitlines() if named & set(codes_of(line)))
