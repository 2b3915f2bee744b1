"""What goes in and out of ``/v1/collections``, ``documents``, ``jobs``, ``usage`` and ``embeddings``."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from assistant.core.records import Arm, Metadata
from assistant.jobs.records import JobError, JobStage, JobState
from assistant.service.schemas import Schema
from assistant.store.documents import Version
from assistant.store.reading import FoundDocument
from assistant.store.usage import UsageLine

RequestMetadata = Annotated[
    dict[str, str | list[str]],
    Meta(
        max_length=32,
        description="What holds of all of them: product, model, language, date, audience, tags or a key of "
        "your own.",
    ),
]


class CollectionRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A collection that is to be."""

    name: Annotated[str, Meta(min_length=1, max_length=64, examples=["pumps"])]


class CollectionShown(Schema, frozen=True, kw_only=True):
    """A collection."""

    name: str
    document_count: Annotated[int, Meta(description="That the caller may read.")]
    generation: Annotated[int, Meta(description="Grows with every change of what answers.")]
    arms: tuple[Arm, ...]


class CollectionList(Schema, frozen=True, kw_only=True):
    """The collections that exist for the caller, by name."""

    data: tuple[CollectionShown, ...]
    next_cursor: str | None


class DocumentShown(Schema, frozen=True, kw_only=True):
    """A document, as its version that answers."""

    id: Annotated[str, Meta(description="Stays when the document is replaced or renamed.")]
    collection: str
    name: str
    version: int
    state: str
    title: str
    sha256: str
    size_bytes: int
    page_count: int | None
    added: str
    warnings: tuple[str, ...]
    metadata: Metadata

    @classmethod
    def from_found(cls, found: FoundDocument) -> "DocumentShown":
        """Write a document."""
        return cls.from_version(found.version, found.collection)

    @classmethod
    def from_version(cls, version: Version, collection: str) -> "DocumentShown":
        """Write one version of a document."""
        return cls(
            id=f"doc-{version.document_id}",
            collection=collection,
            name=version.document,
            version=version.number,
            state=version.state,
            title=version.title,
            sha256=version.sha256,
            size_bytes=version.size_bytes,
            page_count=version.page_count,
            added=version.added,
            warnings=version.warnings,
            metadata=version.metadata,
        )


class DocumentList(Schema, frozen=True, kw_only=True):
    """Documents by name."""

    data: tuple[DocumentShown, ...]
    next_cursor: str | None


class VersionList(Schema, frozen=True, kw_only=True):
    """All versions of a document, oldest first."""

    data: tuple[DocumentShown, ...]
    next_cursor: str | None


class NewDocument(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document in a JSON body: as text, or as Base64 of any kind of file that can be indexed."""

    name: Annotated[str, Meta(min_length=1, max_length=500, examples=["pumps/e07.md"])]
    text: str | None = None
    content_base64: str | None = None


class DocumentsRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Documents to add."""

    documents: Annotated[list[NewDocument], Meta(min_length=1, max_length=1000)]
    collection: Annotated[str, Meta(max_length=64)] | None = None
    metadata: RequestMetadata = msgspec.field(default_factory=dict)


class JobShown(Schema, frozen=True, kw_only=True):
    """A job; what failed in part is never `succeeded`."""

    id: str
    kind: str
    collection: str
    state: JobState
    is_cancelling: bool
    stages: tuple[JobStage, ...]
    attempts: int
    created: str
    started: str | None
    finished: str | None
    result: dict[str, object] | None
    error: JobError | None
    has_worker: Annotated[bool, Meta(description="Some `deskmate worker` runs beside the service.")]


class JobEvent(Schema, frozen=True, kw_only=True):
    """A server-sent event about a job."""

    event: Literal["progress", "done", "error"]
    data: Annotated[str, Meta(description="JSON of `JobShown`, of `error` a problem.")]


class JobList(Schema, frozen=True, kw_only=True):
    """Jobs, newest first."""

    data: tuple[JobShown, ...]
    next_cursor: str | None


class UsageReply(Schema, frozen=True, kw_only=True):
    """Use by group."""

    data: tuple[UsageLine, ...]


class EmbeddingsRequest(Schema, frozen=True, kw_only=True):
    """Texts to embed, in OpenAI's shape. Fields that are not listed are accepted and have no effect."""

    input: (
        Annotated[str, Meta(min_length=1, max_length=20_000)]
        | Annotated[
            list[Annotated[str, Meta(min_length=1, max_length=20_000)]], Meta(min_length=1, max_length=256)
        ]
    )
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None
    input_type: Annotated[
        Literal["query", "passage"], Meta(description="Some embedders tell questions from texts.")
    ] = "query"


class Embedding(Schema, frozen=True, kw_only=True):
    """One vector of unit length."""

    index: int
    embedding: list[float] | str
    object: Literal["embedding"] = "embedding"


class EmbeddingUsage(Schema, frozen=True, kw_only=True):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(Schema, frozen=True, kw_only=True):
    """The vectors, in the order of the input."""

    data: tuple[Embedding, ...]
    model: str
    usage: EmbeddingUsage
    object: Literal["list"] = "list"
