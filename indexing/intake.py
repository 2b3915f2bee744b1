"""What a collection knows of a file that comes in: whether it is new, and what holds of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from assistant.core.records import Chunk, Metadata
from assistant.store.chunks import Chunks
from assistant.store.database import Database
from assistant.store.documents import Documents, Version
from assistant.store.history import History
from assistant.store.removals import Removals
from indexing.metadata import check_rules, main_languages, merge_metadata, path_metadata
from indexing.orders import MARK
from indexing.sources import SourceFile

Outcome = Literal["added", "replaced", "unchanged", "described", "held"]


class Intake:
    """Compares files with what a collection holds. The collection's lock is held by the caller.

    Args:
        database: the rows.
        collection: name.
        recipes: what, beside the file, shapes the chunks: those of which an unchanged file is cut already.
        rules: ``[[index.metadata_rules]]``.
        requested: metadata that came with the request, normalised.
        since: generation of the collection when the work was asked for, the present one where None.

    Attributes:
        since: documents removed after this generation stay away.
        live: path → live version.
    """

    def __init__(
        self,
        database: Database,
        collection: str,
        recipes: Sequence[str],
        rules: Sequence[Mapping[str, object]],
        requested: Metadata,
        since: int | None = None,
    ) -> None:
        self._database = database
        self._name = collection
        self._recipes = recipes
        self._rules = check_rules(rules)
        self._requested = requested
        with database.read() as session:
            documents = Documents(session)
            self._collection = documents.find_collection(collection)
            found = self._collection
            live = documents.live_versions(found.id) if found else []
            newest = documents.newest_versions(found.id) if found else []
            self.since = since if since is not None else found.generation if found else 0
            self._removed = Removals(session, found.id).since(self.since) if found else set()
        self.live: dict[str, Version] = {version.document: version for version in live}
        self._newest: dict[str, Version] = {version.document: version for version in newest}

    def judge(self, source: SourceFile) -> Outcome:
        """Tell what adding a file does, without changing anything.

        A file whose content was stored last but is not what answers, because an older version was restored
        or the collection rolled back, is ``held``: only another content ends that. So is one whose document
        was removed after the work was asked for.
        """
        if source.document in self._removed:
            return "held"
        live, newest = self.live.get(source.document), self._newest.get(source.document)
        if live and live.sha256 == source.sha256 and live.recipe in self._recipes:
            return "described" if self._description(live) else "unchanged"
        if newest and newest.state != "live" and newest.sha256 == source.sha256:
            return "held"
        return "replaced" if live else "added"

    def number(self, source: SourceFile) -> int:
        """Return the number of a file's version: its own where it is cut anew, else the next one."""
        live = self.live.get(source.document)
        if live and live.sha256 == source.sha256:
            return live.number
        with self._database.read() as session:
            documents = Documents(session)
            found = documents.find_collection(self._name)
            return documents.next_number(found.id, source.document) if found else 1

    def metadata(self, document: str, stated: Metadata, chunks: Sequence[Chunk]) -> Metadata:
        """Return what holds of a new version of a document."""
        found = main_languages(chunk.language for chunk in chunks)
        return merge_metadata([found, path_metadata(self._rules, document), stated, self.requested(document)])

    def requested(self, document: str) -> Metadata:
        """Return what was requested for a document, now or when it was added before."""
        known = self.live.get(document) or self._newest.get(document)
        return {**(known.requested if known else {}), **self._requested}

    def describe(self, document: str) -> None:
        """Store what holds now of a document whose content is unchanged."""
        version = self.live[document]
        metadata = self._description(version)
        if metadata is not None and self._collection is not None:
            with self._database.write() as session:
                history = History(session, self._collection)
                history.describe(version, metadata, self.requested(document))

    def _description(self, version: Version) -> Metadata | None:
        """Return an unchanged version's metadata where it differs from what is stored."""
        rules, requested = path_metadata(self._rules, version.document), self.requested(version.document)
        merged = merge_metadata([self._language(version), rules, version.stated, requested])
        merged |= {key: value for key, value in version.metadata.items() if key == MARK}
        return None if (merged, requested) == (version.metadata, version.requested) else merged

    def _language(self, version: Version) -> Metadata:
        if "language" in version.metadata:
            return {"language": version.metadata["language"]}
        with self._database.read() as session:
            return main_languages(chunk.language for chunk in Chunks(session).of(version.id))
