"""A collection made equal to a folder: what is new, changed, renamed or gone there is so here."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

import msgspec

from assistant.core.errors import IndexBroken, InputError, NotFoundError
from assistant.core.records import Record
from assistant.store.documents import Version
from assistant.store.history import History
from indexing.build import Builder
from indexing.duplicates import DuplicateCounts
from indexing.intake import Intake, Outcome
from indexing.metadata import normalise_metadata
from indexing.reports import AddReport, Refusal, reported
from indexing.sources import SourceFile
from indexing.versions import Renaming

_MOST_REMOVED = 0.5


class SyncReport(Record, frozen=True, kw_only=True):
    """What a sync did, or would do.

    Attributes:
        collection: name.
        folder: that it was made equal to.
        is_dry_run: nothing was changed.
        added: new documents.
        replaced: documents with new content.
        described: documents whose content is unchanged and whose metadata is not.
        renamed: documents whose file lies elsewhere now.
        removed: documents whose file is gone.
        unchanged: documents that were there already.
        held: files left out because an older version was restored, the collection rolled back or the document
            removed since.
        refused: files that could not be read; a document that such a file once was is kept.
        document_count: documents in the collection now.
        chunk_count: chunks in the collection now.
        snapshot: name of the served snapshot.
        personal_data: document → kind → how much was found in the documents stored now.
        orders: document → kind → how many orders to a language model were found in them.
        duplicates: what stands in several documents of the collection.
    """

    collection: str
    folder: str
    is_dry_run: bool = False
    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    described: tuple[str, ...] = ()
    renamed: tuple[Renaming, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    document_count: int = 0
    chunk_count: int = 0
    snapshot: str = ""
    personal_data: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    orders: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    duplicates: DuplicateCounts = DuplicateCounts()

    @property
    def indexed_count(self) -> int:
        """Files that are in the collection now."""
        return sum(map(len, (self.added, self.replaced, self.unchanged, self.described, self.renamed)))

    @property
    def is_equal(self) -> bool:
        """Nothing was, or is, to be done."""
        return not (self.added or self.replaced or self.described or self.renamed or self.removed)


def sync(
    builder: Builder,
    folder: Path,
    *,
    is_dry_run: bool = False,
    may_remove_most: bool = False,
    metadata: Mapping[str, object] | None = None,
    since: int | None = None,
) -> SyncReport:
    """Make a collection equal to a folder; unchanged files cost a hash.

    Args:
        builder: of the collection.
        folder: its files, by path relative to it, are the documents.
        is_dry_run: tell what would be done and change nothing.
        may_remove_most: go on where more than half of the documents would be removed.
        metadata: what holds of all files, by key.
        since: generation of the collection when this was asked for: what was removed later stays away.

    Raises:
        InputError: there is no such folder, or more than half of the documents would be removed.
        ResourceError: another process changes the collection, or the disk is full.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: an index sync makes a collection equal to one")
    requested = normalise_metadata(metadata or {}, "metadata")
    sources, refused = builder.find([folder])
    with nullcontext() if is_dry_run else builder.changing():
        intake = builder.intake(requested, since)
        plan = _plan(builder, folder, sources, refused, intake)
        if is_dry_run:
            return msgspec.structs.replace(plan, is_dry_run=True)
        if not may_remove_most and len(plan.removed) > _MOST_REMOVED * len(intake.live):
            raise InputError(
                f"{len(plan.removed)} of {len(intake.live)} documents would be removed, because their files "
                f"are not in {folder}: look at them with --dry-run; --yes goes on"
            )
        if plan.renamed:
            _rename(builder, plan.renamed, intake.live)
            intake = builder.intake(requested, intake.since)
        outcomes = builder.store(sources, refused, intake)
        for document in plan.removed:
            _delete(builder, document)
        return _done(plan, builder, outcomes, refused)


def _plan(
    builder: Builder, folder: Path, sources: Sequence[SourceFile], refused: Sequence[Refusal], intake: Intake
) -> SyncReport:
    outcomes = {source.document: intake.judge(source) for source in sources}
    unread = _unread(folder, refused)
    gone = [name for name in intake.live if name not in outcomes and not _is_under(name, unread)]
    renamed = _renamings(builder, [intake.live[name] for name in gone], sources, outcomes)
    moved = {pair.old for pair in renamed}
    for pair in renamed:
        del outcomes[pair.new]
    planned = reported(AddReport(collection=builder.collection, seconds={}), outcomes, refused)
    return SyncReport(
        collection=builder.collection,
        folder=str(folder),
        added=planned.added,
        replaced=planned.replaced,
        described=planned.described,
        renamed=renamed,
        removed=tuple(name for name in gone if name not in moved),
        unchanged=planned.unchanged,
        held=planned.held,
        refused=planned.refused,
        document_count=len(intake.live),
    )


def _renamings(
    builder: Builder,
    gone: Iterable[Version],
    sources: Iterable[SourceFile],
    outcomes: Mapping[str, Outcome],
) -> tuple[Renaming, ...]:
    """Pair files that came with documents that went, by content; a path that another document had is new."""
    by_content: defaultdict[str, list[Version]] = defaultdict(list)
    for version in gone:
        by_content[version.sha256].append(version)
    pairs = []
    if by_content:
        with builder.database.read() as session:
            history = History(session, builder.existing())
            for source in sources:
                left = by_content.get(source.sha256)
                if left and outcomes[source.document] == "added":
                    free = [v for v in left if history.is_free(source.document, v.document_id)]
                    for version in free[:1]:
                        left.remove(version)
                        pairs.append(Renaming(old=version.document, new=source.document))
    return tuple(pairs)


def _rename(builder: Builder, pairs: Sequence[Renaming], live: Mapping[str, Version]) -> None:
    with builder.database.write() as session:
        history = History(session, builder.existing())
        for pair in pairs:
            history.rename(live[pair.old], pair.new)


def _delete(builder: Builder, document: str) -> None:
    with suppress(NotFoundError):  # somebody removed it meanwhile
        try:
            builder.delete(document)
        except IndexBroken:  # in a served snapshot that is damaged nothing can be hidden: it is written anew
            builder.publish()
            builder.delete(document)


def _done(
    plan: SyncReport, builder: Builder, outcomes: Mapping[str, Outcome], refused: Sequence[Refusal]
) -> SyncReport:
    if not outcomes and not plan.document_count:  # not one file could be read
        return msgspec.structs.replace(plan, added=(), refused=tuple(refused))
    new = {pair.new for pair in plan.renamed}
    published = builder.publish()
    told = reported(published, {name: row for name, row in outcomes.items() if name not in new}, refused)
    return msgspec.structs.replace(
        plan,
        added=told.added,
        replaced=told.replaced,
        described=told.described,
        unchanged=told.unchanged,
        held=told.held,
        refused=told.refused,
        document_count=told.document_count,
        chunk_count=told.chunk_count,
        snapshot=told.snapshot,
        personal_data=told.personal_data,
        orders=told.orders,
        duplicates=told.duplicates,
    )


def _unread(folder: Path, refused: Iterable[Refusal]) -> list[str]:
    """Return the documents, or folders of them, that could not be read: they are not gone."""
    paths = [Path(refusal.path) for refusal in refused]
    inside = [path.relative_to(folder).as_posix() for path in paths if path.is_relative_to(folder)]
    return [unicodedata.normalize("NFC", name) for name in inside if name != "."]


def _is_under(document: str, names: Iterable[str]) -> bool:
    return any(document == name or document.startswith(f"{name}/") for name in names)
