"""Filters over pairs, each counted and explained, with rejects to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from assistant.core.records import Case, Example, Record
from assistant.core.settings import PersonalDataPolicy
from indexing.personal_patterns import find_personal_data
from training.checks import CORE, Verdict, check_pair
from training.decontamination import LEAK, HeldOut, grams, jaccard
from training.pairs import NO_CHUNK, Pair
from training.repetition import exact_key

NEAR_DUPLICATE = 0.8
REJECTS_KEPT = 12
MADE, KEPT = "made", "kept"
_HELD_OUT = "held-out question"
REAL = frozenset({"ticket", "dialogue"})


class Rejected(Record, frozen=True, kw_only=True):
    """A pair that was turned away, to be read by a person."""

    reason: str
    detail: str
    recipe: str
    question: str
    answer: str
    document: str
    teacher: str


class PairFilter:
    """Keeps good pairs and counts the others by reason.

    Args:
        held_out: cases that nothing may be trained on.
        personal: what happens to a pair with personal data; ``keep`` lets it pass.

    Attributes:
        rejected: reason → pairs.
        table: recipe → ``made``, ``kept`` and each reason → pairs; a line ``… (rows)`` holds rows of the core
            that were turned away.
        rejects: some of each reason.
    """

    def __init__(self, held_out: Sequence[Case] = (), personal: PersonalDataPolicy = "keep") -> None:
        self.rejected: Counter[str] = Counter()
        self.table: dict[str, Counter[str]] = {}
        self.rejects: list[Rejected] = []
        self.held_out = HeldOut(held_out)
        self._personal = personal
        self._seen: dict[str, list[frozenset[str]]] = {}
        self._asked: dict[str, str] = {}
        self._left_out: set[tuple[str, str]] = set()

    def keep(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Return the pairs that pass, in order."""
        kept = []
        for pair in pairs:
            self._count(pair, MADE)
            verdict = self.verdict(pair)
            if verdict is None:
                kept.append(pair)
                self._count(pair, KEPT)
            else:
                self._note(pair, verdict)
        return kept

    def drop(self, pairs: Sequence[Pair], verdicts: Mapping[int, Verdict]) -> list[Pair]:
        """Return pairs that were kept before without those at the places that are turned away now."""
        for place, verdict in verdicts.items():
            self.table.setdefault(pairs[place].recipe, Counter())[KEPT] -= 1
            self._note(pairs[place], verdict)
        return [pair for place, pair in enumerate(pairs) if place not in verdicts]

    def leave_out(self, pair: Pair, verdict: Verdict) -> None:
        """Turn away a recipe's pair that was kept before: once, however many rows were made of it."""
        if (pair.recipe, pair.question) not in self._left_out:
            self._left_out.add((pair.recipe, pair.question))
            self.drop([pair], {0: verdict})

    def leave_out_row(self, row: Example, verdict: Verdict) -> None:
        """Turn away a row of the core, whose pairs are kept; it stands in a line of its own in the table."""
        source = msgspec.structs.replace(NO_CHUNK, document=", ".join(row.documents))
        question, answer = (turn.content for turn in row.messages[-2:])
        pair = Pair(
            question=question, answer=answer, chunk=source, recipe=f"{row.recipe} (rows)", teacher=row.teacher
        )
        self._count(pair, MADE)
        self._note(pair, verdict)

    def verdict(self, pair: Pair) -> Verdict | None:
        """Return why a pair is turned away, None if it is kept (and remembered against duplicates)."""
        # personal data first: what another filter turns away is shown to people
        verdict = self._person(pair) or check_pair(pair) or self._repeats(pair)
        if verdict is None:
            self._seen.setdefault(pair.chunk.id, []).append(grams(pair.question + pair.answer))
            if pair.recipe not in REAL:  # a recipe may give what people asked a weight of its own
                self._asked.setdefault(exact_key(pair), pair.answer)
        return verdict

    def without_leaks(self, rows: Iterable[Example]) -> list[Example]:
        """Return the core's rows without those whose question is near a held-out one."""
        kept = []
        for row in rows:
            likeness, question = self.held_out.nearest(row.messages[-2].content)
            if likeness >= LEAK:
                self.leave_out_row(row, Verdict(_HELD_OUT, f"{likeness:.2f}: {question}"))
            else:
                kept.append(row)
        return kept

    def _person(self, pair: Pair) -> Verdict | None:
        if self._personal == "keep":
            return None
        found = find_personal_data(f"{pair.question}\n{pair.answer}")
        kinds = ", ".join(sorted({finding.kind for finding in found}))
        return Verdict("personal data", kinds) if found else None

    def _repeats(self, pair: Pair) -> Verdict | None:
        likeness, question = self.held_out.nearest(pair.question)
        if likeness >= LEAK:
            return Verdict(_HELD_OUT, f"{likeness:.2f}: {question}")
        if pair.recipe in CORE:
            mine = grams(pair.question + pair.answer)
            if any(jaccard(mine, other) >= NEAR_DUPLICATE for other in self._seen.get(pair.chunk.id, [])):
                return Verdict("near duplicate")
            return None
        answered = self._asked.get(exact_key(pair))
        if answered is None:
            return None
        return Verdict(
            "exact duplicate" if answered == pair.answer else "same question, other answer", answered
        )

    def _note(self, pair: Pair, verdict: Verdict) -> None:
        self.rejected[verdict.reason] += 1
        self._count(pair, verdict.reason)
        if self.rejected[verdict.reason] <= REJECTS_KEPT:
            self.rejects.append(
                Rejected(
                    reason=verdict.reason,
                    detail="" if verdict.reason == "personal data" else verdict.detail,
                    recipe=pair.recipe,
                    question="" if verdict.reason == "personal data" else pair.question,
                    answer="" if verdict.reason == "personal data" else pair.answer,
                    document=pair.chunk.document,
                    teacher=pair.teacher,
                )
            )

    def _count(self, pair: Pair, name: str) -> None:
        self.table.setdefault(pair.recipe, Counter())[name] += 1
