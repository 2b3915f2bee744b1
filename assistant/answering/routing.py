"""Which way a question goes: a curated answer, a code's own entry, retrieval, the weights alone, a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from assistant.answering.abstention import declined, missing_words, nearest_sections, unknown_codes_text
from assistant.answering.events import Question
from assistant.answering.understanding import Understood
from assistant.core.prompts import render
from assistant.core.records import Citation, Filters, HandOverReason, Passage, Record, Route, Section
from indexing.codes import UnknownCode

# Share of questions that went right, by route: code on 50 fault codes, handing over on the sample suite and
# 500 product questions (docs/experiments.md). An answer from passages is measured itself.
_CODE_CONFIDENCE = 0.98
_HAND_OVER_CONFIDENCE: dict[HandOverReason, float] = {
    "orders_only": 0.95,
    "unknown_code": 0.97,
    "no_passages": 0.99,
    "no_evidence": 0.9,
}


class CuratedFound(Record, frozen=True, kw_only=True):
    """An answer that a person wrote for this question.

    Attributes:
        text: with marks ``[n]`` where it cites.
        citations: of the text.
        likeness: of the question to one that it was written for, 1 for the same.
        id: of the curated answer.
    """

    text: str
    citations: tuple[Citation, ...] = ()
    likeness: float = 1.0
    id: str = ""


class CuratedSource(Protocol):
    """Finds curated answers of one collection."""

    def match(self, question: str, filters: Filters) -> CuratedFound | None:
        """Return the curated answer that may be given under the filters, None if there is none."""


class CoverageSource(Protocol):
    """Tells what the documents cover; ``indexing.search.Searcher`` is the real one."""

    def evidence(self, query: str, passages: Sequence[Passage]) -> float:
        """Return how well the passages cover the query, from 0 to 1."""

    def unknown_codes(self, question: str, filters: Filters | None = None) -> tuple[UnknownCode, ...]:
        """Return codes of the question that look like those of the documents that pass and are none."""


class Decision(Record, frozen=True, kw_only=True):
    """The way of one question; without an engine ``text`` is the answer.

    Attributes:
        route: the way.
        text: what to say where the engine is not asked, else empty.
        curated: the curated answer, on that route.
        nearest: where to look instead, on the way to a person.
        missing: words of the question that no passage holds.
    """

    route: Route
    text: str = ""
    curated: CuratedFound | None = None
    nearest: tuple[Section, ...] = ()
    missing: tuple[str, ...] = ()


def route_before_search(
    understood: Understood, question: Question, curated: CuratedSource | None
) -> Decision | None:
    """Return the way of a question that needs no passages, None for others."""
    if not understood.text.strip():
        route = Route(name="hand_over", confidence=_HAND_OVER_CONFIDENCE["orders_only"], reason="orders_only")
        return Decision(route=route, text=render("orders_only", understood.language))
    # what leans on another question is not the one that the curated answer was written for
    found = (
        curated.match(understood.text, question.filters) if curated and not understood.is_follow_up else None
    )
    if found is None:
        return None
    route = Route(name="curated", confidence=round(found.likeness, 4), curated_id=found.id)
    return Decision(route=route, text=found.text, curated=found)


def route_passages(
    understood: Understood,
    question: Question,
    found: tuple[Passage, ...],
    coverage: CoverageSource,
    least_evidence: float,
) -> Decision:
    """Return the way of a question whose passages were looked for."""
    if not found:
        return _hand_over("no_passages", understood, found, 0.0)
    unknown = coverage.unknown_codes(understood.text, question.filters)
    if unknown:
        text = unknown_codes_text(understood.language, unknown)
        route = Route(
            name="hand_over", confidence=_HAND_OVER_CONFIDENCE["unknown_code"], reason="unknown_code"
        )
        return Decision(route=route, text=text, nearest=nearest_sections(found))
    # a follow-up may lean on the turn before or open a subject of its own
    asked = {understood.standalone, understood.text}
    evidence = max(coverage.evidence(query, found) for query in asked)
    if evidence < least_evidence:
        return _hand_over("no_evidence", understood, found, evidence)
    best = min(found, key=lambda passage: passage.rank)
    if best.is_code_match:
        return Decision(route=Route(name="code", confidence=_CODE_CONFIDENCE, evidence=evidence))
    return Decision(route=Route(name="retrieval", evidence=evidence))


def _hand_over(
    reason: HandOverReason, understood: Understood, found: tuple[Passage, ...], evidence: float
) -> Decision:
    nearest, missing = nearest_sections(found), missing_words(understood.text, found)
    return Decision(
        route=Route(
            name="hand_over", confidence=_HAND_OVER_CONFIDENCE[reason], evidence=evidence, reason=reason
        ),
        text=declined(understood.language, nearest, missing),
        nearest=nearest,
        missing=missing,
    )
