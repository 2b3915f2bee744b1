"""From files to a served snapshot: parse, chunk, store, embed, write, switch.

The database is the truth and changes one document a transaction. A snapshot is written from it at the
end, so that whatever was cut off midway is finished by the next ``add``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Protocol

import msgspec

from assistant.core.errors import CollectionBusy, FileRefused, InputError, NotFoundError
from assistant.core.home import Home
from assistant.core.ids import content_id
from assistant.core.progress import Progress
from assistant.core.records import Metadata, ParsedDocument
from assistant.core.settings import IndexSettings, Settings, TicketColumns
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Collection, Documents, NewVersion
from assistant.store.embeddings import Embeddings
from assistant.store.history import History
from assistant.store.removals import Removals
from indexing.ahead import EmbeddingAhead
from indexing.chunking import chunk_document
from indexing.duplicates import DuplicateCounts, find_duplicates
from indexing.embedders import embedder_name
from indexing.embedding import Embedder, passage_text
from indexing.intake import Intake, Outcome
from indexing.keeping import Keeping
from indexing.metadata import normalise_metadata
from indexing.orders import count_orders, orders_mark, with_warning
from indexing.parsing import ParserPool
from indexing.parsing.ocr import recognition_gap
from indexing.parsing.ocr_pages import PageProgress
from indexing.personal_data import PersonalDataFilter
from indexing.publishing import Published, Publisher, Stages
from indexing.removal import RemovalReport, delete_document, remove_document
from indexing.reports import AddReport, Refusal, refusal_of, reported
from indexing.snapshots import collection_lock, need_disk
from indexing.sources import SourceFile, find_sources

CHUNKING = 4  # raise it when parsing, chunking or the embedded text change: files are then cut anew
_RECIPE_CHARACTERS = 96  # the column holds 128


class Parser(Protocol):
    """Parses files."""

    def parse(self, source: SourceFile, on_page: PageProgress) -> ParsedDocument:
        """Parse one file; ``on_page`` is told of each page whose text is recognised.

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

    Attributes:
        collection: name.
        folder: of the collection.
        database: the rows.
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
        self._home = home
        self.folder = home.collection(collection)
        self._settings = settings
        self.database = database
        self._embedder = embedder
        self._stages = Stages(progress)
        self._personal_data = PersonalDataFilter(settings.index, collection)
        self._found_personal: dict[str, dict[str, int]] = {}
        self._found_orders: dict[str, dict[str, int]] = {}
        self._served_embedder = embedder_name(self.folder)
        self._embedded_ahead = 0

    def add(
        self,
        paths: Sequence[Path],
        metadata: Mapping[str, object] | None = None,
        since: int | None = None,
    ) -> AddReport:
        """Add files and folders and switch to a new snapshot if anything changed.

        A file that cannot be read is refused and stops no other. Where none can be read, nothing is
        changed and the report lists the refused ones.

        Args:
            paths: files and folders.
            metadata: what holds of all of them, by key: a text or several; an empty one takes a key away.
            since: generation of the collection when this was asked for: what was removed later stays away.

        Raises:
            InputError: there are no files, a path does not exist, or the metadata cannot be used.
            ResourceError: another process changes the collection, or the disk is full.
        """
        requested = normalise_metadata(metadata or {}, "metadata")
        sources, refused = self.find(paths)
        if not sources and not refused:
            raise InputError(f"no documents in {', '.join(map(str, paths))}")
        with self.changing():
            outcomes = self.store(sources, refused, self.intake(requested, since))
            if not outcomes:
                return AddReport(
                    collection=self.collection, refused=tuple(refused), seconds=self._stages.seconds
                )
            published = self.publish()
        return reported(published, outcomes, refused)

    def remove(self, document: str) -> RemovalReport:
        """Remove a document; see ``remove_document``."""
        return remove_document(self.collection, self._home, self.database, document)

    def delete(self, document: str) -> None:
        """Remove a document from the database and hide it in all snapshots."""
        delete_document(self.collection, self.folder, self.database, document)

    def compact(self) -> AddReport:
        """Write the snapshot anew and remove all others, so that what was removed leaves the disk.

        Raises:
            NotFoundError: there is no such collection.
            ResourceError: another process changes the collection, or the disk is full.
        """
        self.existing()
        with self._locked():
            self._keeping().sweep()
            return self._report(self._publisher(kept=1).publish(self.existing(), always=True))

    def rebuild(self) -> AddReport:
        """Write the snapshot anew from the database, embedding what this embedder has not embedded yet.

        Raises:
            NotFoundError: there is no such collection.
            ResourceError: another process changes the collection, or the disk is full.
        """
        self.existing()
        with self._locked():
            return self.publish(always=True)

    def publish(self, *, always: bool = False) -> AddReport:
        """Serve a snapshot of what is stored, new only where that has changed or ``always``; lock held."""
        self._keeping().settle()
        report = self._report(self._publisher().publish(self.existing(), always=always))
        return msgspec.structs.replace(report, duplicates=self._compare())

    def _compare(self) -> DuplicateCounts:
        """Find the collection's near-duplicates, which are kept for ``index duplicates``."""
        stage = self._stages.stage("compare", "comparing documents", 1)
        with stage as progress, self.database.read() as session:
            chunks = Chunks(session)
            found = find_duplicates(self.folder, chunks.numbers(self.existing().id), chunks.numbered)
            progress.advance()
        return found.counts

    def _publisher(self, kept: int | None = None) -> Publisher:
        kept = kept or self._settings.index.snapshots_kept
        return Publisher(self.folder, self.database, self._embedder, self._stages, kept)

    def _report(self, published: Published) -> AddReport:
        return AddReport(
            collection=self.collection,
            document_count=published.document_count,
            chunk_count=published.chunk_count,
            embedded_count=self._embedded_ahead + published.embedded_count,
            snapshot=published.snapshot,
            personal_data=self._found_personal,
            orders=self._found_orders,
            seconds=self._stages.seconds,
        )

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the collection against other processes, with room on the disk.

        Raises:
            ResourceError: another process changes the collection, or the disk is full.
        """
        need_disk(self.folder)
        with self._locked():
            yield

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the collection, if it still has the embedder that it had when this builder was made."""
        with collection_lock(self.folder):
            now = embedder_name(self.folder)
            if now not in {self._served_embedder, self._embedder.name}:
                raise CollectionBusy(
                    f"collection {self.collection!r} was switched to embedder {now!r} meanwhile; try again"
                )
            yield

    def find(self, paths: Sequence[Path]) -> tuple[list[SourceFile], list[Refusal]]:
        """Return the files under paths, and those that cannot be read."""
        sources, refusals = find_sources(paths, self._settings.index)
        return sources, [refusal_of(error) for error in refusals]

    def intake(self, requested: Metadata | None = None, since: int | None = None) -> Intake:
        """Return what the collection knows of files; lock held."""
        rules = self._settings.index.metadata_rules
        return Intake(self.database, self.collection, self._recipes, rules, requested or {}, since)

    def store(
        self, sources: Sequence[SourceFile], refused: list[Refusal], intake: Intake
    ) -> dict[str, Outcome]:
        """Store what is new of files, each in a transaction of its own; lock held.

        Returns:
            document → what became of it; those that cannot be read are added to ``refused`` instead.
        """
        outcomes = {source.document: intake.judge(source) for source in sources}
        for document, outcome in outcomes.items():
            if outcome == "described":
                intake.describe(document)
        changed = [source for source in sources if outcomes[source.document] in {"added", "replaced"}]
        known = [source for source in sources if outcomes[source.document] in {"unchanged", "described"}]
        with self._keeping() as keeping:
            keeping.keep_known(known)
        if not changed:
            return outcomes
        with (
            self._keeping() as keeping,
            self._stages.stage("read", "reading files", len(changed)) as progress,
            self._open_parser(self._settings.index) as parser,
            EmbeddingAhead(self.database, self._embedder) as ahead,
        ):
            for source in changed:
                try:
                    parsed = parser.parse(source, _tell_pages(progress, source))
                    numbers = self._store(source, parsed, intake, keeping)
                    if numbers:
                        ahead.offer(numbers)
                    else:
                        outcomes[source.document] = "held"
                except FileRefused as error:
                    refused.append(refusal_of(error))
                    del outcomes[source.document]
                progress.advance(1, source.document)
        self._embedded_ahead += ahead.count
        return outcomes

    @property
    def _recipe(self) -> str:
        """What, beside the file, shapes the chunks: another one cuts an unchanged file anew."""
        # A mapping of ticket columns makes other chunks of the same table.
        columns = self._settings.index.ticket_columns
        tickets = "" if columns == TicketColumns() else f":{content_id(repr(columns), length=6)}"
        parsing = f"{CHUNKING}{self._personal_data.recipe}{tickets}"
        return f"{parsing}:{self._chunk_tokens}:{self._embedder.fingerprint}"[:_RECIPE_CHARACTERS]

    @cached_property
    def _recipes(self) -> tuple[str, ...]:
        """The recipe, and that of documents with pages left out because text recognition is missing.

        Once it is there, the latter is another one, so that they are read again.
        """
        gap = recognition_gap(self._settings.index)
        return (self._recipe, f"{self._recipe}:without-{gap}") if gap else (self._recipe,)

    @property
    def _chunk_tokens(self) -> int:
        return min(self._settings.index.chunk_tokens, self._embedder.max_tokens)

    def _keeping(self) -> Keeping:
        return Keeping(self.collection, self._home, self.database, self._settings.index)

    def _store(
        self, source: SourceFile, parsed: ParsedDocument, intake: Intake, keeping: Keeping
    ) -> list[int]:
        """Store a file's content and return its chunks' numbers.

        There are none where its document was removed meanwhile, which then stays so.
        """
        parsed, personal = self._personal_data.apply(parsed, source.path)
        orders = count_orders(parsed)
        parsed = with_warning(parsed, orders)
        number = intake.number(source)
        chunks = chunk_document(parsed, source.document, number, self._embedder.tokenizer, self._chunk_tokens)
        if not chunks:
            raise FileRefused(source.path, "it holds no text")
        version = NewVersion(
            document=source.document,
            number=number,
            sha256=source.sha256,
            recipe=self._recipes[-1] if parsed.unread_pages else self._recipe,
            size_bytes=source.size_bytes,
            title=parsed.title,
            page_count=parsed.page_count,
            warnings=parsed.warnings,
            metadata=intake.metadata(source.document, parsed.metadata, chunks) | orders_mark(orders),
            stated=parsed.metadata,
            requested=intake.requested(source.document),
        )
        with keeping.storing(source) as stored_with, self.database.write() as session:
            documents = Documents(session)
            collection = documents.make_collection(self.collection)
            if Removals(session, collection.id).is_since(intake.since, source.document):
                return []
            version_id = documents.save_version(collection.id, version)
            stored = Chunks(session)
            before = stored.keys(stored.numbers_of([version_id])).values()  # of a version that is cut anew
            stored.save(version_id, chunks, [passage_text(chunk) for chunk in chunks])
            numbers = stored.numbers_of([version_id])
            Embeddings(session).delete_unused(before)
            kept = self._settings.index.versions_kept
            stored_with(History(session, collection).prune(source.document, kept))
        if personal:
            self._found_personal[source.document] = personal
        if orders:
            self._found_orders[source.document] = orders
        return numbers

    def existing(self) -> Collection:
        """Return the collection as stored.

        Raises:
            NotFoundError: there is none.
        """
        with self.database.read() as session:
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


def _tell_pages(progress: Progress, source: SourceFile) -> PageProgress:
    return lambda done, total: progress.advance(0, f"{source.document}: {done} of {total} pages recognised")
