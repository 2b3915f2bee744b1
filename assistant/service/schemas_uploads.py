"""What goes in and out of ``/v1/uploads``."""

from typing import Annotated

import msgspec
from msgspec import Meta

from assistant.service.schemas import Schema
from assistant.service.schemas_documents import RequestMetadata
from assistant.service.schemas_knowledge import CollectionName
from assistant.store.uploads import Upload


class UploadRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that is to come in pieces."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=500,
            description="Of the document.",
            examples=["pumps/service-manual.pdf"],
        ),
    ]
    size_bytes: Annotated[int, Meta(ge=1, le=2**50, examples=[104_857_600])]
    sha256: (
        Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$", description="Of the whole file; checked.")] | None
    ) = None
    collection: CollectionName | None = None
    metadata: RequestMetadata = msgspec.field(default_factory=dict)


class UploadShown(Schema, frozen=True, kw_only=True):
    """A file that is on its way."""

    id: str
    collection: str
    name: str
    size_bytes: int
    offset: Annotated[int, Meta(description="Bytes that are there: where the next piece begins.")]
    sha256: str | None
    created: str
    expires: str

    @classmethod
    def from_upload(cls, upload: Upload, offset: int) -> "UploadShown":
        """Copy a stored upload."""
        names = [name for name in cls.__struct_fields__ if name != "offset"]
        return cls(**{name: getattr(upload, name) for name in names}, offset=offset)


class UploadList(Schema, frozen=True, kw_only=True):
    """The key's unfinished uploads, newest first; there are few."""

    data: tuple[UploadShown, ...]
    next_cursor: str | None
