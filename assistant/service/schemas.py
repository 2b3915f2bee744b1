"""What goes in and out of the HTTP routes."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from assistant.core.records import Arm, Chunk, ChunkKind, Citation, Neighbours, Passage

MAX_MESSAGES = 200
MAX_TOP_K = 50
MAX_NEIGHBOURS = 20
MAX_QUERY_CHARACTERS = 4000
MAX_FILTER_VALUES = 256
FilterValue = Annotated[str, Meta(max_length=200)]
RequestFilters = Annotated[
    dict[str, FilterValue | Annotated[list[FilterValue], Meta(max_length=MAX_FILTER_VALUES)]],
    Meta(
        max_length=32,
        description="Key → accepted value or values: only documents whose metadata has one of them for every "
        "key are searched. Keys are product, model, language, date (2026, 2025..2026-03), audience, tags and "
        "your own; each takes at most 256 values of 200 letters.",
    ),
]


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what the service reads and writes."""


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


class TokenUsage(Schema, frozen=True, kw_only=True):
    """Tokens of one answer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


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
    next_cursor: str | None = None
    object: Literal["list"] = "list"


class SearchRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query."""

    query: Annotated[
        str,
        Meta(min_length=1, max_length=MAX_QUERY_CHARACTERS, examples=["fault code E07", "故障代码 E12"]),
    ]
    collection: Annotated[str | None, Meta(description="The service's default if absent.")] = None
    top_k: Annotated[int, Meta(ge=1, le=MAX_TOP_K)] | None = None
    filters: RequestFilters = msgspec.field(default_factory=dict)
    neighbours: Annotated[
        int,
        Meta(ge=0, le=MAX_NEIGHBOURS, description="Chunks given before and after each passage."),
    ] = 0


class NeighbourText(Schema, frozen=True, kw_only=True):
    """A chunk that stands near a passage, in the same version of its document."""

    chunk_id: str
    page: int | None
    heading_path: tuple[str, ...]
    text: str

    @classmethod
    def from_chunk(cls, chunk: Chunk) -> "NeighbourText":
        """Take what is shown of a chunk."""
        return cls(chunk_id=chunk.id, page=chunk.page, heading_path=chunk.heading_path, text=chunk.text)


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
    dense: Annotated[float | None, Meta(description="Cosine to the query, of the dense lane.")] = None
    lexical: Annotated[float | None, Meta(description="BM25 score of the lexical lane.")] = None
    is_code_match: Annotated[bool, Meta(description="A code of the query stands in it.")] = False
    confidence: Annotated[float | None, Meta(description="Of text recognition, 0 to 1.")] = None
    box: Annotated[
        tuple[float, float, float, float] | None,
        Meta(description="Left, top, right and bottom on its page in points, where the format has places."),
    ] = None
    before: Annotated[
        tuple[NeighbourText, ...],
        Meta(description="What stands before it, in the order of the document, where `neighbours` asks."),
    ] = ()
    after: Annotated[tuple[NeighbourText, ...], Meta(description="What stands behind it.")] = ()

    @classmethod
    def from_passage(cls, passage: Passage, around: Neighbours | None = None) -> "FoundPassage":
        """Flatten a passage and what stands around it."""
        near = around or Neighbours()
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
            dense=None if passage.dense is None else round(passage.dense, 6),
            lexical=None if passage.lexical is None else round(passage.lexical, 6),
            is_code_match=passage.is_code_match,
            confidence=chunk.confidence,
            box=chunk.box,
            before=tuple(map(NeighbourText.from_chunk, near.before)),
            after=tuple(map(NeighbourText.from_chunk, near.after)),
        )


class SearchReply(Schema, frozen=True, kw_only=True):
    """Passages, best first."""

    passages: tuple[FoundPassage, ...]


class ChunkText(Schema, frozen=True, kw_only=True):
    """A cited chunk in full."""

    chunk_id: str
    document: str
    document_id: str
    version: int
    position: int
    page: int | None
    heading_path: tuple[str, ...]
    kind: ChunkKind
    text: str
    download: Annotated[str | None, Meta(description="Where its file is, if it is kept.")]


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
