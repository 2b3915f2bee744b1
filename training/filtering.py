"""Filters over pairs, each counted: grounded in the chunk, no duplicate, nothing from a held-out suite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from assistant.core.language import detect_language
from assistant.core.records import Case
from assistant.core.sentences import numbers, support, terms
from training.pairs import Pair

MIN_GROUNDED = 0.75
NEAR_DUPLICATE = 0.8
LEAK = 0.6
GRAM = 5
MIN_QUESTION_CHARACTERS = {"en": 8, "zh": 4}
MAX_QUESTION_CHARACTERS = 300


class PairFilter:
    """Keeps good pairs and counts the others by reason.

    Args:
        held_out: cases that nothing may be trained on.
    """

    def __init__(self, held_out: Sequence[Case] = ()) -> None:
        self.rejected: Counter[str] = Counter()
        self._held_out = [grams(text) for case in held_out for text in (case.question, *case.paraphrases)]
        self._seen: dict[str, list[frozenset[str]]] = {}

    def keep(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Return the pairs that pass, in order."""
        kept = []
        for pair in pairs:
            reason = self.reason(pair)
            if reason is None:
                kept.append(pair)
            else:
                self.rejected[reason] += 1
        return kept

    def reason(self, pair: Pair) -> str | None:
        """Return why a pair is rejected, None if it is kept (and remembered against duplicates)."""
        reason = _form(pair) or self._repeats(pair)
        if reason is None:
            self._seen.setdefault(pair.chunk.id, []).append(grams(pair.question + pair.answer))
        return reason

    def is_leak(self, question: str) -> bool:
        """Return whether a question is near a held-out one: character 5-gram Jaccard of 0.6 or more."""
        mine = grams(question)
        return any(_jaccard(mine, other) >= LEAK for other in self._held_out)

    def _repeats(self, pair: Pair) -> str | None:
        if self.is_leak(pair.question):
            return "held-out question"
        mine = grams(pair.question + pair.answer)
        earlier = self._seen.get(pair.chunk.id, [])
        if any(_jaccard(mine, other) >= NEAR_DUPLICATE for other in earlier):
            return "near duplicate"
        return None


def _form(pair: Pair) -> str | None:
    question, answer, chunk = pair.question, pair.answer, pair.chunk
    evidence = " ".join((*chunk.heading_path, chunk.text))
    if not MIN_QUESTION_CHARACTERS[chunk.language] <= len(question) <= MAX_QUESTION_CHARACTERS:
        return "question too short or too long"
    if detect_language(question) != chunk.language:
        return "question in another language"
    if not numbers(answer) <= numbers(evidence):
        return "number not in the chunk"
    if pair.recipe in {"sentence", "table"} and support(answer, evidence + " " + question) < MIN_GROUNDED:
        return "answer not grounded"
    if pair.recipe == "sentence" and _is_vague(question, evidence):
        return "question not about the chunk"
    return None


def _is_vague(question: str, evidence: str) -> bool:
    """Return whether a question names too little of its chunk to be understood without it."""
    asked = terms(question)
    return len(asked & terms(evidence)) < max(1, len(asked) // 3)


def grams(text: str) -> frozenset[str]:
    """Return the character 5-grams of a text without white space, lower-cased."""
    plain = "".join(text.lower().split())
    return frozenset(plain[i : i + GRAM] for i in range(max(1, len(plain) - GRAM + 1)))


def _jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    union = len(first | second)
    return len(first & second) / union if union else 0.0
