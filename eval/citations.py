"""Whether citations hold and point at the right place, without a judge."""

from __future__ import annotations

from assistant.core.records import Answer, Case, Chunk, Citation, Gold, Record
from eval.retrieval import holds_evidence, is_right, is_same_document, shown_text


class CitationCounts(Record, frozen=True, kw_only=True):
    """The citations of one answer.

    Attributes:
        cited: all.
        verbatim: those whose quote stands in the cited chunk of the context.
        right: the verbatim ones that point at a gold.
    """

    cited: int
    verbatim: int
    right: int


def count_citations(case: Case, answer: Answer) -> CitationCounts:
    """Return how many citations an answer has, and how many hold and are right."""
    chunks = {passage.chunk.id: passage.chunk for passage in answer.passages}
    holding = [
        (citation, chunks[citation.chunk_id])
        for citation in answer.citations
        if citation.chunk_id in chunks and is_verbatim(citation, chunks[citation.chunk_id])
    ]
    right = [chunk for _, chunk in holding if any(points_at(gold, chunk) for gold in case.gold)]
    return CitationCounts(cited=len(answer.citations), verbatim=len(holding), right=len(right))


def is_verbatim(citation: Citation, chunk: Chunk) -> bool:
    """Return whether the quote stands in the chunk exactly where the citation says."""
    quote = citation.quote
    return (
        bool(quote.strip())
        and citation.document == chunk.document
        and 0 <= citation.start <= citation.end
        and chunk.text[citation.start : citation.end] == quote
    )


def points_at(gold: Gold, chunk: Chunk) -> bool:
    """Return whether a cited chunk is a right place for a gold.

    Its document is the gold's, and it starts on the gold's page or holds the gold's evidence (a
    chunk may begin a page earlier); a gold without page and evidence is met as in retrieval.
    """
    if gold.page is None or not gold.evidence:
        return is_right(gold, chunk)
    return is_same_document(gold.doc, chunk.document) and (
        chunk.page == gold.page or holds_evidence(gold.evidence, shown_text(chunk))
    )
