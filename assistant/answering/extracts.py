"""An answer without a language model: the best quotes of the best passages, said to be just that."""

from __future__ import annotations

from assistant.answering.citations import make_citation
from assistant.core.language import Language
from assistant.core.prompts import render
from assistant.core.records import Citation, Passage

_QUOTES = 3


def extract(
    question: str, language: Language, passages: tuple[Passage, ...]
) -> tuple[str, tuple[Citation, ...]]:
    """Return a text of verbatim quotes with their marks, and the citations.

    Args:
        question: as asked.
        language: of the sentence before the quotes.
        passages: the context, best first; at least one.
    """
    citations = tuple(
        make_citation(number, passage, question) for number, passage in enumerate(passages[:_QUOTES], 1)
    )
    lines = (f"“{' '.join(citation.quote.split())}” [{citation.number}]" for citation in citations)
    return render("extract", language, quotes="\n".join(lines)), citations
