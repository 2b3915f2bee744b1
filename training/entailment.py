"""Whether a chunk carries an answer in other words: sentence by sentence, by embedding.

A sentence that stands in the chunk needs no check. Of another one the nearest sentence of the chunk must
be nearer than what unrelated chunks of the same language offer: so many spreads above their mean, since
the cosines of each embedder lie elsewhere. What this cannot see is a claim that turns the chunk's words
around; numbers, codes and quantities are held to be verbatim before.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np

from assistant.core.sentences import split_sentences
from indexing.analysis import fold
from indexing.embedding import Embedder, Vectors
from training.checks import WRITTEN_BY_RULES, Verdict
from training.pairs import Pair

# measured on product-support FAQ: keeps every answer with its own chunk, and 5 % with another pair's
LEAST_SPREADS = 3.0
_STRANGERS = 64
_LEAST_STRANGERS = 8
_LEAST_SPREAD = 0.01
_SEED = 7


def unsupported(pairs: Sequence[Pair], first: int, embedder: Embedder) -> dict[int, Verdict]:
    """Return the pairs from ``first`` on with a sentence that their chunks do not carry.

    Args:
        pairs: of one collection; the chunks of all of them are what is unrelated.
        first: earlier ones are not checked.
        embedder: of the collection.
    """
    wanted = {
        place: claims for place, pair in enumerate(pairs) if place >= first and (claims := _free_claims(pair))
    }
    if not wanted:
        return {}
    claims = list(dict.fromkeys(claim for own in wanted.values() for claim in own))
    pieces = {place: _pieces(pairs[place]) for place in wanted}
    strangers = _strangers(pairs)
    texts = list(dict.fromkeys([*claims, *_flat(pieces.values()), *_flat(strangers.values())]))
    vectors = dict(zip(texts, embedder.embed_passages(texts), strict=True))
    found: dict[int, Verdict] = {}
    for place, own in wanted.items():
        chunk_ids = {chunk.id for chunk in pairs[place].chunks}
        language = pairs[place].chunk.language
        others = [
            text
            for (chunk_id, other), held in strangers.items()
            if chunk_id not in chunk_ids and other == language
            for text in held
        ]
        if len(others) < _LEAST_STRANGERS:
            continue
        values = {
            claim: _spreads(vectors[claim], _stacked(vectors, pieces[place]), _stacked(vectors, others))
            for claim in own
        }
        worst = min(values, key=values.__getitem__)
        if values[worst] < LEAST_SPREADS:
            found[place] = Verdict("not carried by embedding", f"{values[worst]:.1f}: {worst}")
    return found


def _spreads(claim: Vectors, own: Vectors, others: Vectors) -> float:
    cosines = others @ claim
    return float(((own @ claim).max() - cosines.mean()) / max(float(cosines.std()), _LEAST_SPREAD))


def _free_claims(pair: Pair) -> list[str]:
    """Return the sentences of an answer that a person or a teacher worded and the chunk does not hold."""
    is_free = pair.teacher not in WRITTEN_BY_RULES and pair.is_covered and bool(pair.chunks)
    if not is_free or pair.answer.startswith("{"):
        return []
    held = _squeezed(" ".join(chunk.text for chunk in pair.chunks))
    said = [span.text for span in split_sentences(pair.answer)]
    free = [text for text in said if text not in pair.added]  # a greeting claims nothing
    return [text for text in free if _squeezed(text).rstrip(".。!！") not in held]


def _pieces(pair: Pair) -> list[str]:
    return [
        text
        for chunk in pair.chunks
        for text in (chunk.text, *(span.text for span in split_sentences(chunk.text)))
    ]


def _strangers(pairs: Sequence[Pair]) -> dict[tuple[str, str], list[str]]:
    """Return some chunks by id and language, each with its longest sentence."""
    chunks = {chunk.id: chunk for pair in pairs for chunk in pair.chunks}
    found: dict[tuple[str, str], list[str]] = {}
    for language in sorted({chunk.language for chunk in chunks.values()}):
        same = sorted(chunk.id for chunk in chunks.values() if chunk.language == language)
        for chunk_id in random.Random(_SEED).sample(same, min(_STRANGERS, len(same))):
            spans = split_sentences(chunks[chunk_id].text)
            found[chunk_id, language] = [max((span.text for span in spans), key=len, default="")]
    return found


def _stacked(vectors: dict[str, Vectors], texts: Sequence[str]) -> Vectors:
    return np.stack([vectors[text] for text in texts])


def _flat(groups: Iterable[list[str]]) -> list[str]:
    return [text for group in groups for text in group]


def _squeezed(text: str) -> str:
    return "".join(fold(text).split())
