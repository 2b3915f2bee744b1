"""How well passages cover a question, so that a threshold can tell what the documents do not cover.

Two signs, half of each: likeness of embeddings against the collection's own background, and the share of
the question's rare terms that the passages hold, words of asking left out. Measured on 120 product
questions a language to their own documents against questions to other documents: area under the curve .995
and more. It does not tell a question that the manual just happens not to answer from one that it does (.73
on the sample suite): that is for the engine, which reads the passages.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from assistant.core.language import Language, han_count, question_language
from assistant.core.records import Chunk, Passage
from indexing.analysis import analyze
from indexing.corpus import indexed_text
from indexing.embedding import Vectors
from indexing.queries import is_missing
from indexing.snapshots import Background

_PAIRS = 20_000
_SEED = 7
_LEAST_SPREAD = 0.01
# likeness 0 and 1 stand at so many spreads from the mean of unrelated pairs
_FOREIGN, _SAME = -2.0, 4.0
_LIKENESS_WEIGHT = 0.5
_COVERING_PASSAGES = 3
_CODE_EVIDENCE = 0.6
_LEAST_HAN, _HAN_SHARE = 2, 0.03
# what questions are made with: a small collection holds no "what", which then looked like a rare subject
_ASKING = (
    "a an and any are as at be by can could did do does for from had has have how i if in is it its may me "
    "might must my no not of on or our shall should so than that the their them then there these they this "
    "those to us was we were what when where which who whom whose why will with would you your "
    "的 了 吗 呢 吧 啊 呀 么 是 在 有 和 与 或 我 你 您 它 他 她 这 那 这个 那个 什么 怎么 怎样 如何 哪里 "
    "哪儿 哪个 哪些 哪种 几 多少 多大 多久 多长 多高 多重 为什么 为何 是否 可以 能 能否 会 要 应 应该 "
    "请问 需要"
)


def measure_background(
    vectors: Vectors, languages: Sequence[Language], scripts: Sequence[Language]
) -> dict[str, Background]:
    """Return language → background over its chunks' unit vectors; none where there are fewer than two.

    Args:
        vectors: of the chunks.
        languages: of each.
        scripts: for each ``zh`` where it holds Chinese at all, see ``script_of``.
    """
    written = Counter(scripts)
    found: dict[str, Background] = {}
    for language in sorted(set(languages)):
        rows = vectors[[place for place, other in enumerate(languages) if other == language]]
        if len(rows) < 2:  # noqa: PLR2004 - a pair
            continue
        left, right = np.random.default_rng(_SEED).integers(len(rows), size=(2, _PAIRS))
        apart = left != right
        cosines = (rows[left[apart]] * rows[right[apart]]).sum(axis=1)
        spread = max(float(cosines.std()), _LEAST_SPREAD)
        found[language] = Background(
            mean=round(float(cosines.mean()), 4), spread=round(spread, 4), count=written[language]
        )
    return found


def script_of(chunk: Chunk) -> Language:
    """Return ``zh`` for a chunk with some Chinese: that of a manual full of English names is often little."""
    text = indexed_text(chunk)
    return "zh" if han_count(text) >= max(_LEAST_HAN, _HAN_SHARE * len(text)) else "en"


def measure_evidence(
    query: str,
    passages: Sequence[Passage],
    rarity: Callable[[str], float],
    backgrounds: dict[str, Background],
) -> float:
    """Return from 0 to 1 how well passages cover a query.

    ``0.5 * likeness + 0.5 * coverage``: likeness is the best cosine against the background of its language,
    coverage the share of the query's terms, weighted by rarity, that stand in the first three passages.
    A passage that holds the query's code verbatim is evidence of at least 0.6.

    Args:
        query: what was searched.
        passages: what was found, best first.
        rarity: inverse document frequency of a term.
        backgrounds: language → background.
    """
    if not passages:
        return 0.0
    coverage = _coverage(query, [passage.chunk for passage in passages[:_COVERING_PASSAGES]], rarity)
    nearest = max(passages, key=lambda passage: passage.dense or 0.0)
    background = backgrounds.get(nearest.chunk.language)
    if background is None or nearest.dense is None:
        value = coverage
    else:
        distance = (nearest.dense - background.mean) / background.spread
        likeness = min(max((distance - _FOREIGN) / (_SAME - _FOREIGN), 0.0), 1.0)
        # what is asked in another language shares no terms with what answers it
        weight = 1.0 if is_missing(question_language(query), backgrounds) else _LIKENESS_WEIGHT
        value = weight * likeness + (1 - weight) * coverage
    is_coded = any(passage.is_code_match for passage in passages)
    return round(max(value, _CODE_EVIDENCE) if is_coded else value, 4)


@functools.lru_cache(1024)
def _held(text: str) -> frozenset[str]:
    """Return a chunk's terms; few chunks answer most questions, and cutting Chinese takes milliseconds."""
    return frozenset(analyze(text))


@functools.cache
def _asking() -> frozenset[str]:
    return frozenset(analyze(_ASKING))


def _coverage(query: str, chunks: Sequence[Chunk], rarity: Callable[[str], float]) -> float:
    terms = set(analyze(query))
    weights = {term: rarity(term) for term in sorted(terms - _asking() or terms)}
    held = frozenset[str]().union(*(_held(indexed_text(chunk)) for chunk in chunks))
    total = sum(weights.values())
    return sum(weight for term, weight in weights.items() if term in held) / total if total else 0.0
