"""Which versions of documents were removed: what quotes them is withheld from then on."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from assistant.store.tables import CollectionRow, DocumentAliasRow, DocumentRow, VersionRow

Source = tuple[str, str, int]  # collection, path that the document has or had, number of the version
_PATHS_PER_QUERY = 500


def removed_sources(session: Session, sources: Iterable[Source]) -> set[Source]:
    """Return those of the sources whose document was removed; one that is only older now stays."""
    wanted = set(sources)
    paths = sorted({path for _, path, _ in wanted})
    found: set[Source] = set()
    for start in range(0, len(paths), _PATHS_PER_QUERY):
        part = paths[start : start + _PATHS_PER_QUERY]
        removed = (
            select(CollectionRow.name, DocumentRow.path, VersionRow.number)
            .join(DocumentRow, DocumentRow.collection_id == CollectionRow.id)
            .join(VersionRow, VersionRow.document_id == DocumentRow.id)
            .where(VersionRow.state == "deleted")
        )
        present = removed.where(DocumentRow.path.in_(part))
        former = (
            removed.with_only_columns(CollectionRow.name, DocumentAliasRow.path, VersionRow.number)
            .join(DocumentAliasRow, DocumentAliasRow.document_id == DocumentRow.id)
            .where(DocumentAliasRow.path.in_(part))
        )
        for query in (present, former):
            found.update((name, path, number) for name, path, number in session.execute(query))
    return wanted & found
