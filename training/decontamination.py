"""Held-out questions: nothing that repeats one may be trained on."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from assistant.core.records import Case

if TYPE_CHECKING:
    from indexing.embedding import Embedder

LEAK = 0.6
GRAM = 5
# on the sample suite none of 8,928 pairs of different questions reach it, and 8 % of rewordings of one;
# questions about other codes resemble each other by form, so the codes must be the same
ALIKE = 0.95
_LEAST_LETTERS = 8
_CODE = re.compile(r"[A-Z]{1,4}-?\d{1,5}")


class HeldOut:
    """The questions of the suites, in all their wordings.

    Args:
        cases: of all suites.
    """

    def __init__(self, cases: Sequence[Case] = ()) -> None:
        self.questions = tuple(
            dict.fromkeys(text for case in cases for text in (case.question, *case.paraphrases))
        )
        self._grams = [grams(text) for text in self.questions]
        self._letters = [_letters(text) for text in self.questions]
        self._holding: dict[str, list[int]] = defaultdict(list)
        for place, found in enumerate(self._grams):
            for gram in found:
                self._holding[gram].append(place)

    def nearest(self, question: str) -> tuple[float, str]:
        """Return how near a question is to a held-out one, from 0 to 1, and that one.

        The Jaccard index of character 5-grams; 1 where a held-out question stands in it almost whole.
        """
        mine = grams(question)
        shared = Counter(place for gram in mine for place in self._holding.get(gram, ()))
        best, text = 0.0, ""
        bare = _letters(question)
        for place, count in shared.items():
            size = len(self._grams[place])
            value = count / (len(mine) + size - count)
            if len(self._letters[place]) >= _LEAST_LETTERS and self._letters[place] in bare:
                value = 1.0
            if value > best:
                best, text = value, self.questions[place]
        return best, text

    def alike(self, questions: Sequence[str], embedder: Embedder) -> dict[int, tuple[float, str]]:
        """Return place → likeness and held-out question for those that mean the same, by embedding."""
        if not questions or not self.questions:
            return {}
        mine = embedder.embed_queries(list(questions))
        theirs = embedder.embed_queries(list(self.questions))
        found = {}
        for place, row in enumerate(mine @ theirs.T):
            codes = set(_CODE.findall(questions[place]))
            for best in row.argsort()[::-1].tolist():
                if row[best] < ALIKE:
                    break
                if set(_CODE.findall(self.questions[best])) == codes:
                    found[place] = (float(row[best]), self.questions[best])
                    break
        return found


def grams(text: str) -> frozenset[str]:
    """Return the character 5-grams of a text without white space, lower-cased."""
    plain = "".join(text.lower().split())
    return frozenset(plain[i : i + GRAM] for i in range(max(1, len(plain) - GRAM + 1)))


def jaccard(first: Iterable[str], second: Iterable[str]) -> float:
    """Return what two sets share of all that they hold."""
    one, other = frozenset(first), frozenset(second)
    union = len(one | other)
    return len(one & other) / union if union else 0.0


def _letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())
