"""Earlier states brought back: a version of one document, or a whole snapshot; and what differs between two.

Both change the database, which is the truth, and then publish: what comes after builds on what is served,
and what was removed in between stays removed, because its rows are gone.
"""

from __future__ import annotations

from pathlib import Path

from assistant.core.errors import IndexBroken, NotFoundError
from assistant.core.records import Record
from assistant.store.documents import Version
from assistant.store.history import History
from indexing.build import Builder
from indexing.contents import Contents, read_contents
from indexing.reports import AddReport
from indexing.snapshots import current_name, read_manifest, snapshot_folders


class SnapshotLine(Record, frozen=True, kw_only=True):
    """A kept snapshot; ``problem`` says why it cannot be read, where it cannot."""

    snapshot: str
    is_served: bool
    generation: int = 0
    created: str = ""
    document_count: int = 0
    chunk_count: int = 0
    embedder: str = ""
    problem: str = ""


class Renaming(Record, frozen=True, kw_only=True):
    """A document that stands under another path now."""

    old: str
    new: str


class Replacement(Record, frozen=True, kw_only=True):
    """A document of which another version answers."""

    document: str
    old_version: int
    new_version: int


class SnapshotDiff(Record, frozen=True, kw_only=True):
    """What differs from one snapshot to another.

    Attributes:
        old: snapshot.
        new: snapshot.
        added: paths.
        removed: paths.
        renamed: the same document under another path.
        replaced: another version of the same document.
        old_chunk_count: chunks of the old one.
        new_chunk_count: chunks of the new one.
    """

    old: str
    new: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: tuple[Renaming, ...]
    replaced: tuple[Replacement, ...]
    old_chunk_count: int
    new_chunk_count: int


class RollbackReport(Record, frozen=True, kw_only=True):
    """What a rollback did.

    Attributes:
        collection: name.
        target: the snapshot whose state was wanted.
        snapshot: the snapshot that is served now.
        document_count: documents in it.
        chunk_count: chunks in it.
        left_out: documents of the target that were removed, or whose version is kept no more.
    """

    collection: str
    target: str
    snapshot: str
    document_count: int
    chunk_count: int
    left_out: tuple[str, ...] = ()


def list_snapshots(folder: Path) -> list[SnapshotLine]:
    """Return the kept snapshots of a collection's folder, oldest first."""
    served = current_name(folder)
    return [_snapshot_line(path, folder.name, served) for path in snapshot_folders(folder)]


def _snapshot_line(path: Path, collection: str, served: str | None) -> SnapshotLine:
    is_served = path.name == served
    try:
        manifest = read_manifest(path, collection)
    except IndexBroken as error:
        return SnapshotLine(snapshot=path.name, is_served=is_served, problem=error.message)
    return SnapshotLine(
        snapshot=path.name,
        is_served=is_served,
        generation=manifest.generation,
        created=manifest.created,
        document_count=manifest.document_count,
        chunk_count=manifest.chunk_count,
        embedder=manifest.embedder,
    )


def diff(folder: Path, old: str, new: str) -> SnapshotDiff:
    """Return what differs between two kept snapshots.

    Raises:
        NotFoundError: one is not kept.
        IndexBroken: one is damaged.
    """
    before, after = _contents(folder, old), _contents(folder, new)
    paths = {entry.document_id: path for path, entry in before.items()}
    pairs = [(paths.get(entry.document_id), path) for path, entry in after.items()]
    common = [(was, now) for was, now in pairs if was is not None]
    return SnapshotDiff(
        old=_name(old),
        new=_name(new),
        added=tuple(now for was, now in pairs if was is None),
        removed=tuple(sorted(set(before) - {was for was, _ in common})),
        renamed=tuple(Renaming(old=was, new=now) for was, now in common if was != now),
        replaced=tuple(
            Replacement(document=now, old_version=before[was].version, new_version=after[now].version)
            for was, now in common
            if before[was].version != after[now].version
        ),
        old_chunk_count=sum(entry.chunk_count for entry in before.values()),
        new_chunk_count=sum(entry.chunk_count for entry in after.values()),
    )


def restore(builder: Builder, document: str, number: int) -> AddReport:
    """Make an older version of a document the one that answers.

    It stays so until the document's file changes again: adding the content that was replaced by this is
    ``held``.

    Raises:
        NotFoundError: the version is not kept, or there is no such document or collection.
        ResourceError: another process changes the collection, or the disk is full.
    """
    builder.existing()
    with builder.changing():
        with builder.database.write() as session:
            history = History(session, builder.existing())
            history.serve(history.version(document, number))
        return builder.publish()


def rollback(builder: Builder, snapshot: str) -> RollbackReport:
    """Serve the state of an earlier snapshot again: its documents at its versions under its paths.

    It is written as a new snapshot and switched to, so that later changes build on it. What was removed since
    stays removed, metadata stays as it is now, and files that are as they were before the rollback are
    ``held`` until they change.

    Raises:
        NotFoundError: the snapshot is not kept, or there is no such collection.
        ResourceError: another process changes the collection, or the disk is full.
    """
    builder.existing()
    with builder.changing():
        contents = _contents(builder.folder, snapshot)
        with builder.database.write() as session:
            history = History(session, builder.existing())
            kept = history.kept()
            known = {(version.document_id, version.number): version for version in kept}
            found = {path: known.get((entry.document_id, entry.version)) for path, entry in contents.items()}
            wanted = {version.document_id: version.id for version in found.values() if version}
            history.serve_all(wanted, {version.document_id for version in kept})
            for path, version in found.items():
                _rename_back(history, path, version)
        published = builder.publish()
    return RollbackReport(
        collection=builder.collection,
        target=_name(snapshot),
        snapshot=published.snapshot,
        document_count=published.document_count,
        chunk_count=published.chunk_count,
        left_out=tuple(path for path, version in found.items() if version is None),
    )


def _rename_back(history: History, path: str, version: Version | None) -> None:
    if version is not None and version.document != path and history.is_free(path, version.document_id):
        history.rename(version, path)


def _name(snapshot: str) -> str:
    return snapshot.zfill(6) if snapshot.isdigit() else snapshot


def _contents(folder: Path, snapshot: str) -> Contents:
    """Return the documents of a kept snapshot.

    Raises:
        NotFoundError: it is not kept.
        IndexBroken: it is damaged, or an earlier Deskmate wrote it.
    """
    name = _name(snapshot)
    found = {path.name: path for path in snapshot_folders(folder)}
    if name not in found:
        kept = ", ".join(found) or "none"
        raise NotFoundError(
            f"collection {folder.name!r} keeps no snapshot {snapshot!r}; kept: {kept}",
            next_command=f"deskmate index snapshots --collection {folder.name}",
        )
    read_manifest(found[name], folder.name)  # of the present format
    return read_contents(found[name])
