"""What goes in and out of ``/v1/answers``, ``conversations``, ``feedback`` and ``handovers``."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from assistant.answering.topics import Topic
from assistant.core.language import Language
from assistant.core.records import Answer, Arm, Passage, Route, Section, Withheld
from assistant.service.schemas import (
    MAX_MESSAGES,
    ContextCitation,
    FoundPassage,
    Problem,
    RequestFilters,
    Schema,
    TokenUsage,
)
from assistant.store.answers import Lineage, StoredAnswer
from assistant.store.feedback import Conversation, Feedback, Handover, HandoverState, Rating

ShortText = Annotated[str, Meta(max_length=200)]
LongText = Annotated[str, Meta(max_length=10_000)]
Id = Annotated[str, Meta(max_length=40)]


class Turn(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An earlier question with its answer."""

    question: Annotated[str, Meta(min_length=1, max_length=20_000)]
    answer: Annotated[str, Meta(max_length=20_000)] = ""


class AnswerRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question."""

    question: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=20_000,
            examples=["What does fault code E07 mean?", "故障代码 E12 表示什么？"],
        ),
    ]
    collection: Annotated[str, Meta(max_length=64, description="The service's default if absent.")] | None = (
        None
    )
    arm: Arm | None = None
    filters: RequestFilters = msgspec.field(default_factory=dict)
    history: Annotated[
        list[Turn],
        Meta(max_length=MAX_MESSAGES, description="Earlier turns, oldest first; the latest ones are read."),
    ] = msgspec.field(default_factory=list)
    conversation_id: (
        Annotated[str, Meta(max_length=40, description="Its turns are the history; then give none.")] | None
    ) = None
    stream: Annotated[bool, Meta(description="Send server-sent events.")] = False
    max_tokens: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.0
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


class AnswerReply(Schema, frozen=True, kw_only=True):
    """An answer with what it stands on."""

    id: str
    collection: str
    conversation_id: str | None
    question: str
    text: str
    abstained: bool
    arm: Arm
    language: Language
    citations: tuple[ContextCitation, ...]
    passages: tuple[FoundPassage, ...]
    timings: dict[str, float]
    usage: TokenUsage
    route: Annotated[Route, Meta(description="Which way the question went, and how sure that is.")]
    searched: Annotated[str, Meta(description="The question as it was searched for, which stands alone.")]
    nearest: Annotated[tuple[Section, ...], Meta(description="Where to look, where there is no answer.")]
    missing: Annotated[tuple[str, ...], Meta(description="Words of the question that no passage holds.")]
    unsupported: Annotated[tuple[str, ...], Meta(description="Sentences that no passage carries.")]
    withheld: Annotated[
        tuple[Withheld, ...],
        Meta(description="Orders to the model in passages (by number) and question (0); none was followed."),
    ]

    @classmethod
    def from_answer(cls, answer: Answer, collection: str, conversation_id: str | None) -> "AnswerReply":
        """Write an answer."""
        return cls(
            id=answer.id,
            collection=collection,
            conversation_id=conversation_id,
            question=answer.question,
            text=answer.text,
            abstained=answer.abstained,
            arm=answer.arm,
            language=answer.language,
            citations=tuple(ContextCitation.from_citation(row, answer.passages) for row in answer.citations),
            passages=found_passages(answer.passages),
            timings=answer.timings,
            usage=TokenUsage(
                prompt_tokens=answer.usage.prompt_tokens,
                completion_tokens=answer.usage.completion_tokens,
                total_tokens=answer.usage.prompt_tokens + answer.usage.completion_tokens,
            ),
            route=answer.route,
            searched=answer.searched,
            nearest=answer.nearest,
            missing=answer.missing,
            unsupported=answer.unsupported,
            withheld=answer.withheld,
        )


class PassagesEvent(Schema, frozen=True, kw_only=True):
    """Event `passages`: the context, before any text."""

    passages: tuple[FoundPassage, ...]


class TokenEvent(Schema, frozen=True, kw_only=True):
    """Event `token`: a piece of the text."""

    text: str


class CitationsEvent(Schema, frozen=True, kw_only=True):
    """Event `citations`: those that hold."""

    citations: tuple[ContextCitation, ...]


class AnswerStreamEvent(Schema, frozen=True, kw_only=True):
    """An event of a stream as it comes."""

    event: Literal["passages", "token", "citations", "done", "error"]
    data: Annotated[str, Meta(description="JSON of one of the others: `AnswerReply` where done.")]


# for the description: the event itself, then what its data holds
AnswerStreamData = AnswerStreamEvent | PassagesEvent | TokenEvent | CitationsEvent | AnswerReply | Problem


class AnswerShown(Schema, frozen=True, kw_only=True):
    """A stored answer with its lineage."""

    answer: StoredAnswer
    documents: Annotated[dict[str, list[int]], Meta(description="Cited document → versions.")]
    lineage: Lineage
    example_ids: Annotated[
        tuple[str, ...], Meta(description="Training examples on the cited chunks, where an adapter answered.")
    ] = ()


class AnswerList(Schema, frozen=True, kw_only=True):
    """Answers, newest first."""

    data: tuple[StoredAnswer, ...]
    next_cursor: str | None


class ConversationRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A conversation that is to begin."""

    collection: Annotated[str, Meta(max_length=64)] | None = None
    title: ShortText = ""


class ConversationList(Schema, frozen=True, kw_only=True):
    """The caller's conversations, newest first."""

    data: tuple[Conversation, ...]
    next_cursor: str | None


class FeedbackRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person says of an answer; at least one of the four."""

    answer_id: Id
    rating: Rating | None = None
    is_resolved: bool | None = None
    comment: LongText = ""
    correction: LongText = ""


class FeedbackList(Schema, frozen=True, kw_only=True):
    """Feedback, newest first."""

    data: tuple[Feedback, ...]
    next_cursor: str | None


class HandoverRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be passed to a person: an answer or a conversation."""

    answer_id: Id | None = None
    conversation_id: Id | None = None
    note: LongText = ""


class HandoverChange(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed; what is absent stays."""

    state: HandoverState | None = None
    assignee: Annotated[str, Meta(max_length=100)] | None = None
    note: LongText | None = None


class HandoverList(Schema, frozen=True, kw_only=True):
    """Hand-overs, newest first."""

    data: tuple[Handover, ...]
    next_cursor: str | None


def found_passages(passages: tuple[Passage, ...]) -> tuple[FoundPassage, ...]:
    """Write passages."""
    return tuple(FoundPassage.from_passage(passage) for passage in passages)


class TopicsReply(Schema, frozen=True, kw_only=True):
    """Missing topics of a collection, and how many questions they were made of."""

    collection: str
    questions: int
    data: tuple[Topic, ...]
