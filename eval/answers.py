"""How right an answer is, without a judge: key facts, F1 and exact match, and rightness of abstaining."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence

from assistant.core.records import Answer, Case
from eval.normalisation import answer_tokens, tokens

_BORDER = "\x1f"


def fact_score(facts: Sequence[Sequence[str]], text: str) -> float:
    """Return the share of facts of which any form stands in the text, as whole tokens."""
    if not facts:
        return 0.0
    row = _as_row(text)
    return sum(any(_stands_in(form, row) for form in forms) for forms in facts) / len(facts)


def holds_form(form: str, text: str) -> bool:
    """Return whether a form stands in a text as whole tokens, so that 48 Nm is not in 148 Nm."""
    return _stands_in(form, _as_row(text))


def f1_score(references: Sequence[str], text: str) -> float:
    """Return the best token F1 against the references; tokens are English words and Chinese characters.

    As in SQuAD (Rajpurkar et al. 2016): harmonic mean of precision and recall over the multiset of
    common tokens, English articles left out.
    """
    found = Counter(answer_tokens(text))
    return max((_f1(Counter(answer_tokens(reference)), found) for reference in references), default=0.0)


def exact_match(references: Sequence[str], text: str) -> float:
    """Return 1 if the text's tokens are those of a reference, in order, else 0."""
    found = answer_tokens(text)
    return float(bool(found) and any(answer_tokens(reference) == found for reference in references))


def is_abstention_right(case: Case, answer: Answer) -> bool:
    """Return whether the answer abstains exactly where the documents do not hold the answer."""
    return answer.abstained is not case.answerable


def answer_score(case: Case, answer: Answer) -> float:
    """Return the answer's score from 0 to 1.

    Unanswerable: 1 for abstaining, else 0. Answerable: 0 for abstaining, else the share of key
    facts, or F1 against the reference answers for a case without key facts.
    """
    if not case.answerable or answer.abstained:
        return float(is_abstention_right(case, answer))
    if case.key_facts:
        return fact_score(case.key_facts, answer.text)
    return f1_score(case.answers, answer.text)


def _as_row(text: str) -> str:
    return _BORDER + _BORDER.join(tokens(text)) + _BORDER


def _stands_in(form: str, row: str) -> bool:
    wanted = _form_row(form)
    return wanted != _BORDER * 2 and wanted in row


@functools.lru_cache(maxsize=16384)
def _form_row(form: str) -> str:
    return _as_row(form)


def _f1(wanted: Counter[str], found: Counter[str]) -> float:
    common = (wanted & found).total()
    return 2 * common / (wanted.total() + found.total()) if common else 0.0
