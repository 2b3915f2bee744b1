"""Citations and grounding sentence by sentence, without a judge or with one.

Citation recall and precision are ALCE's (Gao et al. 2023, section 3 and its published script): a statement is
recalled if the passages it cites together carry it; of a recalled statement's citations, one is idle if its
passage alone does not carry the statement and the others without it do.
"""

from __future__ import annotations

from collections.abc import Callable

from assistant.answering.citations import (
    MIN_SUPPORT,
    Statement,
    evidence_text,
    is_claim_grounded,
    statements,
)
from assistant.core.records import Answer, Record
from assistant.core.sentences import numbers, support

# what the published script looks at of one statement's citations
MOST_CITATIONS = 3
# premise, claim → whether the premise carries the claim
Entails = Callable[[str, str], bool]


class CitationScores(Record, frozen=True, kw_only=True):
    """ALCE's two scores of one answer, from 0 to 1.

    Attributes:
        recall: share of statements that what they cite carries.
        precision: share of citations that are not idle and stand at a recalled statement; 0, as in the
            published script, where nothing is cited.
        cited: number of citations.
    """

    recall: float
    precision: float
    cited: int


def carries(premise: str, claim: str) -> bool:
    """Return whether a premise carries a claim, without a judge: half of its words, and all its numbers."""
    return support(claim, premise) >= MIN_SUPPORT and numbers(claim) <= numbers(premise)


def score_citations(answer: Answer, entails: Entails = carries) -> CitationScores | None:
    """Return the scores of an answer's text, None where it holds no statement.

    Args:
        answer: its passages are the numbered ones.
        entails: what judges whether passages carry a statement.
    """
    rows = statements(answer.text)
    if not rows:
        return None
    texts = [evidence_text(passage) for passage in answer.passages]
    recalled = useful = cited = 0
    for statement in rows:
        is_recalled, count, good = _score_statement(statement, texts, entails)
        recalled += is_recalled
        cited += count
        useful += good
    return CitationScores(
        recall=recalled / len(rows), precision=useful / cited if cited else 0.0, cited=cited
    )


def citation_pairs(answer: Answer) -> set[tuple[str, str]]:
    """Return every premise and claim that scoring an answer may ask about, for a judge in batches."""
    texts = [evidence_text(passage) for passage in answer.passages]
    pairs: set[tuple[str, str]] = set()
    for statement in statements(answer.text):
        cited = _cited(statement, texts)
        for place, text in enumerate(cited if len(cited) > 1 else ()):
            pairs.add((text, statement.claim))
            pairs.add((_joined(cited[:place] + cited[place + 1 :]), statement.claim))
        if cited:
            pairs.add((_joined(cited), statement.claim))
    return pairs


def count_grounded(answer: Answer) -> tuple[int, int]:
    """Return how many sentences of an answer its passages carry at least a little, and how many it has."""
    claims = [statement.claim for statement in statements(answer.text)]
    return sum(is_claim_grounded(claim, answer.passages) for claim in claims), len(claims)


def _score_statement(statement: Statement, texts: list[str], entails: Entails) -> tuple[bool, int, int]:
    """Return whether the statement is recalled, its citations, and how many of them are precise."""
    cited = _cited(statement, texts)
    if not cited or not entails(_joined(cited), statement.claim):
        return False, len(cited), 0
    if len(cited) == 1:
        return True, 1, 1
    good = 0
    for place, text in enumerate(cited):
        others = cited[:place] + cited[place + 1 :]
        good += entails(text, statement.claim) or not entails(_joined(others), statement.claim)
    return True, len(cited), good


def _cited(statement: Statement, texts: list[str]) -> list[str]:
    """Return the texts that a statement cites, none where a number stands for no passage."""
    if any(not 0 < number <= len(texts) for number in statement.numbers):
        return []
    return [texts[number - 1] for number in statement.numbers[:MOST_CITATIONS]]


def _joined(cited: list[str]) -> str:
    return "\n".join(cited)
