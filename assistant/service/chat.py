"""OpenAI's chat shape on one side, questions and answer events on the other."""

import re
import time
from collections.abc import Sequence

import msgspec

from assistant.answering.events import PassagesFound, Question
from assistant.answering.pipeline import GenerationOptions
from assistant.core.errors import NotFoundError
from assistant.core.ids import random_id
from assistant.core.records import ARMS, Answer, Arm, Citation, Message, Passage, Role
from assistant.service.problems import RequestRefused
from assistant.service.schemas import (
    Annotation,
    AnswerFacts,
    AnswerMessage,
    ChatChunk,
    ChatCompletion,
    ChatMessage,
    ChatRequest,
    Choice,
    ChunkChoice,
    Context,
    ContextCitation,
    Delta,
    FinishReason,
    TokenUsage,
    UrlCitation,
)

_MARK = re.compile(r"\[(\d{1,2})\]")
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


def read_model(name: str | None, default: str) -> tuple[str, Arm | None]:
    """Split a model's name into collection and arm; no arm means the best one that is there.

    Raises:
        NotFoundError: there is no such arm.
    """
    collection, _, named = (name or default).partition(":")
    if not named:
        return collection, None
    for arm in ARMS:
        if arm == named:
            return collection, arm
    raise NotFoundError(f"model {name!r} names no arm: {', '.join(ARMS)}")


def to_question(request: ChatRequest, history_turns: int) -> Question:
    """Return the question that a request asks.

    System messages come first in the history and are never cut off; of the other turns the latest
    are kept.

    Raises:
        RequestRefused: the last message is not the user's, or a message cannot be used.
    """
    if request.n not in {None, 1}:
        raise RequestRefused(f"n is {request.n}; one answer is given to a question", "n")
    last = request.messages[-1]
    if last.role != "user":
        raise RequestRefused(f"the last message is the {last.role}'s, not the user's", "messages")
    turns = [_turn(message, place) for place, message in enumerate(request.messages[:-1])]
    system = "\n\n".join(turn.content for turn in turns if turn.role == "system" and turn.content)
    history = [turn for turn in turns if turn.role != "system" and turn.content]
    if system:
        kept = max(2 * history_turns - 1, 0)
        history = [Message(role="system", content=system), *(history[-kept:] if kept else [])]
    text = _text(last, len(request.messages) - 1)
    return Question(text=text, history=tuple(history), filters=request.filters)


def to_options(request: ChatRequest, limit: int) -> GenerationOptions:
    """Return how to generate; an answer is never longer than ``limit`` tokens."""
    wanted = request.max_completion_tokens or request.max_tokens
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    return GenerationOptions(
        max_new_tokens=min(wanted or limit, limit),
        temperature=request.temperature or 0.0,
        top_p=1.0 if request.top_p is None else request.top_p,
        seed=request.seed,
        stop=tuple(text for text in stop if text),
    )


def _turn(message: ChatMessage, place: int) -> Message:
    if message.role not in _ROLES:
        raise RequestRefused(f"messages of role {message.role!r} are not supported", f"messages.{place}.role")
    return Message(role=_ROLES[message.role], content=_text(message, place))


def _text(message: ChatMessage, place: int) -> str:
    if not isinstance(message.content, list):
        return message.content or ""
    for part in message.content:
        if part.type != "text":
            raise RequestRefused(
                f"content parts of type {part.type[:32]!r} are not supported", f"messages.{place}.content"
            )
    return "\n".join(part.text or "" for part in message.content)


class Reply:
    """Writes one answer in OpenAI's shape; all its chunks share id, time and model.

    Args:
        model: as asked for.
        options: as generated with.
        page_url: of the page that shows a passage.
        include_usage: count the tokens in a chunk of their own.
    """

    def __init__(
        self, model: str, options: GenerationOptions, page_url: str, *, include_usage: bool = False
    ) -> None:
        self._id = random_id("chatcmpl")
        self._created = int(time.time())
        self._model = model
        self._max_new_tokens = options.max_new_tokens
        self._page_url = page_url
        self._include_usage = include_usage

    def opening(self, found: PassagesFound) -> ChatChunk:
        """Return the first chunk: the whole context's citations, before any text."""
        context = _context(found.citations, found.passages)
        return self._chunk(Delta(role="assistant", content="", context=context))

    def text(self, piece: str) -> ChatChunk:
        """Return a chunk of text."""
        return self._chunk(Delta(content=piece))

    def closing(self, answer: Answer, streamed: str) -> ChatChunk:
        """Return the last chunk: the citations that hold; ``streamed`` is the text as it was sent."""
        delta = Delta(
            annotations=self._annotations(streamed, answer.citations),
            context=_context(answer.citations, answer.passages),
        )
        text = None if answer.text == streamed else answer.text
        return self._chunk(delta, self._finish_reason(answer), _facts(answer, text))

    def usage(self, answer: Answer) -> ChatChunk:
        """Return the chunk that counts the tokens."""
        return ChatChunk(
            id=self._id, created=self._created, model=self._model, choices=(), usage=_usage(answer)
        )

    def whole(self, answer: Answer) -> ChatCompletion:
        """Return the answer in one piece."""
        message = AnswerMessage(
            content=answer.text,
            annotations=self._annotations(answer.text, answer.citations),
            context=_context(answer.citations, answer.passages),
        )
        return ChatCompletion(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=(Choice(message=message, finish_reason=self._finish_reason(answer)),),
            usage=_usage(answer),
            deskmate=_facts(answer, None),
        )

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
            deskmate=facts,
        )

    def _finish_reason(self, answer: Answer) -> FinishReason:
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
    )
