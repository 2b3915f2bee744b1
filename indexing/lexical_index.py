"""The lexical lane: BM25 over analysed terms, in a tantivy folder.

Words of the collection's own lie in the folder, so that texts and queries are cut by the same ones.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Any

from assistant.core.errors import IndexBroken
from indexing.analysis import analyze, own_words

WORDS_FILE = "words.txt"
_FIELD, _NUMBER = "terms", "number"
_QUERY_TERMS = 256
_HEAP_BYTES = 64 << 20
_WIDENING = 8
_MOST_LISTED = 10_000  # so many numbers in a query cost 7 ms; to find one in a hundred by asking wider, 20


def _schema() -> Any:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field(_FIELD, tokenizer_name="whitespace", index_option="freq")
    builder.add_unsigned_field(_NUMBER, indexed=True, fast=True)
    return builder.build()


def write_lexical(folder: Path, texts: Iterable[tuple[int, str]], words: Sequence[str] = ()) -> None:
    """Write an index of (number, text) into a new folder.

    Args:
        folder: that is made.
        texts: number and text.
        words: of the collection's own (``new_words``).
    """
    import tantivy

    folder.mkdir(parents=True)
    if words:
        (folder / WORDS_FILE).write_text("\n".join(words), "utf-8")
    _change(tantivy.Index(_schema(), str(folder)), (), texts, own_words(words))
    _unlock(folder)


def update_lexical(folder: Path, gone: Sequence[int], texts: Iterable[tuple[int, str]]) -> None:
    """Take numbers out of a written index and add (number, text) to it.

    Files that are there are never written to, so that they may be links to those of another index.
    """
    _change(_opened(folder), gone, texts, own_words(read_words(folder)))
    _unlock(folder)


def read_words(folder: Path) -> list[str]:
    """Return the words of the collection's own that an index was written with."""
    try:
        return (folder / WORDS_FILE).read_text("utf-8").split("\n")
    except FileNotFoundError:
        return []


def _change(
    index: Any, gone: Sequence[int], texts: Iterable[tuple[int, str]], own: re.Pattern[str] | None
) -> None:
    import tantivy

    writer = index.writer(_HEAP_BYTES, 1)  # one thread makes one segment, and the same one each time
    if gone:  # by query: by term, numbers are taken as signed and nothing is deleted
        writer.delete_documents_by_query(tantivy.Query.term_set_query(index.schema, _NUMBER, gone))
    for number, text in texts:
        # terms hold no space, so that splitting at spaces gives them back unchanged
        row = tantivy.Document()
        row.add_text(_FIELD, " ".join(analyze(text, own)))
        row.add_unsigned(_NUMBER, number)
        writer.add_document(row)
    writer.commit()
    writer.wait_merging_threads()


def _unlock(folder: Path) -> None:
    for lock in folder.glob(".tantivy-*.lock"):
        lock.unlink()


class LexicalIndex:
    """A folder written by ``write_lexical``. Safe to search from several threads.

    Attributes:
        dead: numbers that are not found.

    Raises:
        IndexBroken: the folder cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        index = _opened(folder)
        self._schema: Any = index.schema
        self._searcher: Any = index.searcher()
        self._own_words = own_words(read_words(folder))
        self.dead: Set[int] = frozenset()

    def without(self, removed: Set[int]) -> LexicalIndex:
        """Return the same index with numbers that are no longer found."""
        fewer = copy.copy(self)
        fewer.dead = self.dead | removed
        return fewer

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def search(self, query: str, count: int, allowed: Set[int] | None = None) -> list[tuple[int, float]]:
        """Return up to ``count`` (number, BM25 score), best first.

        The query's terms are looked up as they are: no character of it is syntax.

        Args:
            query: a text.
            count: most that are returned.
            allowed: search among these numbers only.
        """
        import tantivy

        terms = list(dict.fromkeys(analyze(query, self._own_words)))[:_QUERY_TERMS]
        if not terms or not len(self):
            return []
        parts = [
            (tantivy.Occur.Should, tantivy.Query.term_query(self._schema, _FIELD, term, "freq"))
            for term in terms
        ]
        asked = tantivy.Query.boolean_query(parts)
        if allowed is not None and len(allowed) <= _MOST_LISTED:
            listed = tantivy.Query.term_set_query(self._schema, _NUMBER, sorted(allowed))
            only = tantivy.Query.const_score_query(listed, 0.0)
            asked = tantivy.Query.boolean_query([(tantivy.Occur.Must, asked), (tantivy.Occur.Must, only)])
        limit = min(count, len(self))
        while True:
            hits = self._searcher.search(asked, limit, count=False).hits
            numbers = self._searcher.fast_field_values(_NUMBER, [address for _, address in hits])
            found = [(int(number), float(hit[0])) for number, hit in zip(numbers, hits, strict=True)]
            found = [row for row in found if row[0] not in self.dead]
            if allowed is not None:
                found = [row for row in found if row[0] in allowed]
            # asked for more until enough are allowed or none is left, so that no allowed one is lost
            wanted = count if allowed is None else min(count, len(allowed))
            if len(found) >= wanted or len(hits) < limit or limit == len(self):
                return found[:count]
            limit = min(limit * _WIDENING, len(self))

    def rarity(self, term: str) -> float:
        """Return a term's inverse document frequency as BM25 has it; an absent term is the rarest."""
        holding = self._searcher.doc_freq(_FIELD, term)
        return math.log1p((len(self) - holding + 0.5) / (holding + 0.5))


def _opened(folder: Path) -> Any:
    import tantivy

    try:
        return tantivy.Index.open(str(folder))
    except ValueError as error:
        raise IndexBroken(f"lexical index {folder} cannot be read: {error}") from error
