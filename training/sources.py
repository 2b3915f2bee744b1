"""Pairs that people wrote: corrections from feedback and FAQ, from JSON Lines files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from assistant.core.errors import InputError
from assistant.core.jsonl import read_jsonl
from assistant.core.language import Language, detect_language
from assistant.core.records import Record
from assistant.core.settings_synth import Weight

GivenKind = Literal["correction", "faq"]
# what a person has put right counts most; see docs/decisions/0019-instruction-data.md
WEIGHTS: dict[GivenKind, float] = {"correction": 3.0, "faq": 2.0}


class GivenPair(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A pair that a person wrote; further fields of a line are ignored.

    Attributes:
        question: as asked.
        answer: right, in a person's words.
        kind: ``correction`` of an answer, or ``faq``.
        document: path of the document it belongs to, if known.
        weight: against generated pairs, above 0; that of its kind if not said.
    """

    question: str
    answer: str
    kind: GivenKind = "correction"
    document: str = ""
    weight: Weight | None = None

    @property
    def language(self) -> Language:
        """Of the question."""
        return detect_language(self.question)

    @property
    def strength(self) -> float:
        """Its weight."""
        return WEIGHTS[self.kind] if self.weight is None else self.weight


def read_given_pairs(paths: Sequence[Path]) -> tuple[GivenPair, ...]:
    """Read pairs; of the same question the last answer counts, as a later correction would.

    Raises:
        InputError: a line is no pair, or lacks its question or answer; the message names file and line.
    """
    found: dict[str, GivenPair] = {}
    for path in paths:
        for number, pair in enumerate(read_jsonl(path, GivenPair), 1):
            if not pair.question.strip() or not pair.answer.strip():
                raise InputError(f"{path}, row {number}: question or answer is empty")
            found["".join(pair.question.split()).lower()] = pair
    return tuple(found.values())
