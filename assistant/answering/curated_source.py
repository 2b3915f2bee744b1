"""The curated answers of one collection, as the route asks for them."""

from __future__ import annotations

from assistant.answering.curated import CuratedAnswers
from assistant.answering.routing import CuratedFound
from assistant.core.records import Filters
from indexing.search import Searcher


class CollectionCurated:
    """Curated answers of one collection; the embedder of its index tells what is alike.

    Args:
        answers: of all collections.
        collection: name.
        searcher: whose embedder is used.
    """

    def __init__(self, answers: CuratedAnswers, collection: str, searcher: Searcher) -> None:
        self._answers = answers
        self._collection = collection
        self._searcher = searcher

    def match(self, question: str, filters: Filters) -> CuratedFound | None:
        """Return the curated answer that may be given under the filters, None if there is none."""
        found = self._answers.match(self._collection, question, filters=filters)
        if found is None and self._answers.holds(self._collection):
            # a question is embedded here only where an answer may be found for it
            embedder = self._searcher.embedder
            embedding = embedder.embed_queries([question])[0]
            found = self._answers.match(
                self._collection, question, embedding, embedder=embedder, filters=filters
            )
        if found is None:
            return None
        answer = found.answer
        return CuratedFound(
            id=answer.id, text=answer.text, citations=answer.citations, likeness=found.likeness
        )
