"""The typed events of one answer, in this order: passages, text deltas, the finished answer."""

from __future__ import annotations

import msgspec

from assistant.core.records import Answer, Citation, Filters, Message, Passage, Record


class Question(Record, frozen=True, kw_only=True):
    """What a person asked.

    Attributes:
        text: the question.
        history: earlier turns, oldest first.
        after: turns behind the question: calls of tools and their results.
        filters: key → accepted values; the answer is made from documents with such metadata only.
    """

    text: str
    history: tuple[Message, ...] = ()
    after: tuple[Message, ...] = ()
    filters: Filters = msgspec.field(default_factory=dict)


class PassagesFound(Record, frozen=True, kw_only=True):
    """The context is known before the first token; a client may stop here.

    Attributes:
        passages: the context, numbered by position from 1; empty for arms without documents.
        citations: one per passage, its quote being the span that fits the question best.
    """

    passages: tuple[Passage, ...]
    citations: tuple[Citation, ...]


class AnswerText(Record, frozen=True, kw_only=True):
    """A piece of the answer's text."""

    text: str


class AnswerDone(Record, frozen=True, kw_only=True):
    """The checked answer; its text replaces what was streamed where the two differ."""

    answer: Answer


AnswerEvent = PassagesFound | AnswerText | AnswerDone
