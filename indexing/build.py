"""From files to a served snapshot: parse, chunk, store, embed, write, switch.

The database is the truth and changes one document a transaction. A snapshot is written from it at the
end, so that whatever was cut off midway is finished by the next ``add``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from assistant.core.errors import FileRefused, InputError, NotFoundError
from assistant.core.home import Home
from assistant.core.progress import Progress
from assistant.core.records import ParsedDocument, Record
from assistant.core.settings import IndexSettings, Settings
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Collection, Documents, NewVersion, Version
from assistant.store.embeddings import Embeddings
from indexing.chunking import chunk_document
from indexing.embedding import Embedder, passage_text
from indexing.parsing import ParserPool
from indexing.publishing import Publisher, Stages
from indexing.snapshots import collection_lock, need_disk
from indexing.sources import SourceFile, find_sources

CHUNKING = 1  # raise it when parsing, chunking or the embedded text change: files are then cut anew

Outcome = Literal["added", "replaced", "unchanged"]


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
        refused: files that could not be read.
        document_count: documents in the collection now.
        chunk_count: chunks in the collection now.
        embedded_count: chunks embedded now; the others' embeddings were kept from before.
        snapshot: name of the served snapshot.
        seconds: by stage: ``read`` (parse, chunk and store), ``embed``, ``write``.
    """

    collection: str
    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    document_count: int = 0
    chunk_count: int = 0
    embedded_count: int = 0
    snapshot: str = ""
    seconds: dict[str, float]

    @property
    def indexed_count(self) -> int:
        """Files that are in the collection now."""
        return len(self.added) + len(self.replaced) + len(self.unchanged)


class Parser(Protocol):
    """Parses files."""

    def parse(self, source: SourceFile) -> ParsedDocument:
        """Parse one file.

        Raises:
            FileRefused: it cannot be read.
        """


ParserFactory = Callable[[IndexSettings], AbstractContextManager[Parser]]


class Builder:
    """Changes one collection.

    Args:
        collection: name.
        home: data folder.
        settings: all settings.
        database: the rows.
        embedder: makes the embeddings.
        progress: told of the stages.
        open_parser: makes the parser of one run.
    """

    def __init__(
        self,
        collection: str,
        home: Home,
        settings: Settings,
        database: Database,
        embedder: Embedder,
        progress: Progress,
        open_parser: ParserFactory = ParserPool,
    ) -> None:
        self._open_parser = open_parser
        self.collection = collection
        self._folder = home.collection(collection)
        self._settings = settings
        self._database = database
        self._embedder = embedder
        self._stages = Stages(progress)

    def add(self, paths: Sequence[Path]) -> AddReport:
        """Add files and folders and switch to a new snapshot if anything changed.

        A file that cannot be read is refused and stops no other. Where none can be read, nothing is
        changed and the report lists the refused ones.

        Raises:
            InputError: there are no files, or a path does not exist.
            ResourceError: another process changes the collection, or the disk is full.
        """
        sources, refusals = find_sources(paths, self._settings.index)
        refused = [_refusal(error) for error in refusals]
        if not sources and not refused:
            raise InputError(f"no documents in {', '.join(map(str, paths))}")
        need_disk(self._folder)
        with collection_lock(self._folder):
            outcomes = self._store_all(sources, refused)
            if not outcomes:
                return AddReport(
                    collection=self.collection, refused=tuple(refused), seconds=self._stages.seconds
                )
            published = self.publish()
        return msgspec.structs.replace(
            published,
            added=_having(outcomes, "added"),
            replaced=_having(outcomes, "replaced"),
            unchanged=_having(outcomes, "unchanged"),
            refused=tuple(refused),
        )

    def remove(self, document: str) -> AddReport:
        """Remove a document with all its versions, their text and embeddings, and switch to a new snapshot.

        Raises:
            NotFoundError: there is no such document or collection.
            ResourceError: another process changes the collection, or the disk is full.
        """
        self._existing()
        with collection_lock(self._folder):
            with self._database.write() as session:
                documents = Documents(session)
                versions = documents.delete(documents.make_collection(self.collection), document)
                Chunks(session).delete_of([version.id for version in versions])
                Embeddings(session).delete_unused()
            return self.publish()

    def rebuild(self) -> AddReport:
        """Write the snapshot anew from the database, embedding what this embedder has not embedded yet.

        Raises:
            NotFoundError: there is no such collection.
            ResourceError: another process changes the collection, or the disk is full.
        """
        self._existing()
        with collection_lock(self._folder):
            return self.publish(always=True)

    def publish(self, *, always: bool = False) -> AddReport:
        """Serve a snapshot of what is stored, new only where that has changed or ``always``; lock held."""
        publisher = Publisher(
            self._folder, self._database, self._embedder, self._stages, self._settings.index.snapshots_kept
        )
        published = publisher.publish(self._existing(), always=always)
        return AddReport(
            collection=self.collection,
            document_count=published.document_count,
            chunk_count=published.chunk_count,
            embedded_count=published.embedded_count,
            snapshot=published.snapshot,
            seconds=self._stages.seconds,
        )

    def _store_all(self, sources: Sequence[SourceFile], refused: list[Refusal]) -> dict[str, Outcome]:
        with self._database.read() as session:
            documents = Documents(session)
            collection = documents.find_collection(self.collection)
            live = documents.live_versions(collection.id) if collection else []
        known = {version.document: version for version in live}
        outcomes: dict[str, Outcome] = {
            source.document: "unchanged" for source in sources if self._is_stored(source, known)
        }
        changed = [source for source in sources if source.document not in outcomes]
        if not changed:
            return outcomes
        with (
            self._stages.stage("read", "reading files", len(changed)) as progress,
            self._open_parser(self._settings.index) as parser,
        ):
            for source in changed:
                try:
                    self._store(source, parser.parse(source), known.get(source.document))
                    outcomes[source.document] = "replaced" if source.document in known else "added"
                except FileRefused as error:
                    refused.append(_refusal(error))
                progress.advance(1, source.document)
        return outcomes

    def _is_stored(self, source: SourceFile, known: Mapping[str, Version]) -> bool:
        version = known.get(source.document)
        return version is not None and (version.sha256, version.recipe) == (source.sha256, self._recipe)

    @property
    def _recipe(self) -> str:
        """What, beside the file, shapes the chunks: another one cuts an unchanged file anew."""
        return f"{CHUNKING}:{self._chunk_tokens}:{self._embedder.fingerprint}"[:128]

    @property
    def _chunk_tokens(self) -> int:
        return min(self._settings.index.chunk_tokens, self._embedder.max_tokens)

    def _store(self, source: SourceFile, parsed: ParsedDocument, known: Version | None) -> None:
        is_recut = known is not None and known.sha256 == source.sha256
        number = known.number if known and is_recut else self._next_number(source.document)
        chunks = chunk_document(parsed, source.document, number, self._embedder.tokenizer, self._chunk_tokens)
        if not chunks:
            raise FileRefused(source.path, "it holds no text")
        version = NewVersion(
            document=source.document,
            number=number,
            sha256=source.sha256,
            recipe=self._recipe,
            size_bytes=source.size_bytes,
            title=parsed.title,
            page_count=parsed.page_count,
            warnings=parsed.warnings,
        )
        with self._database.write() as session:
            documents = Documents(session)
            version_id = documents.save_version(documents.make_collection(self.collection).id, version)
            Chunks(session).save(version_id, chunks, [passage_text(chunk) for chunk in chunks])

    def _next_number(self, document: str) -> int:
        """Return the number of a document's next version; the collection's lock keeps it free."""
        with self._database.read() as session:
            collection = Documents(session).find_collection(self.collection)
            return Documents(session).next_number(collection.id, document) if collection else 1

    def _existing(self) -> Collection:
        with self._database.read() as session:
            found = Documents(session).find_collection(self.collection)
        if found is None:
            raise NotFoundError(
                f"no collection {self.collection!r}",
                next_command=f"deskmate index add PATH --collection {self.collection}",
            )
        return found


def add(
    paths: Sequence[Path],
    collection: str,
    home: Home,
    settings: Settings,
    database: Database,
    embedder: Embedder,
    progress: Progress,
) -> AddReport:
    """Add files and folders to a collection; see ``Builder.add``."""
    return Builder(collection, home, settings, database, embedder, progress).add(paths)


def _refusal(error: FileRefused) -> Refusal:
    return Refusal(path=str(error.path), reason=error.reason)


def _having(outcomes: Mapping[str, Outcome], wanted: Outcome) -> tuple[str, ...]:
    return tuple(document for document, outcome in outcomes.items() if outcome == wanted)
