"""What one pair must show by itself: form, language, support by its chunks, a question that stands alone."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from assistant.core.language import detect_language
from assistant.core.sentences import numbers, split_sentences, support, terms
from training.cells import with_unit
from training.pairs import Pair, table_rows
from training.wording import read_instructions

MIN_GROUNDED = 0.75
MIN_GROUNDED_RECIPE = 0.6
MIN_QUESTION_CHARACTERS = {"en": 8, "zh": 4}
MAX_QUESTION_CHARACTERS = 300
MAX_ANSWER_CHARACTERS = 1200
# share of the answer's words that a teacher's question may hold
MOST_GIVEN_AWAY = 0.75
WRITTEN_BY_RULES = frozenset({"rules"})
# who asks what a text answers; a teacher may only repeat the text with a question mark
PEOPLE = frozenset({"tickets", "people"})
# these come from rules that are older than the recipes; what a recipe makes is checked more strictly
CORE = frozenset({"table", "ticket", "dialogue", "sentence"})
_CODE = re.compile(r"(?<![A-Za-z0-9])[A-Z]{1,4}-?\d{1,5}(?![A-Za-z0-9])")
_QUANTITY = re.compile(
    r"(?<![A-Za-z0-9.,-])\d[\d,]*(?:\.\d+)?\s?(?:°C|℃|%|[kKmMµμ]?(?:Hz|W|V|A|Ω|Pa|g|m|L)\b|N[·.]?m|mm|cm|bar|rpm"
    r"|r/min|min|hours?|days?|months?|s\b|个月|小时|分钟|秒|天|元|层)"
)
_LEANING = re.compile(
    r"^(?:and |so )?(?:what|how|why|when|where|which|does|do|is|are|can)\b[^?]{0,12}"
    r"\b(?:it|this|that|they|these)\b"
    r"|^(?:它|这个|那个|该项|上述|以上)",
    re.IGNORECASE,
)


_ASKING = re.compile(
    r"\b(?:what|whats|how|why|when|where|which|who|whom|whose|can|could|tell|explain|describe)\b"
    r"|什么|啥|怎|咋|如何|为何|多少|多久|几|哪|吗|呢|么|是否|能不能|可不可以|请问|告诉|描述|说明|介绍|查一下",
    re.IGNORECASE,
)
_MARK = re.compile(r"\s?\[\d{1,2}\]")


class Verdict(NamedTuple):
    """Why a pair is turned away, for a person."""

    reason: str
    detail: str = ""


def check_pair(pair: Pair) -> Verdict | None:
    """Return why a pair is turned away for what it is by itself, None where it passes."""
    is_free = not pair.chunks
    return (
        _form(pair)
        or (None if is_free or not pair.is_covered else _support(pair))
        or _stands_alone(pair)
        or (
            None
            if pair.teacher in {*WRITTEN_BY_RULES, *PEOPLE}
            else _asks_nothing(pair) or _gives_away(pair) or _beside_the_point(pair)
        )
    )


def _asks_nothing(pair: Pair) -> Verdict | None:
    """Return whether a teacher's question is none: small ones tell what they were asked to do."""
    is_question = pair.question.endswith(("?", "？")) or _ASKING.search(pair.question)
    return None if is_question or pair.recipe in CORE or not pair.chunks else Verdict("asks nothing")


def _gives_away(pair: Pair) -> Verdict | None:
    """Return whether a teacher put the answer into its question, which then asks nothing.

    Numbers decide first: a question about a quantity names all but the quantity.
    """
    if not pair.chunks or not pair.is_covered or numbers(pair.answer) - numbers(pair.question):
        return None
    value = support(_MARK.sub("", pair.answer), pair.question)
    return Verdict("question holds its own answer", f"{value:.2f}") if value >= MOST_GIVEN_AWAY else None


def _beside_the_point(pair: Pair) -> Verdict | None:
    """Return whether a teacher asks for a purpose, a reason or the like, and the answer tells none.

    What it only worded anew was asked by somebody else, who knew what the answer is to.
    """
    if not pair.chunks or not pair.is_covered or pair.is_reworded:
        return None
    answer = _MARK.sub("", pair.answer)
    for asked, told in read_instructions("aspects", detect_language(pair.question)):
        found = re.search(asked, pair.question, re.IGNORECASE)
        if found and not re.search(told, answer, re.IGNORECASE):
            return Verdict("answer beside the question", found.group())
    return None


def support_of(pair: Pair) -> float:
    """Return how well the pair's chunks carry its answer, from 0 to 1."""
    spans = split_sentences(_MARK.sub("", pair.answer))
    claims = "\n".join(span.text for span in spans if span.text not in pair.added)
    return support(claims, _evidence(pair) + " " + pair.question)


def _form(pair: Pair) -> Verdict | None:
    question, language = pair.question, pair.chunk.language
    # a bare code is a question that people ask, in any language
    is_code = pair.recipe not in CORE and _CODE.fullmatch(question.rstrip("?？")) is not None
    if not is_code and not MIN_QUESTION_CHARACTERS[language] <= len(question) <= MAX_QUESTION_CHARACTERS:
        return Verdict("question too short or too long", f"{len(question)} characters")
    if not is_code and detect_language(question) != language:
        return Verdict("question in another language", f"{detect_language(question)}, not {language}")
    if not pair.answer or len(pair.answer) > MAX_ANSWER_CHARACTERS:
        return Verdict("answer empty or too long", f"{len(pair.answer)} characters")
    is_told = bool(pair.chunks) or pair.teacher in PEOPLE  # general instructions may ask for a translation
    is_prose = pair.recipe not in CORE and is_told and len(terms(pair.answer)) > 8  # noqa: PLR2004
    if is_prose and not pair.answer.startswith("{") and detect_language(pair.answer) != language:
        return Verdict("answer in another language", f"not {language}")
    return None


def _support(pair: Pair) -> Verdict | None:
    evidence, answer = _evidence(pair), _MARK.sub("", pair.answer)
    missing = numbers(answer) - numbers(evidence)
    if pair.recipe not in CORE:
        missing = missing - numbers(_said(pair))
    if missing and pair.recipe != "procedure":  # there steps are numbered anew
        return Verdict("number not in the chunk", ", ".join(sorted(missing)))
    if pair.recipe in CORE:
        needs = pair.recipe in {"sentence", "table"}
        held = f"{evidence} {pair.question}"
        value = support(answer, held)
        # "E-21 means: Undervoltage": the rule's own word is no claim, but one of three
        is_rule = pair.recipe == "table" and len(terms(answer) - terms(held)) <= 1
        is_poor = needs and value < MIN_GROUNDED and not is_rule
        return Verdict("answer not grounded", f"{value:.2f}") if is_poor else None
    known = _squeezed(f"{evidence} {_said(pair)}")
    for kind, pattern in (("code", _CODE), ("quantity", _QUANTITY)):
        strange = [found for found in pattern.findall(answer) if _squeezed(found) not in known]
        if strange:
            return Verdict(f"{kind} not in the chunk", ", ".join(strange[:3]))
    value = support(answer, f"{evidence} {_said(pair)}")
    return Verdict("answer not grounded", f"{value:.2f}") if value < MIN_GROUNDED_RECIPE else None


def _stands_alone(pair: Pair) -> Verdict | None:
    """Return why a question cannot be understood without its text; later turns lean on earlier ones."""
    if pair.recipe == "sentence" and _is_vague(pair.question, _evidence(pair)):
        return Verdict("question not about the chunk")
    has_turns = any(turn.role == "user" for turn in pair.history)
    if pair.recipe not in CORE and pair.chunks and not has_turns and pair.teacher != "tickets":
        leaning = _LEANING.search(pair.question)
        if leaning and not _CODE.search(pair.question):
            return Verdict("question not self-contained", leaning.group())
    return None


def _is_vague(question: str, evidence: str) -> bool:
    """Return whether a question names too little of its chunk to be understood without it."""
    asked = terms(question)
    return len(asked & terms(evidence)) < max(1, len(asked) // 3)


def _evidence(pair: Pair) -> str:
    chunks = pair.chunks or (pair.chunk,)
    texts = [text for chunk in chunks for text in (*chunk.heading_path, chunk.text)]
    # "Price (EUR): 5.60" says 5.60 EUR
    cells = (
        cell for chunk in chunks if chunk.kind == "table" for row in table_rows(chunk.text) for cell in row
    )
    with_units = (with_unit(*cell)[1] for cell in cells)
    return " ".join([*texts, *with_units])


def _said(pair: Pair) -> str:
    """Return what stands around the answer without being evidence of anything new."""
    return " ".join([pair.question, pair.added, *(turn.content for turn in pair.history)])


def _squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split()).lower()
