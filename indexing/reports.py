"""What became of the files that were added, and what the collection holds then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from assistant.core.errors import FileRefused
from assistant.core.records import Record
from indexing.duplicates import DuplicateCounts
from indexing.intake import Outcome


class Refusal(Record, frozen=True, kw_only=True):
    """A file that was not indexed, and why."""

    path: str
    reason: str


class AddReport(Record, frozen=True, kw_only=True):
    """What adding did.

    Attributes:
        collection: name.
        added: new documents.
        replaced: documents with new content.
        unchanged: documents that were there already.
        described: documents whose content is unchanged and whose metadata is not.
        held: files left out because an older version was restored, the collection rolled back or the document
            removed since.
        refused: files that could not be read.
        document_count: documents in the collection now.
        chunk_count: chunks in the collection now.
        embedded_count: chunks embedded now; the others' embeddings were kept from before.
        snapshot: name of the served snapshot.
        personal_data: document → kind → how much was found in the documents stored now.
        orders: document → kind → how many orders to a language model were found in them.
        duplicates: what stands in several documents of the collection.
        seconds: by stage: ``read`` (parse, chunk and store), ``embed``, ``write``, ``compare``.
    """

    collection: str
    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    described: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    document_count: int = 0
    chunk_count: int = 0
    embedded_count: int = 0
    snapshot: str = ""
    personal_data: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    orders: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    duplicates: DuplicateCounts = DuplicateCounts()
    seconds: dict[str, float]

    @property
    def indexed_count(self) -> int:
        """Files that are in the collection now."""
        return sum(map(len, (self.added, self.replaced, self.unchanged, self.described)))


def refusal_of(error: FileRefused) -> Refusal:
    """Return a file's refusal as a record."""
    return Refusal(path=str(error.path), reason=error.reason)


def reported(published: AddReport, outcomes: Mapping[str, Outcome], refused: Sequence[Refusal]) -> AddReport:
    """Return a report with what became of each file."""
    lists: dict[str, list[str]] = {}
    for document, outcome in outcomes.items():
        lists.setdefault(outcome, []).append(document)
    named = {outcome: tuple(documents) for outcome, documents in lists.items()}
    return msgspec.structs.replace(published, **named, refused=tuple(refused))
