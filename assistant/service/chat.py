"""Answers in OpenAI's chat shape, whole and in chunks."""

import re
import time
from collections.abc import Sequence

import msgspec

from assistant.answering.composing import GenerationOptions
from assistant.answering.events import PassagesFound
from assistant.core.ids import random_id
from assistant.core.records import Answer, Citation, Passage, ToolCall
from assistant.service.schemas import ContextCitation, TokenUsage
from assistant.service.schemas_chat import (
    Annotation,
    AnswerFacts,
    AnswerMessage,
    CalledFunction,
    ChatChunk,
    ChatCompletion,
    Choice,
    ChunkChoice,
    Context,
    Delta,
    FinishReason,
    ToolCallPiece,
    ToolCallShown,
    UrlCitation,
)

_MARK = re.compile(r"\[(\d{1,2})\]")


class Reply:
    """Writes one answer in OpenAI's shape; all its chunks share id, time and model.

    Args:
        model: as asked for.
        options: as generated with.
        page_url: of the page that shows a passage.
        include_usage: count the tokens in a chunk of their own.
        is_strict: leave out what OpenAI's shape has no place for.
    """

    def __init__(
        self,
        model: str,
        options: GenerationOptions,
        page_url: str,
        *,
        include_usage: bool = False,
        is_strict: bool = False,
    ) -> None:
        self._id = random_id("chatcmpl")
        self._created = int(time.time())
        self._model = model
        self._max_new_tokens = options.max_new_tokens
        self._page_url = page_url
        self._include_usage = include_usage
        self._is_strict = is_strict
        self.has_format = options.json_schema is not None

    def opening(self, found: PassagesFound) -> ChatChunk:
        """Return the first chunk: the whole context's citations, before any text."""
        context = None if self._is_strict else _context(found.citations, found.passages)
        return self._chunk(Delta(role="assistant", content="", context=context))

    def text(self, piece: str) -> ChatChunk:
        """Return a chunk of text."""
        return self._chunk(Delta(content=piece))

    def closing(self, answer: Answer, streamed: str) -> ChatChunk:
        """Return the last chunk: the citations that hold; ``streamed`` is the text as it was sent."""
        pieces = tuple(
            ToolCallPiece(index=place, id=call.id, function=_function(call))
            for place, call in enumerate(answer.tool_calls)
        )
        delta = Delta(
            annotations=self._annotations(streamed, answer.citations),
            refusal=self._refusal(answer),
            tool_calls=pieces or None,
        )
        text = None if answer.text == streamed else answer.text
        # not in the delta: OpenAI's client adds up what stands there twice
        facts = msgspec.structs.replace(
            _facts(answer, text), context=_context(answer.citations, answer.passages)
        )
        return self._chunk(delta, self._finish_reason(answer), facts)

    def usage(self, answer: Answer) -> ChatChunk:
        """Return the chunk that counts the tokens."""
        return ChatChunk(
            id=self._id, created=self._created, model=self._model, choices=(), usage=_usage(answer)
        )

    def whole(self, answer: Answer) -> ChatCompletion:
        """Return the answer in one piece."""
        refusal = self._refusal(answer)
        calls = tuple(ToolCallShown(id=call.id, function=_function(call)) for call in answer.tool_calls)
        message = AnswerMessage(
            content=None if refusal or (calls and not answer.text) else answer.text,
            annotations=() if refusal else self._annotations(answer.text, answer.citations),
            context=msgspec.UNSET if self._is_strict else _context(answer.citations, answer.passages),
            refusal=refusal,
            tool_calls=calls or msgspec.UNSET,
        )
        return ChatCompletion(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=(Choice(message=message, finish_reason=self._finish_reason(answer)),),
            usage=_usage(answer),
            deskmate=msgspec.UNSET if self._is_strict else _facts(answer, None),
        )

    def late_text(self, answer: Answer) -> str:
        """Return the text that is sent only once the answer is whole: JSON, which may turn out a refusal."""
        return answer.text if self.has_format and not answer.abstained else ""

    def _refusal(self, answer: Answer) -> str | None:
        return answer.text if self.has_format and answer.abstained else None

    def _chunk(
        self,
        delta: Delta,
        finish_reason: FinishReason | None = None,
        facts: AnswerFacts | msgspec.UnsetType = msgspec.UNSET,
    ) -> ChatChunk:
        return ChatChunk(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=(ChunkChoice(delta=delta, finish_reason=finish_reason),),
            usage=None if self._include_usage else msgspec.UNSET,
            deskmate=msgspec.UNSET if self._is_strict else facts,
        )

    def _finish_reason(self, answer: Answer) -> FinishReason:
        if answer.tool_calls:
            return "tool_calls"
        limit = self._max_new_tokens
        return "length" if limit and answer.usage.completion_tokens >= limit else "stop"

    def _annotations(self, text: str, citations: Sequence[Citation]) -> tuple[Annotation, ...]:
        """Return one annotation for each mark of the text whose citation holds."""
        by_number = {citation.number: citation for citation in citations}
        return tuple(
            Annotation(url_citation=self._link(by_number[int(mark.group(1))], mark.start(), mark.end()))
            for mark in _MARK.finditer(text)
            if int(mark.group(1)) in by_number
        )

    def _link(self, citation: Citation, start: int, end: int) -> UrlCitation:
        where = " › ".join((citation.document, *citation.heading_path))
        return UrlCitation(
            start_index=start,
            end_index=end,
            url=f"{self._page_url}#chunk={citation.chunk_id}",
            title=where if citation.page is None else f"{where} (p. {citation.page})",
        )


def _function(call: ToolCall) -> CalledFunction:
    return CalledFunction(name=call.name, arguments=call.arguments)


def _context(citations: Sequence[Citation], passages: tuple[Passage, ...]) -> Context:
    return Context(citations=tuple(ContextCitation.from_citation(item, passages) for item in citations))


def _usage(answer: Answer) -> TokenUsage:
    counted = answer.usage
    return TokenUsage(
        prompt_tokens=counted.prompt_tokens,
        completion_tokens=counted.completion_tokens,
        total_tokens=counted.prompt_tokens + counted.completion_tokens,
    )


def _facts(answer: Answer, text: str | None) -> AnswerFacts:
    return AnswerFacts(
        answer_id=answer.id,
        arm=answer.arm,
        abstained=answer.abstained,
        timings=answer.timings,
        text=text,
        release=answer.release,
        is_extract=answer.is_extract,
        route=answer.route,
    )
