"""Holds what an engine wrote against the passages that it was given, and makes the answer of it."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from assistant.answering.abstention import (
    declined,
    is_abstention,
    missing_words,
    nearest_sections,
    without_afterthought,
)
from assistant.answering.citations import cite, is_claim_grounded, is_grounded, statements, without_marks
from assistant.answering.code_rows import mend_codes
from assistant.answering.composing import Prepared
from assistant.answering.confidence import is_too_unsure, measure_confidence
from assistant.answering.extracts import extract
from assistant.answering.figures import mend_figures
from assistant.answering.formats import finish_formed, sanitise_formed
from assistant.answering.guarding import repeats_instructions
from assistant.answering.headings import answer_headings
from assistant.answering.sanitising import sanitise
from assistant.core.records import Answer, Citation, HandOverReason, Passage, Route, ToolCall, Usage
from assistant.core.sentences import split_sentences
from assistant.core.settings_answer import AnswerSettings

# nothing tells how likely a function of the caller's is right
_TOOL = Route(name="tool")


def finish(
    row: Prepared, text: str, usage: Usage, began: float, first: float | None, settings: AnswerSettings
) -> Answer:
    """Return the checked answer.

    Args:
        row: what was asked.
        text: as generated; the decision's own where no engine was asked.
        usage: tokens.
        began: when, by ``time.perf_counter``.
        first: seconds to the first piece of text, None where it did not come in pieces.
        settings: ``[answer]``.
    """
    answer = Answer(
        id=row.id,
        question=row.question.text,
        text=text.strip(),
        abstained=False,
        citations=(),
        passages=row.passages,
        arm=row.arm,
        language=row.understood.language,
        timings={},
        usage=usage,
        release=row.release,
        route=row.decision.route,
        searched=row.understood.standalone,
        withheld=(*row.understood.withheld, *row.withheld),
    )
    if row.request is None:
        answer = _without_engine(row, answer)
    elif row.json_schema is not None:
        answer = _formed(row, answer, row.json_schema)
    elif row.found is None:
        answer = _closed_book(row, answer)
    else:
        answer = _grounded(row, answer, settings)
    return msgspec.structs.replace(answer, timings=_timings(row, began, first))


def finish_extract(row: Prepared, began: float, settings: AnswerSettings) -> Answer:
    """Return an answer of quotes, for an engine that cannot be reached."""
    answer = finish(row, "", Usage(), began, None, settings)
    text, citations = extract(row.question.text, row.understood.language, row.checked)
    return msgspec.structs.replace(
        answer,
        text=text,
        citations=_verbatim(citations, row.passages),
        abstained=False,
        is_extract=True,
        route=row.decision.route,
        nearest=(),
        missing=(),
    )


def _without_engine(row: Prepared, answer: Answer) -> Answer:
    decision = row.decision
    if decision.curated is not None:
        return msgspec.structs.replace(answer, citations=decision.curated.citations)
    return msgspec.structs.replace(answer, abstained=True, nearest=decision.nearest, missing=decision.missing)


def finish_calls(
    row: Prepared,
    text: str,
    usage: Usage,
    began: float,
    calls: tuple[ToolCall, ...],
    settings: AnswerSettings,
) -> Answer:
    """Return what an engine said that wants functions called first."""
    ready = msgspec.structs.replace(
        row, request=None, decision=msgspec.structs.replace(row.decision, text=text)
    )
    answer = finish(ready, text, usage, began, None, settings)
    return msgspec.structs.replace(
        answer, text=text, abstained=False, nearest=(), missing=(), tool_calls=calls, route=_TOOL
    )


def _formed(row: Prepared, answer: Answer, schema: dict[str, Any]) -> Answer:
    """Return an answer in JSON, checked; a refusal is in words."""
    sources = (*(passage.chunk.text for passage in row.checked), row.understood.text)
    text = sanitise_formed(answer.text, schema, sources)
    if text is None or repeats_instructions(text, row.instructions):
        return _declined(row, answer, "refused")
    formed = finish_formed(msgspec.structs.replace(answer, text=text, passages=row.checked), schema)
    if formed.abstained:
        return _declined(row, answer, "refused")
    citations = _verbatim(formed.citations, row.passages)
    return msgspec.structs.replace(formed, passages=row.passages, citations=citations)


def _closed_book(row: Prepared, answer: Answer) -> Answer:
    if repeats_instructions(answer.text, row.instructions):
        return _declined(row, answer, "refused")
    text = sanitise(answer.text, (row.understood.text,)).strip()
    abstained = is_abstention(text, answer.language)
    return msgspec.structs.replace(answer, text=text, abstained=abstained)


def _grounded(row: Prepared, answer: Answer, settings: AnswerSettings) -> Answer:
    language, checked = answer.language, row.checked
    text = without_afterthought(answer.text, language)
    if repeats_instructions(text, row.instructions) or is_abstention(text, language):
        return _declined(row, answer, "refused")
    text = sanitise(text, (*(passage.chunk.text for passage in checked), row.understood.text))
    text = answer_headings(row.question.text, text, checked)
    unsupported = _unsupported(text, checked)
    if settings.unsupported == "cut" and unsupported:
        text, unsupported = _cut(text, unsupported), ()
    # what stands on a tool's result stands on no passage
    if not row.question.after and not is_grounded(text, checked):
        return _declined(row, answer, "refused")
    text = mend_figures(row.question.text, mend_codes(row.question.text, text, checked), checked)
    text, citations = cite(text, checked)
    answer = msgspec.structs.replace(
        answer, text=text, citations=_verbatim(citations, row.passages), unsupported=unsupported
    )
    if row.question.after:
        return msgspec.structs.replace(answer, route=_TOOL)
    confidence = measure_confidence(answer, settings.calibration)
    if answer.route.confidence is None:
        answer = msgspec.structs.replace(
            answer, route=msgspec.structs.replace(answer.route, confidence=confidence)
        )
    if is_too_unsure(answer, settings.calibration):
        return _declined(row, answer, "unsure")
    return answer


def _declined(row: Prepared, answer: Answer, reason: HandOverReason) -> Answer:
    found = row.found or ()
    nearest = nearest_sections(found)
    missing = missing_words(row.understood.text, found) if found else ()
    confidence = answer.route.confidence
    return msgspec.structs.replace(
        answer,
        text=declined(answer.language, nearest, missing),
        abstained=True,
        citations=(),
        unsupported=(),
        nearest=nearest,
        missing=missing,
        route=msgspec.structs.replace(
            answer.route,
            name="hand_over",
            reason=reason,
            confidence=round(1 - confidence, 4) if reason == "unsure" and confidence is not None else None,
        ),
    )


def _unsupported(text: str, passages: tuple[Passage, ...]) -> tuple[str, ...]:
    claims = (statement.claim for statement in statements(text))
    return tuple(claim for claim in claims if not is_claim_grounded(claim, passages))


def _cut(text: str, unsupported: tuple[str, ...]) -> str:
    """Return a text without sentences, marks behind them included."""
    pieces: list[str] = []
    end = 0
    for span in split_sentences(text):
        if without_marks(span.text).strip() in unsupported:
            pieces.append(text[end : span.start].rstrip(" "))
            end = span.end
    return "".join([*pieces, text[end:]]).strip()


def _verbatim(citations: tuple[Citation, ...], passages: tuple[Passage, ...]) -> tuple[Citation, ...]:
    """Return citations with their quotes as the document has them."""
    return tuple(
        msgspec.structs.replace(
            citation, quote=passages[citation.number - 1].chunk.text[citation.start : citation.end]
        )
        for citation in citations
    )


def _timings(row: Prepared, began: float, first: float | None) -> dict[str, float]:
    timings = {"retrieve": row.retrieve_seconds, "total": time.perf_counter() - began}
    if first is not None:
        timings["first_token"] = first
    return {name: round(seconds, 4) for name, seconds in timings.items()}
