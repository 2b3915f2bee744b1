"""The lexical lane: BM25 over analysed terms, in a tantivy folder."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from assistant.core.errors import IndexBroken
from indexing.analysis import analyze

_FIELD, _NUMBER = "terms", "number"
_QUERY_TERMS = 256
_HEAP_BYTES = 64 << 20


def _schema() -> Any:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field(_FIELD, tokenizer_name="whitespace", index_option="freq")
    builder.add_unsigned_field(_NUMBER, stored=True, fast=True)
    return builder.build()


def write_lexical(folder: Path, texts: Iterable[tuple[int, str]]) -> None:
    """Write an index of (number, text) into a new folder."""
    import tantivy

    folder.mkdir(parents=True)
    index = tantivy.Index(_schema(), str(folder))
    writer = index.writer(_HEAP_BYTES, 1)  # one thread makes one segment, and the same one each time
    for number, text in texts:
        # terms hold no space, so that splitting at spaces gives them back unchanged
        row = tantivy.Document()
        row.add_text(_FIELD, " ".join(analyze(text)))
        row.add_unsigned(_NUMBER, number)
        writer.add_document(row)
    writer.commit()
    writer.wait_merging_threads()
    for lock in folder.glob(".tantivy-*.lock"):
        lock.unlink()


class LexicalIndex:
    """A folder written by ``write_lexical``. Safe to search from several threads.

    Raises:
        IndexBroken: the folder cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        import tantivy

        try:
            self._index: Any = tantivy.Index.open(str(folder))
        except ValueError as error:
            raise IndexBroken(f"lexical index {folder} cannot be read: {error}") from error
        self._searcher: Any = self._index.searcher()

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def search(self, query: str, count: int) -> list[tuple[int, float]]:
        """Return up to ``count`` (number, BM25 score), best first.

        The query's terms are looked up as they are: no character of it is syntax.
        """
        import tantivy

        terms = list(dict.fromkeys(analyze(query)))[:_QUERY_TERMS]
        if not terms or not len(self):
            return []
        parts = [
            (tantivy.Occur.Should, tantivy.Query.term_query(self._index.schema, _FIELD, term, "freq"))
            for term in terms
        ]
        found = self._searcher.search(tantivy.Query.boolean_query(parts), min(count, len(self)), count=False)
        return [(int(self._searcher.doc(address)[_NUMBER][0]), float(score)) for score, address in found.hits]

    def rarity(self, term: str) -> float:
        """Return a term's inverse document frequency as BM25 has it; an absent term is the rarest."""
        holding = self._searcher.doc_freq(_FIELD, term)
        return math.log1p((len(self) - holding + 0.5) / (holding + 0.5))
