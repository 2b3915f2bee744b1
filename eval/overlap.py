"""Whether a suite asks what was trained on: the check that keeps synthesis clean, the other way round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from assistant.core.errors import InputError
from assistant.core.records import Case, Example, Record
from training.decontamination import LEAK, HeldOut

ROWS_NAMED = 10


class Overlap(Record, frozen=True, kw_only=True):
    """A question of a suite that was trained on, or nearly so.

    Attributes:
        case_id: the case.
        question: of the suite, or the paraphrase that is near.
        example_id: the example that was trained on.
        trained: its question.
        likeness: from ``training.decontamination.LEAK`` to 1.
    """

    case_id: str
    question: str
    example_id: str
    trained: str
    likeness: float


def find_overlaps(suite: Sequence[Case], examples: Iterable[Example]) -> tuple[Overlap, ...]:
    """Return the cases near an example, each with the nearest, in the suite's order."""
    held_out = HeldOut(suite)
    asked_by: defaultdict[str, list[str]] = defaultdict(list)
    for case in suite:
        for text in (case.question, *case.paraphrases):
            asked_by[text].append(case.id)
    nearest: dict[str, Overlap] = {}
    for example in examples:
        trained = _question(example)
        likeness, text = held_out.nearest(trained)
        if likeness < LEAK:
            continue
        for case_id in asked_by[text]:
            if case_id not in nearest or likeness > nearest[case_id].likeness:
                nearest[case_id] = Overlap(
                    case_id=case_id,
                    question=text,
                    example_id=example.id,
                    trained=trained,
                    likeness=round(likeness, 3),
                )
    return tuple(nearest[case.id] for case in suite if case.id in nearest)


def require_held_out(suite: Sequence[Case], examples: Iterable[Example], dataset: str) -> None:
    """Refuse a suite of which something was trained on.

    Raises:
        InputError: naming the cases and the examples.
    """
    found = find_overlaps(suite, examples)
    if found:
        raise InputError(
            f"{len(found)} of {len(suite)} questions of the suite stand in dataset {dataset}, which the "
            f"adapter was tuned on, so that they would measure memory:\n{overlap_lines(found)}",
            next_command="deskmate synth --held-out SUITE, then deskmate train",
        )


def overlap_lines(found: Sequence[Overlap]) -> str:
    """Return the overlaps, one a line, 10 at most."""
    lines = [
        f"  {row.case_id!r} {row.question!r} is example {row.example_id} {row.trained!r} ({row.likeness:.2f})"
        for row in found[:ROWS_NAMED]
    ]
    if len(found) > ROWS_NAMED:
        lines.append(f"  and {len(found) - ROWS_NAMED} more")
    return "\n".join(lines)


def _question(example: Example) -> str:
    """Return what was asked last; the last turn is the answer."""
    return next((turn.content for turn in reversed(example.messages) if turn.role == "user"), "")
