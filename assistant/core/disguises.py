"""Disguises of text that only a machine reads as words: folded away, or taken off."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import unquote

# zero-width and bidirectional signs, soft hyphen, variation selectors
_INVISIBLE = re.compile(
    "[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]"
)
_TAGS = re.compile("[\U000e0020-\U000e007e]")
_TAG_BASE = 0xE0000
_SPACED = re.compile(r"(?<![^\W_])(?:[A-Za-z][ ._-]){4,}[A-Za-z](?![^\W_])")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
_BASE32 = re.compile(r"(?<![A-Za-z0-9])[A-Z2-7]{32,}=*")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}[ :]?){16,}")
_BITS = re.compile(r"(?:[01]{8}[ ,]?){12,}")
_ESCAPED = re.compile(r"(?:\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}){8,}")
# from the beginning of a word only: tried from each of its letters, a long one takes for ever
_PERCENT = re.compile(r"(?<![\w.-])(?:[\w.-]*+%[0-9A-Fa-f]{2}){3,}[\w.-]*+")
_LEET = str.maketrans("0134578@$", "oieastbas")
# "instruction", "ignore" and "system" as rot13 and backwards
_TURNED = re.compile(r"vafgehpgvba|vtaber|flfgrz|noitcurtsni|erongi|metsys", re.IGNORECASE)
_LEETED = re.compile(r"[a-z][0134578@$][a-z]|\b[013457@$][a-z]{2}", re.IGNORECASE)
_LEET_CUES = ("ignore", "instruction", "system prompt", "disregard")
_LEAST_PRINTABLE = 0.95
_SHORTEST = 8


def fold(text: str) -> tuple[str, list[int] | None]:
    """Return a text as patterns read it, and for each character its offset in the text, None where equal.

    Lower case, full-width forms narrowed, invisible characters gone, tag characters as what they stand for.
    """
    if text.isascii():
        return text.lower(), None
    if not _INVISIBLE.search(text) and not _TAGS.search(text):
        narrowed = "".join(map(_narrow, text))
        return narrowed, None
    characters: list[str] = []
    offsets: list[int] = []
    for place, character in enumerate(text):
        if _INVISIBLE.match(character):
            continue
        shown = chr(ord(character) - _TAG_BASE) if _TAGS.match(character) else character
        characters.append(_narrow(shown))
        offsets.append(place)
    return "".join(characters), offsets or None


def without_invisible(text: str) -> str:
    """Return a text without characters that nobody sees."""
    return _TAGS.sub("", _INVISIBLE.sub("", text)) if not text.isascii() else text


def unmask(text: str) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield offsets and plain text of what may be disguised words: encoded, spaced out, turned or leeted."""
    if spaced := tuple(match.start() for match in _SPACED.finditer(text)):
        # two blanks stand between words that are spaced out; what is not spaced out stays
        words = re.split(r" {2,}", text[spaced[0] :])
        yield spaced, " ".join(_SPACED.sub(_closed, word) for word in words).lower()
    for sign, pattern, decode in _DECODERS:
        for match in pattern.finditer(text) if sign in text else ():
            if plain := _readable(decode, match.group()):
                yield (match.start(),), plain.lower()
    if _TURNED.search(text):
        yield (0,), codecs.encode(text, "rot13").lower()
        yield (0,), text[::-1].lower()
    if _LEETED.search(text):
        plain = text.lower().translate(_LEET)
        if any(cue in plain for cue in _LEET_CUES):
            yield (0,), plain


def _closed(spaced: re.Match[str]) -> str:
    return re.sub(r"[ ._-]", "", spaced.group())


def _narrow(character: str) -> str:
    folded = unicodedata.normalize("NFKC", character).lower()
    return folded if len(folded) == 1 else character


def _readable(decode: Callable[[str], str], coded: str) -> str:
    """Return what a code stands for where that is text, else nothing."""
    try:
        plain = decode(coded)
    except (ValueError, binascii.Error):
        return ""
    good = sum(character.isprintable() or character.isspace() for character in plain)
    return plain if len(plain) >= _SHORTEST and good >= _LEAST_PRINTABLE * len(plain) else ""


def _from_base64(coded: str) -> str:
    bare = coded.rstrip("=").translate(str.maketrans("-_", "+/"))
    return base64.b64decode(bare + "=" * (-len(bare) % 4)).decode("utf-8")


def _from_base32(coded: str) -> str:
    bare = coded.rstrip("=")
    return base64.b32decode(bare + "=" * (-len(bare) % 8)).decode("utf-8")


def _from_hex(coded: str) -> str:
    return bytes.fromhex(re.sub(r"[ :]", "", coded)).decode("utf-8")


def _from_bits(coded: str) -> str:
    bits = re.sub(r"[ ,]", "", coded)
    return bytes(int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)).decode("utf-8")


def _from_escapes(coded: str) -> str:
    return coded.encode("ascii").decode("unicode_escape")


def _from_percent(coded: str) -> str:
    return unquote(coded, errors="strict")


_DECODERS = (
    ("", _BASE64, _from_base64),
    ("", _BASE32, _from_base32),
    ("", _HEX, _from_hex),
    ("0", _BITS, _from_bits),
    ("\\", _ESCAPED, _from_escapes),
    ("%", _PERCENT, _from_percent),
)
