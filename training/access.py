"""Who may read what an example is made from: the documents' access lists, carried into every row.

A document's list is its metadata ``access`` (groups, one or several); a document without it is for
everybody. A context holds only passages that all readers of its question's document may read, as in
service, so a row's list is that of the documents that its answer stands on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from assistant.core.records import Metadata, Passage
from indexing.metadata import values_of

ACCESS = "access"
Readers = tuple[str, ...]


class AccessLists:
    """The access lists of a collection's documents.

    Args:
        metadata: document → its metadata.
    """

    def __init__(self, metadata: Mapping[str, Metadata]) -> None:
        found = {
            name: frozenset(value.casefold() for value in values_of(values, ACCESS))
            for name, values in metadata.items()
        }
        self._lists = {name: readers for name, readers in found.items() if readers}

    @property
    def fingerprint(self) -> tuple[str, ...]:
        """What changes with the lists."""
        return tuple(f"{name} {' '.join(sorted(own))}" for name, own in sorted(self._lists.items()))

    def common(self, documents: Iterable[str]) -> Readers | None:
        """Return who may read all of the documents: nobody in particular for everybody, None for nobody."""
        limited = [self._lists[name] for name in documents if name in self._lists]
        if not limited:
            return ()
        return tuple(sorted(frozenset.intersection(*limited))) or None

    def readable(self, passages: Sequence[Passage], readers: Readers | None) -> list[Passage]:
        """Return the passages that each of the readers may read, in order; of everybody, the open ones."""
        return [passage for passage in passages if self.admits(passage.chunk.document, readers or ())]

    def admits(self, document: str, readers: Readers) -> bool:
        """Return whether each of the readers, of everybody where there are none, may read a document."""
        own = self._lists.get(document)
        return own is None or (bool(readers) and own.issuperset(readers))


EVERYBODY = AccessLists({})
