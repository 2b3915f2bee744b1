"""Whether the right passages are found: hit, recall, MRR, nDCG and context@1k (see ``context_budget``).

A passage is right for a gold when its document is the gold's and one of these holds:

* the gold has evidence, and the passage with its headings holds it (see ``holds_evidence``);
* the gold has no evidence but a page, and the passage starts on it;
* it has neither but a heading, and the passage stands under it or opens with it;
* it has nothing but a document.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from assistant.core.context import beside_each_other
from assistant.core.records import Case, Chunk, Gold, Passage, Record
from eval.answers import holds_form
from eval.context_budget import context_hit
from eval.normalisation import gram_length, grams, squeezed, tokens
from eval.ranking_metrics import hit_at_k, mrr, ndcg, recall_at_k

SHARE = 0.5
SHORT_GRAMS = 64
MIN_PIECE_GRAMS = 20
_CELL_BORDER = re.compile(r"[|\n]")
_Ranked = tuple[list[int | None], list[int]]


class RetrievalScores(Record, frozen=True, kw_only=True):
    """Means over cases with gold; ``context_at_1k`` over those whose gold has a text, None without any.

    ``ndcg_at_10`` takes every gold for equal, ``graded_ndcg_at_10`` weighs it by its grade.
    """

    case_count: int
    hit_at_1: float
    hit_at_5: float
    hit_at_10: float
    recall_at_5: float
    mrr_at_10: float
    ndcg_at_10: float
    graded_ndcg_at_10: float
    context_at_1k: float | None = None


def is_same_document(gold: str, document: str) -> bool:
    """Return whether two paths name one document: the components of one are the end of the other's.

    A collection may have been added one folder higher or lower than the suite's author did, and a
    suite may leave the file's extension out.
    """
    a, b = _components(gold), _components(document)
    if a and b and a[-1] != b[-1] and "." in b[-1] and a[-1] == b[-1].rsplit(".", 1)[0]:
        a[-1] = b[-1]
    shorter = min(len(a), len(b))
    return shorter > 0 and a[-shorter:] == b[-shorter:]


def is_right(gold: Gold, chunk: Chunk) -> bool:
    """Return whether a chunk is the right one for a gold, as defined above."""
    if not is_same_document(gold.doc, chunk.document):
        return False
    if squeezed(gold.evidence):
        return holds_evidence(gold.evidence, shown_text(chunk))
    if gold.page is not None:
        return chunk.page == gold.page
    if gold.heading:
        return _is_under(gold.heading, chunk)
    return True


def shown_text(chunk: Chunk) -> str:
    """Return what a chunk shows of its document: its headings and its text."""
    return "\n".join((*chunk.heading_path, chunk.text))


def context_texts(passages: Sequence[Passage]) -> list[str]:
    """Return what passages show, in the order in which an answer's context takes them.

    Args:
        passages: best first.
    """
    return [shown_text(passage.chunk) for passage in beside_each_other(passages)]


def holds_evidence(evidence: str, text: str) -> bool:
    """Return whether a passage's text holds the evidence, or is a piece of it.

    Texts are compared by letters and digits only, in character n-grams of 5, or of 3 where the
    evidence is Chinese. The passage is right if one of these holds:

    * the whole evidence stands in it;
    * the evidence is short (64 n-grams at most) and each of its table cells stands in it;
    * it holds half of the evidence's n-grams, and, where the evidence is short, all of its numbers
      and codes, because the row of another model differs in nothing else;
    * the evidence is long and holds half of the passage's n-grams, which is what a chunk cut out of
      it looks like; from 20 n-grams up, so that a lone heading is not taken for a piece.
    """
    wanted, found = squeezed(evidence), squeezed(text)
    if not wanted or not found:
        return False
    if wanted in found:
        return True
    length = gram_length(wanted)
    parts = grams(wanted, length)
    is_short = parts.total() <= SHORT_GRAMS
    if is_short and _holds_cells(evidence, text):
        return True
    if _share(parts, found) >= SHARE:
        return not is_short or _holds_numbers(evidence, text)
    pieces = grams(found, length)
    return not is_short and pieces.total() >= MIN_PIECE_GRAMS and _share(pieces, wanted) >= SHARE


def first_ranks(case: Case, passages: Sequence[Passage]) -> list[int | None]:
    """Return for each gold the place, from 1, of the first passage that is right for it."""
    return [
        next((place for place, found in enumerate(passages, 1) if is_right(gold, found.chunk)), None)
        for gold in case.gold
    ]


def score_retrieval(cases: Sequence[Case], found: Sequence[Sequence[Passage]]) -> dict[str, RetrievalScores]:
    """Return the scores by language, and under ``all``; cases without gold, or that hide it, are left out.

    Args:
        cases: the questions.
        found: for each the passages found, best first, 10 or more; for context@1k enough for 1,000 tokens.
    """
    groups: dict[str, list[_Ranked]] = {}
    held: dict[str, list[float]] = {}
    for case, passages in zip(cases, found, strict=True):
        if not case.gold or case.hides_evidence:
            continue
        row = (first_ranks(case, passages), [gold.grade for gold in case.gold])
        groups.setdefault("all", []).append(row)
        groups.setdefault(case.lang, []).append(row)
        hit = context_hit([gold.evidence for gold in case.gold], context_texts(passages))
        for name in ("all", case.lang) if hit is not None else ():
            held.setdefault(name, []).append(hit or 0.0)
    return {name: _mean_scores(groups[name], held.get(name, [])) for name in sorted(groups)}


def _mean_scores(graded: list[_Ranked], held: list[float]) -> RetrievalScores:
    rows = [ranks for ranks, _ in graded]

    def mean(values: list[float]) -> float:
        return math.fsum(values) / len(values)

    return RetrievalScores(
        case_count=len(rows),
        hit_at_1=mean([hit_at_k(ranks, 1) for ranks in rows]),
        hit_at_5=mean([hit_at_k(ranks, 5) for ranks in rows]),
        hit_at_10=mean([hit_at_k(ranks, 10) for ranks in rows]),
        recall_at_5=mean([recall_at_k(ranks, 5) for ranks in rows]),
        mrr_at_10=mean([mrr(ranks) for ranks in rows]),
        ndcg_at_10=mean([ndcg(ranks) for ranks in rows]),
        graded_ndcg_at_10=mean([ndcg(ranks, grades=grades) for ranks, grades in graded]),
        context_at_1k=mean(held) if held else None,
    )


def _share(parts: Counter[str], text: str) -> float:
    return sum(count for gram, count in parts.items() if gram in text) / parts.total()


def _holds_cells(evidence: str, text: str) -> bool:
    cells = [cell for cell in _CELL_BORDER.split(evidence) if tokens(cell)]
    return len(cells) > 1 and all(holds_form(cell, text) for cell in cells)


def _holds_numbers(evidence: str, text: str) -> bool:
    wanted = {token for token in tokens(evidence) if any(map(str.isdigit, token))}
    return wanted <= set(tokens(text))


def _components(path: str) -> list[str]:
    parts = unicodedata.normalize("NFC", path).replace("\\", "/").split("/")
    return [part for part in parts if part not in {"", "."}]


def _is_under(heading: str, chunk: Chunk) -> bool:
    wanted = squeezed(heading)
    return any(squeezed(title) == wanted for title in chunk.heading_path) or squeezed(chunk.text).startswith(
        wanted
    )
