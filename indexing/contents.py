"""The documents of a snapshot: which versions it holds and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from assistant.core.errors import IndexBroken
from assistant.core.records import Metadata, Record
from assistant.store.documents import Version

CONTENTS_FILE = "documents.json"


class ContentsEntry(Record, frozen=True, kw_only=True):
    """One document of a snapshot.

    Attributes:
        document_id: row id of the document, the same under every path that it ever had.
        version: number of the version that is searched.
        sha256: of the file.
        chunk_count: its chunks.
        metadata: product, model, language, date, audience, tags and others.
    """

    document_id: int
    version: int
    sha256: str
    chunk_count: int
    metadata: Metadata = msgspec.field(default_factory=dict)


Contents = Mapping[str, ContentsEntry]


def write_contents(folder: Path, live: Sequence[Version], chunk_counts: Mapping[str, int]) -> None:
    """Write the documents into a snapshot's folder.

    Args:
        folder: of the snapshot.
        live: version of each document.
        chunk_counts: document → chunks.
    """
    contents = {
        version.document: ContentsEntry(
            document_id=version.document_id,
            version=version.number,
            sha256=version.sha256,
            chunk_count=chunk_counts.get(version.document, 0),
            metadata=version.metadata,
        )
        for version in live
    }
    (folder / CONTENTS_FILE).write_bytes(msgspec.json.encode(contents))


def read_contents(folder: Path) -> Contents:
    """Return path → document of a snapshot; nothing where an earlier Deskmate wrote it.

    Raises:
        IndexBroken: the file is damaged.
    """
    file = folder / CONTENTS_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, ContentsEntry])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise IndexBroken(f"snapshot file {file} cannot be read: {error}") from error
