"""What goes in and out of ``/v1/curated-answers``, ``glossary`` and ``syncs``."""

from typing import Annotated

import msgspec
from msgspec import Meta

from assistant.answering.curated import CuratedDraft
from assistant.core.language import Language
from assistant.core.records import Citation, Metadata
from assistant.service.schemas import Schema
from assistant.service.schemas_documents import JobShown, RequestMetadata
from assistant.store.curated import CuratedAnswer
from indexing.glossary import Term, TermState

CollectionName = Annotated[str, Meta(max_length=64, description="The service's default if absent.")]


class CuratedRequest(CuratedDraft, frozen=True, kw_only=True):
    """An answer that is to be given as it stands."""

    collection: CollectionName | None = None


class CuratedShown(Schema, frozen=True, kw_only=True):
    """A curated answer."""

    id: str
    collection: str
    language: Language
    questions: tuple[str, ...]
    text: str
    citations: tuple[Citation, ...]
    metadata: Metadata
    valid_from: str | None
    valid_until: str | None
    author: Annotated[str, Meta(description="Id of the key that wrote it last.")]
    created: str
    changed: str

    @classmethod
    def from_curated(cls, answer: CuratedAnswer) -> "CuratedShown":
        """Copy a stored answer."""
        return cls(**{name: getattr(answer, name) for name in cls.__struct_fields__})


class CuratedList(Schema, frozen=True, kw_only=True):
    """Curated answers, newest first."""

    data: tuple[CuratedShown, ...]
    next_cursor: str | None


class TermShown(Schema, frozen=True, kw_only=True):
    """What customers say, and what the documents call it."""

    id: str
    said: str
    meant: str
    language: Language
    state: TermState
    score: float
    sources: tuple[str, ...]

    @classmethod
    def from_term(cls, term: Term) -> "TermShown":
        """Copy a term."""
        return cls(**{name: getattr(term, name) for name in cls.__struct_fields__})


class TermList(Schema, frozen=True, kw_only=True):
    """The terms of a collection, by id."""

    data: tuple[TermShown, ...]
    next_cursor: str | None


class TermRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A term of one's own; it is approved."""

    said: Annotated[str, Meta(min_length=1, max_length=200, examples=["趴窝"])]
    meant: Annotated[str, Meta(min_length=1, max_length=200, examples=["停机"])]
    collection: CollectionName | None = None


class TermChange(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is decided of a term."""

    state: TermState


class MineRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose tickets and dialogues are read."""

    collection: CollectionName | None = None


class SyncRequest(Schema, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A collection that is to become equal to a folder."""

    folder: Annotated[
        str,
        Meta(max_length=64, description="Name of a folder of `[syncs] folders`.", examples=["manuals"]),
    ]
    collection: CollectionName | None = None
    metadata: RequestMetadata = msgspec.field(default_factory=dict)
    may_remove_most: Annotated[
        bool, Meta(description="Go on where more than half of the documents would be removed.")
    ] = False
    is_dry_run: Annotated[bool, Meta(description="Tell what would be done and change nothing.")] = False


class SyncFolderShown(Schema, frozen=True, kw_only=True):
    """A folder that collections can be made equal to."""

    name: str
    collections: tuple[str, ...]


class SyncList(Schema, frozen=True, kw_only=True):
    """Syncs, newest first, and the folders that there are."""

    data: tuple[JobShown, ...]
    folders: tuple[SyncFolderShown, ...]
    next_cursor: str | None
