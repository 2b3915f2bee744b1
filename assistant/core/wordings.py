"""Questions as they are told apart: one form for every way of typing the same words."""

from __future__ import annotations

import re
import unicodedata

_HAN = "㐀-䶿一-鿿豈-﫿"
_BESIDE_HAN = re.compile(rf"(?<=[{_HAN}])\s+|\s+(?=[{_HAN}])")
_APOSTROPHES = re.compile("['\u2019\u02bc]")
# what carries meaning inside a code, a number or a unit: HQ-1204, 1.5, 220/50, +5, 30 %, 90 °
_INSIDE = re.compile(r"(?<=[^\W_])[-./:_](?=[^\W_])|(?<!\w)[-+](?=\d)|(?<=\d)\s?[%°]")
_SIGN = re.compile(r"[^\w\s]|_")
_CODE = re.compile(r"(?<![a-z0-9])[a-z]*+\d[a-z0-9]*+")
_SEPARATORS = re.compile(r"(?<=[a-z0-9])[-_/.:](?=[a-z0-9])")
_DENIALS = re.compile(
    r"\b(?:no|not|never|none|without|cannot|\w+nt)\b|[不没沒无無未别勿禁]"  # isn't → isnt, once folded
)


def fold_wording(text: str) -> str:
    """Return a question without what typing it differently changes: case, width, blanks, punctuation."""
    folded = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text).casefold())
    kept = {place for match in _INSIDE.finditer(folded) for place in range(*match.span())}
    signs = (sign if place in kept else _SIGN.sub(" ", sign) for place, sign in enumerate(folded))
    return _BESIDE_HAN.sub("", " ".join("".join(signs).split()))


def particulars(wording: str) -> tuple[frozenset[str], bool]:
    """Return what two folded wordings must share to ask the same: codes and numbers, and whether they deny.

    "What is E07?" and "What is E08?" lie closer together than two ways of asking for E07.
    """
    return frozenset(_CODE.findall(_SEPARATORS.sub("", wording))), bool(_DENIALS.search(wording))
