"""Answerable questions asked once more with what answers them hidden: then the right answer is a refusal.

A suite has few questions that the documents do not answer, and those are seldom near what they do. With the
passages that answer a question taken out of the search, its nearest neighbours stay: the hard case, and as
many of them as there are answerable questions.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from assistant.answering.pipeline import PassageSource
from assistant.core.records import Case, Chunk, Filters, Neighbours, Passage
from assistant.core.sentences import support
from eval.answers import holds_form
from eval.retrieval import is_right, shown_text
from indexing.codes import UnknownCode

SUFFIX = "-hidden"
# key of the filter that names the case; never reaches the index
_CASE = "case whose evidence is hidden"
# more passages are looked for than are wanted, in place of those that are hidden
_SPARE = 20
# a passage says what the answer says from here on; as training takes an oracle out of a context
_MIN_SUPPORT = 0.6
# with all key facts in it a passage needs to be about the matter only: "24" alone stands in many
_MIN_SUPPORT_WITH_FACTS = 0.3


def hidden_twins(suite: Sequence[Case]) -> list[Case]:
    """Return each answerable case once more with its evidence hidden; its answers say what to hide."""
    return [
        msgspec.structs.replace(
            case,
            id=case.id + SUFFIX,
            kind="hidden",
            answerable=False,
            hides_evidence=True,
            paraphrases=(),
            schema=None,
        )
        for case in suite
        if case.answerable and not case.hides_evidence
    ]


def hiding_filters(case: Case) -> Filters:
    """Return the filters that make a ``HidingSearcher`` hide what answers the case."""
    return {_CASE: case.id} if case.hides_evidence else {}


def answers_case(case: Case, chunk: Chunk) -> bool:
    """Return whether a chunk answers a case: it is right for a gold, or says what the answers say."""
    if any(is_right(gold, chunk) for gold in case.gold):
        return True
    text = shown_text(chunk)
    carried = max((support(answer, text) for answer in case.answers), default=0.0)
    if carried >= _MIN_SUPPORT:
        return True
    has_facts = all(any(holds_form(form, text) for form in forms) for forms in case.key_facts)
    return bool(case.key_facts) and has_facts and carried >= _MIN_SUPPORT_WITH_FACTS


class HidingSearcher:
    """A searcher that finds nothing which answers a case, where the filters name one.

    Args:
        searcher: finds.
        suite: the cases that may be named.
    """

    def __init__(self, searcher: PassageSource, suite: Sequence[Case]) -> None:
        self._searcher = searcher
        self._cases = {case.id: case for case in suite if case.hides_evidence}

    def search(
        self, query: str, top_k: int | None = None, filters: Filters | None = None
    ) -> tuple[Passage, ...]:
        """Return the best passages, best first."""
        return self.search_many([query], top_k, filters)[0]

    def search_many(
        self, queries: Sequence[str], top_k: int | None = None, filters: Filters | None = None
    ) -> list[tuple[Passage, ...]]:
        """Search for several queries at once."""
        case, others = self._read(filters)
        if case is None or top_k is None:
            return self._searcher.search_many(queries, top_k, others)
        found = self._searcher.search_many(queries, top_k + _SPARE, others)
        return [_ranked([p for p in row if not answers_case(case, p.chunk)][:top_k]) for row in found]

    def neighbours(self, passage: Passage, count: int, filters: Filters | None = None) -> Neighbours:
        """Return what stands around a passage; nothing on a side where evidence stands."""
        case, others = self._read(filters)
        found = self._searcher.neighbours(passage, count, others)
        if case is None:
            return found
        sides = [
            () if any(answers_case(case, chunk) for chunk in side) else side
            for side in (found.before, found.after)
        ]
        return Neighbours(before=sides[0], after=sides[1])

    def evidence(self, query: str, passages: Sequence[Passage]) -> float:
        """Return how well the passages cover the query, from 0 to 1."""
        return self._searcher.evidence(query, passages)

    def unknown_codes(self, question: str, filters: Filters | None = None) -> tuple[UnknownCode, ...]:
        """Return codes of the question that the documents do not know; a hidden one's row is known."""
        return self._searcher.unknown_codes(question, self._read(filters)[1])

    def _read(self, filters: Filters | None) -> tuple[Case | None, Filters | None]:
        if not filters or _CASE not in filters:
            return None, filters
        others = {key: values for key, values in filters.items() if key != _CASE}
        return self._cases[str(filters[_CASE])], others


def _ranked(passages: Sequence[Passage]) -> tuple[Passage, ...]:
    return tuple(msgspec.structs.replace(p, rank=rank) for rank, p in enumerate(passages, 1))
