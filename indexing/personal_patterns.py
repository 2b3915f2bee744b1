"""Personal data in text, by its form and by the words before it that speak for or against.

Own patterns, because the libraries either know no Chinese forms and no context, or find phones in netmasks,
sizes and times (docs/decisions/0010-personal-data.md). A bare run of digits counts only after a word such
as "phone" or 电话; a written-out form counts unless a word such as "serial" or 订单号 stands nearer before.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from indexing.personal_forms import FORMS, OTHER_NUMBER, Form, PersonalKind

_CUE_CHARACTERS = 40
_OTHER_CHARACTERS = 20
_NEEDED_CHARACTERS = 30
_OTHER_VALUE = re.compile(r"\d{5}")
# of ASCII only, so that the Chinese words and marks that stand right behind a link do not belong to it
_WEB_ADDRESS = re.compile(r"(?:https?://|www\.)[!#-&(-+\--:=?-~]{1,2000}", re.I | re.A)

_FOLDING = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FOLDING |= dict.fromkeys([0x3000, 0xA0, 0x2002, 0x2003, 0x2009, 0x202F], 0x20)
_FOLDING |= dict.fromkeys([0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2212, 0xFE63], 0x2D)
_MAY_HOLD_ANY = re.compile(r"@|\d[\d ().-]{4}|\d{2} \d|[A-Z\d]{5}|[A-Z]\d{2} [A-Z]|-[A-Z]{1,2}[ -]?\d")


class Finding(NamedTuple):
    """Personal data in a text: ``text[start:end]``."""

    start: int
    end: int
    kind: PersonalKind


def find_personal_data(text: str) -> list[Finding]:
    """Return the personal data in a text, in order, without overlaps.

    Service numbers (400, 800, toll-free) are nobody's and left out, and so is what stands in a web address.
    """
    folded = fold_forms(text)
    if not _MAY_HOLD_ANY.search(folded):
        return []
    is_taken = bytearray(len(folded))
    for match in _WEB_ADDRESS.finditer(text):  # unfolded: a full-width comma ends an address
        is_taken[match.start() : match.end()] = b"\1" * len(match.group())
    found: list[Finding] = []
    for form in FORMS:
        for match in form.pattern.finditer(folded):
            start, length = match.start(), _length(form, match.group())
            end = start + length
            if length and is_taken.find(1, start, end) < 0 and _context_allows(folded, start, form):
                found.append(Finding(start, end, form.kind))
                is_taken[start:end] = b"\1" * length
    return sorted(found)


def fold_forms(text: str) -> str:
    """Return the text with full-width forms, dashes and spaces folded, one character for one."""
    return text if text.isascii() else text.translate(_FOLDING)


def _length(form: Form, text: str) -> int:
    """Return how many characters of a match count: all, none, or as many as the judge says."""
    verdict = form.judge(text)
    return (len(text) if verdict else 0) if isinstance(verdict, bool) else verdict


def _context_allows(text: str, start: int, form: Form) -> bool:
    if form.context == "any":
        return True
    reach = _NEEDED_CHARACTERS if form.context == "needed" else _CUE_CHARACTERS
    cue = _last(form.cues, text, start, reach)
    other = _last(OTHER_NUMBER, text, start, _OTHER_CHARACTERS)
    if _OTHER_VALUE.search(text, max(other, 0), start):
        other = -1  # that word has its number already
    return cue > other or (form.context == "no_other" and other < 0)


def _last(pattern: re.Pattern[str], text: str, start: int, reach: int) -> int:
    """Return where the last match within reach before ``start`` begins, -1 if there is none."""
    first = max(0, start - reach)
    return max((first + match.start() for match in pattern.finditer(text[first:start])), default=-1)
