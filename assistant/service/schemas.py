"""What goes in and out of the HTTP routes."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from assistant.core.records import Arm, ChunkKind, Citation, Passage

MAX_MESSAGES = 200
MAX_STOPS = 4
MAX_TOP_K = 50
MAX_QUERY_CHARACTERS = 4000
RequestFilters = Annotated[
    dict[str, str | list[str]],
    Meta(
        max_length=32,
        description="Key → accepted value or values: only documents whose metadata has one of them for every "
        "key are searched. Keys are product, model, language, date (2026, 2025..2026-03), audience, tags and "
        "your own.",
    ),
]


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what the service reads and writes."""


class ContentPart(Schema, frozen=True, kw_only=True):
    """One part of a message's content; only text is read."""

    type: str
    text: str | None = None


class ChatMessage(Schema, frozen=True, kw_only=True):
    """One turn. ``developer`` counts as ``system``."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None


class StreamOptions(Schema, frozen=True, kw_only=True):
    """How to stream."""

    include_usage: Annotated[
        bool, Meta(description="Send the token counts in a chunk of their own before `[DONE]`.")
    ] = False


class ChatRequest(Schema, frozen=True, kw_only=True):
    """A question in OpenAI's shape. Fields that are not listed are accepted and have no effect."""

    messages: Annotated[
        list[ChatMessage],
        Meta(
            min_length=1,
            max_length=MAX_MESSAGES,
            description="The conversation, oldest first; the last message is the question and must be the "
            "user's. System messages are added behind the service's own instructions, never instead of them.",
        ),
    ]
    model: Annotated[
        str | None,
        Meta(description="A collection, or `collection:arm` with arm base, rag, ft or rag+ft."),
    ] = None
    stream: Annotated[bool | None, Meta(description="Send server-sent events.")] = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=MAX_STOPS)] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    n: Annotated[int | None, Meta(description="Only 1.")] = None
    user: str | None = None
    filters: RequestFilters = msgspec.field(default_factory=dict)


class ContextCitation(Schema, frozen=True, kw_only=True):
    """A passage of the context, with the span of it that supports the answer."""

    number: Annotated[int, Meta(description="The `n` of `[n]` in the text.")]
    chunk_id: str
    document: str
    version: int
    page: int | None
    heading_path: tuple[str, ...]
    quote: str
    start: Annotated[int, Meta(description="Offset of the quote in the chunk's text, in characters.")]
    end: int
    score: Annotated[float | None, Meta(description="Of the passage; comparable within one answer only.")]

    @classmethod
    def from_citation(cls, citation: Citation, passages: tuple[Passage, ...]) -> "ContextCitation":
        """Add the passage's score to a citation."""
        inside = 0 < citation.number <= len(passages)
        return cls(
            number=citation.number,
            chunk_id=citation.chunk_id,
            document=citation.document,
            version=citation.version,
            page=citation.page,
            heading_path=citation.heading_path,
            quote=citation.quote,
            start=citation.start,
            end=citation.end,
            score=passages[citation.number - 1].score if inside else None,
        )


class Context(Schema, frozen=True, kw_only=True):
    """Where an answer comes from."""

    citations: tuple[ContextCitation, ...]


class UrlCitation(Schema, frozen=True, kw_only=True):
    """A `[n]` of the message's text; the offsets count characters, the end is exclusive."""

    start_index: int
    end_index: int
    url: str
    title: str


class Annotation(Schema, frozen=True, kw_only=True):
    """OpenAI's form of a citation."""

    url_citation: UrlCitation
    type: Literal["url_citation"] = "url_citation"


class TokenUsage(Schema, frozen=True, kw_only=True):
    """Tokens of one answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerFacts(Schema, frozen=True, kw_only=True, omit_defaults=True):
    """What OpenAI's shape has no place for."""

    answer_id: str
    arm: Arm
    abstained: Annotated[bool, Meta(description="The documents do not cover the question.")]
    timings: Annotated[dict[str, float], Meta(description="Seconds by stage.")]
    text: Annotated[
        str | None,
        Meta(description="In a stream, the checked text where it differs from the pieces sent."),
    ] = None
    release: Annotated[str | None, Meta(description="The release that it was made with.")] = None
    is_extract: Annotated[
        bool, Meta(description="The engine could not be reached: the text quotes passages as they stand.")
    ] = False


FinishReason = Literal["stop", "length"]


class AnswerMessage(Schema, frozen=True, kw_only=True):
    """The answer."""

    content: str
    annotations: tuple[Annotation, ...]
    context: Context
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class Choice(Schema, frozen=True, kw_only=True):
    """The only choice."""

    message: AnswerMessage
    finish_reason: FinishReason
    index: int = 0
    logprobs: None = None


class ChatCompletion(Schema, frozen=True, kw_only=True):
    """A whole answer in OpenAI's shape."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: TokenUsage
    deskmate: AnswerFacts
    object: Literal["chat.completion"] = "chat.completion"


class Delta(Schema, frozen=True, kw_only=True, omit_defaults=True):
    """What a chunk adds."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    annotations: tuple[Annotation, ...] | None = None
    context: Context | None = None


class ChunkChoice(Schema, frozen=True, kw_only=True):
    """The only choice of a chunk."""

    delta: Delta
    finish_reason: FinishReason | None = None
    index: int = 0
    logprobs: None = None


class ChatChunk(Schema, frozen=True, kw_only=True):
    """One event of a streamed answer in OpenAI's shape.

    The first chunk carries the whole context's citations, the last one (with ``finish_reason``) those
    that the text really uses.
    """

    id: str
    created: int
    model: str
    choices: tuple[ChunkChoice, ...]
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    usage: TokenUsage | msgspec.UnsetType | None = msgspec.UNSET
    deskmate: AnswerFacts | msgspec.UnsetType = msgspec.UNSET


class Model(Schema, frozen=True, kw_only=True):
    """A collection, or one arm of it."""

    id: str
    created: int
    collection: str
    arm: Annotated[Arm | None, Meta(description="None where the service chooses the best arm.")]
    object: Literal["model"] = "model"
    owned_by: Literal["deskmate"] = "deskmate"


class ModelList(Schema, frozen=True, kw_only=True):
    """All that can be asked."""

    data: tuple[Model, ...]
    object: Literal["list"] = "list"


class SearchRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query."""

    query: Annotated[str, Meta(min_length=1, max_length=MAX_QUERY_CHARACTERS)]
    collection: Annotated[str | None, Meta(description="The service's default if absent.")] = None
    top_k: Annotated[int, Meta(ge=1, le=MAX_TOP_K)] | None = None
    filters: RequestFilters = msgspec.field(default_factory=dict)


class FoundPassage(Schema, frozen=True, kw_only=True):
    """A chunk as found for the query."""

    rank: int
    score: float
    document: str
    version: int
    page: int | None
    heading_path: tuple[str, ...]
    text: str
    chunk_id: str
    metadata: Annotated[dict[str, str | list[str]], Meta(description="Of the document.")]

    @classmethod
    def from_passage(cls, passage: Passage) -> "FoundPassage":
        """Flatten a passage."""
        chunk = passage.chunk
        return cls(
            rank=passage.rank,
            score=passage.score,
            document=chunk.document,
            version=chunk.version,
            page=chunk.page,
            heading_path=chunk.heading_path,
            text=chunk.text,
            chunk_id=chunk.id,
            metadata={
                key: value if isinstance(value, str) else list(value)
                for key, value in passage.metadata.items()
            },
        )


class SearchReply(Schema, frozen=True, kw_only=True):
    """Passages, best first."""

    passages: tuple[FoundPassage, ...]


class ChunkText(Schema, frozen=True, kw_only=True):
    """A cited chunk in full."""

    chunk_id: str
    document: str
    version: int
    position: int
    page: int | None
    heading_path: tuple[str, ...]
    kind: ChunkKind
    text: str


class Health(Schema, frozen=True, kw_only=True):
    """The state of the service."""

    status: Literal["ok"] = "ok"


class Problem(Schema, frozen=True, kw_only=True, omit_defaults=True):
    """An error by RFC 9457."""

    type: Annotated[str, Meta(description="`urn:deskmate:problem:` and a stable name.")]
    title: str
    status: int
    detail: str
    instance: str | None = None
    next_command: Annotated[str | None, Meta(description="What to run next, where that helps.")] = None
    reasons: Annotated[tuple[str, ...], Meta(description="Why the service is not ready.")] = ()
    errors: Annotated[tuple["FieldError", ...], Meta(description="What is wrong in the request.")] = ()


class FieldError(Schema, frozen=True, kw_only=True):
    """What is wrong with one field."""

    field: str
    message: str


class OpenAIErrorBody(Schema, frozen=True, kw_only=True):
    """OpenAI's error object."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(Schema, frozen=True, kw_only=True):
    """An error on the routes that have OpenAI's shape."""

    error: OpenAIErrorBody
