"""Whether an answer says that the documents do not cover the question."""

from __future__ import annotations

import re

from assistant.core.language import Language
from assistant.core.prompts import not_covered

# small base models refuse in words of their own; only refusals about the documents count
_REFUSALS = re.compile(
    r"not (?:\w+ ){0,2}(?:in|covered by|(?:covered|given|mentioned|stated|found|provided) in) "
    r"(?:the |these |this |any of the |your )?(?:documents?|passages?|text|context|manuals?|information)"
    r"|(?:documents?|passages?|text|context) (?:do(?:es)? not|don't|doesn't) "
    r"(?:mention|say|state|contain|provide|specify|cover|hold|include)"
    r"|(?:文档|段落|资料|文中|上下文|手册)(?:中|里)?(?:并)?(?:没有|未|不)(?:提到|提及|说明|包含|涉及|给出|提供|找到|相关|这方面|有关|答案)"
    r"|没有(?:在)?(?:文档|段落|资料)(?:中|里)?(?:找到|提到|提及)",
    re.IGNORECASE,
)


def is_abstention(text: str, language: Language) -> bool:
    """Return whether the text declines to answer for want of documents."""
    return text.strip().startswith(_head(language)) or _REFUSALS.search(text) is not None


def without_afterthought(text: str, language: Language) -> str:
    """Return the text without the sentence of refusal where an answer stands before it.

    Tuned models now and then answer and then say, out of habit, that the documents do not: what comes first
    is checked against the passages anyway.
    """
    answer, refusal, _ = text.partition(_head(language))
    return answer.rstrip() if refusal and answer.strip() else text


def _head(language: Language) -> str:
    return re.split(r"(?<=[.。])", not_covered(language))[0].strip()
