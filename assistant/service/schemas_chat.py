"""What goes in and out of ``/v1/chat/completions``: OpenAI's shape, and what it has no place for."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from assistant.core.records import Arm, Route
from assistant.service.schemas import MAX_MESSAGES, ContextCitation, RequestFilters, Schema, TokenUsage

MAX_STOPS = 4
MAX_TOOLS = 64


class ContentPart(Schema, frozen=True, kw_only=True):
    """One part of a message's content; only text is read."""

    type: str
    text: str | None = None


class CalledFunction(Schema, frozen=True, kw_only=True):
    """The function of a call; ``arguments`` is JSON as the engine wrote it."""

    name: Annotated[str, Meta(max_length=64)]
    arguments: Annotated[str, Meta(max_length=100_000)]


class ToolCallShown(Schema, frozen=True, kw_only=True):
    """A call that the engine asks for."""

    id: Annotated[str, Meta(max_length=200)]
    function: CalledFunction
    type: Literal["function"] = "function"


class FunctionOffered(Schema, frozen=True, kw_only=True):
    """A function that the engine may ask to have called."""

    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
    description: Annotated[str, Meta(max_length=4000)] | None = None
    parameters: Annotated[dict[str, Any], Meta(description="JSON Schema of its arguments.")] | None = None
    strict: bool | None = None


class ToolOffered(Schema, frozen=True, kw_only=True):
    """A tool; only functions are known."""

    function: FunctionOffered
    type: Literal["function"] = "function"


class FunctionName(Schema, frozen=True, kw_only=True):
    """A function by its name."""

    name: Annotated[str, Meta(max_length=64)]


class ToolChosen(Schema, frozen=True, kw_only=True):
    """The one tool that is to be called."""

    function: FunctionName
    type: Literal["function"] = "function"


class SchemaWanted(Schema, frozen=True, kw_only=True):
    """The JSON Schema that the answer must fit; it may point into itself only."""

    schema: Annotated[dict[str, Any], Meta(description="At most 64 KiB.")]
    name: Annotated[str, Meta(max_length=64)] = "answer"
    description: str | None = None
    strict: Annotated[bool | None, Meta(description="Every schema is kept to strictly.")] = None


class TextFormat(Schema, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """Free text."""


class ObjectFormat(Schema, frozen=True, kw_only=True, tag_field="type", tag="json_object"):
    """Any JSON object."""


class SchemaFormat(Schema, frozen=True, kw_only=True, tag_field="type", tag="json_schema"):
    """JSON that fits a schema."""

    json_schema: SchemaWanted


class ChatMessage(Schema, frozen=True, kw_only=True):
    """One turn. ``developer`` counts as ``system``."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    tool_calls: Annotated[list[ToolCallShown], Meta(max_length=MAX_TOOLS)] | None = None
    tool_call_id: Annotated[str, Meta(max_length=200)] | None = None


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
            description="The conversation, oldest first; the last message is the user's question, or the "
            "result of a tool that it led to. System messages are added behind the service's own "
            "instructions, never instead of them.",
        ),
    ]
    model: Annotated[
        str | None,
        Meta(
            description="A collection, a release (`rel-…`) or `collection@release`; each may be followed by "
            "`:arm` with arm base, rag, ft or rag+ft."
        ),
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
    response_format: Annotated[
        TextFormat | ObjectFormat | SchemaFormat | None,
        Meta(
            description="JSON is checked before it is sent; in a stream it comes in one piece. Where the "
            "documents do not cover the question, `content` is null and `refusal` says so."
        ),
    ] = None
    tools: (
        Annotated[
            list[ToolOffered],
            Meta(max_length=MAX_TOOLS, description="Handed to an engine that offers them, else refused."),
        ]
        | None
    ) = None
    tool_choice: Literal["none", "auto", "required"] | ToolChosen | None = None
    parallel_tool_calls: bool | None = None
    logprobs: Annotated[bool | None, Meta(description="Not offered: `true` is refused.")] = None
    top_logprobs: Annotated[int | None, Meta(description="Not offered.")] = None
    strict: Annotated[
        bool, Meta(description="Leave out `context` and `deskmate`; as does `X-Deskmate-Strict: true`.")
    ] = False
    user: str | None = None
    filters: RequestFilters = msgspec.field(default_factory=dict)


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
    context: Annotated[
        Context | None, Meta(description="In a stream, the citations that hold, in the last chunk.")
    ] = None
    release: Annotated[str | None, Meta(description="The release that it was made with.")] = None
    is_extract: Annotated[
        bool, Meta(description="The engine could not be reached: the text quotes passages as they stand.")
    ] = False
    route: Annotated[Route | None, Meta(description="Which way the question went, and how sure that is.")] = (
        None
    )


FinishReason = Literal["stop", "length", "tool_calls"]


class AnswerMessage(Schema, frozen=True, kw_only=True):
    """The answer."""

    content: Annotated[str | None, Meta(description="Null beside tool calls and beside a refusal.")]
    annotations: tuple[Annotation, ...]
    context: Context | msgspec.UnsetType = msgspec.UNSET
    role: Literal["assistant"] = "assistant"
    refusal: Annotated[
        str | None, Meta(description="Why there is no JSON: the documents do not cover the question.")
    ] = None
    tool_calls: tuple[ToolCallShown, ...] | msgspec.UnsetType = msgspec.UNSET


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
    deskmate: AnswerFacts | msgspec.UnsetType = msgspec.UNSET
    object: Literal["chat.completion"] = "chat.completion"


class ToolCallPiece(Schema, frozen=True, kw_only=True):
    """A call that the engine asks for, in a stream; it comes whole."""

    index: int
    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


class Delta(Schema, frozen=True, kw_only=True, omit_defaults=True):
    """What a chunk adds."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    annotations: tuple[Annotation, ...] | None = None
    context: Context | None = None
    refusal: str | None = None
    tool_calls: tuple[ToolCallPiece, ...] | None = None


class ChunkChoice(Schema, frozen=True, kw_only=True):
    """The only choice of a chunk."""

    delta: Delta
    finish_reason: FinishReason | None = None
    index: int = 0
    logprobs: None = None


class ChatChunk(Schema, frozen=True, kw_only=True):
    """One event of a streamed answer in OpenAI's shape.

    The first chunk carries the whole context's citations in its delta, the last one (with
    ``finish_reason``) in ``deskmate`` those that the text really uses.
    """

    id: str
    created: int
    model: str
    choices: tuple[ChunkChoice, ...]
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    usage: TokenUsage | msgspec.UnsetType | None = msgspec.UNSET
    deskmate: AnswerFacts | msgspec.UnsetType = msgspec.UNSET
