"""Orders to a language model in documents: counted when a document is read, and kept with it as a mark.

The text is indexed as it stands, since a person may search for it; an answer's engine does not get to see
such sentences (``assistant.answering.guarding``). The mark is metadata, so that they can be listed and
filtered out: ``injected_orders`` has the kinds that were found. A document's own metadata cannot take it
away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from assistant.core.injection import find_injections
from assistant.core.records import Metadata, ParsedDocument

MARK = "injected_orders"


def count_orders(parsed: ParsedDocument) -> dict[str, int]:
    """Return kind → how many orders to a language model stand in a document's text and title."""
    texts = [element.text for element in parsed.elements]
    texts += [] if parsed.title in texts else [parsed.title]
    counts = Counter(row.kind for text in texts for row in find_injections(text))
    return {kind: counts[kind] for kind in sorted(counts)}


def with_warning(parsed: ParsedDocument, counts: Mapping[str, int]) -> ParsedDocument:
    """Return the document with a warning that counts its orders."""
    if not counts:
        return parsed
    told = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    warning = f"orders to a language model, which no answer follows: {told}"
    return msgspec.structs.replace(parsed, warnings=(*parsed.warnings, warning))


def orders_mark(counts: Mapping[str, int]) -> Metadata:
    """Return the mark as metadata, none where nothing was found."""
    return {MARK: tuple(counts)} if counts else {}
