"""From bytes to text: byte order mark, UTF-8, what the file declares, then a restricted guess."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from assistant.core.errors import FileRefused
from indexing.sniffing import wide_encoding

_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w-]{3,20})""", re.I)
_DECLARED_WITHIN = 4096
_GUESS_BYTES = 1 << 18
_PAIR = re.compile(rb"[\x81-\xfe][\x40-\xfe]")
# Chinese text is all but whole made of the frequent characters and the punctuation, which both
# encodings keep in rows of their own; read in the other encoding they fall into rare rows.
_FREQUENT = {
    "gb18030": re.compile(rb"[\xb0-\xd7][\xa1-\xfe]|[\xa1-\xa3][\xa1-\xfe]"),
    "big5hkscs": re.compile(rb"[\xa4-\xc6][\x40-\x7e\xa1-\xfe]|[\xa1-\xa3][\x40-\x7e\xa1-\xfe]"),
}
_FREQUENT_SHARE = 0.9
_OTHERS = ["cp1252", "cp1250", "cp1251", "shift_jis", "euc_jp", "euc_kr", "koi8_r", "cp866"]
# One bad byte in a long UTF-8 file is a slip, not another encoding.
_GOOD_PER_BAD = 20


def decode(raw: bytes, path: Path) -> str:
    """Return a file's text; its lines end with line feeds.

    Raises:
        FileRefused: no plausible encoding fits.
    """
    text = _decode_wide(raw) or _decode_utf8(raw) or _decode_declared(raw) or _decode_guessed(raw)
    if text is None:
        raise FileRefused(path, "its text encoding cannot be told; save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff").replace("\x00", "")


def _decode_wide(raw: bytes) -> str | None:
    encoding = wide_encoding(raw)
    return raw.decode(encoding, "replace") if encoding else None


def _decode_utf8(raw: bytes) -> str | None:
    text = raw.decode("utf-8", "replace")
    bad = text.count("\ufffd") - raw.count("\ufffd".encode())
    if not bad:
        return text
    good = sum(character > "\x7f" for character in text) - bad
    return text if good >= _GOOD_PER_BAD * bad else None


def _decode_declared(raw: bytes) -> str | None:
    match = _DECLARED.search(raw[:_DECLARED_WITHIN])
    if match is None:
        return None
    name = match[1].decode("ascii").lower()
    name = "gb18030" if name in {"gb2312", "gbk", "gb_2312-80"} else name
    name = "cp1252" if name in {"iso-8859-1", "latin1", "latin-1"} else name
    try:
        if codecs.lookup(name).name.startswith("utf"):
            return None
        text = raw.decode(name, "replace")
    except (LookupError, UnicodeError):
        return None
    return text if text.count("\ufffd") <= len(text) // 500 else None


def _decode_guessed(raw: bytes) -> str | None:
    from charset_normalizer import from_bytes

    sample = raw[:_GUESS_BYTES]
    shares = {name: _frequent_share(sample, name) for name in _FREQUENT}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] >= _FREQUENT_SHARE:
        return raw.decode(best, "replace")
    guess = from_bytes(sample, cp_isolation=[*_OTHERS, "gb18030", "big5"]).best()
    return raw.decode(guess.encoding, "replace") if guess else None


def _frequent_share(raw: bytes, encoding: str) -> float:
    """Return the share of two-byte characters that are frequent ones; 0 where the bytes do not fit."""
    if raw.decode(encoding, "replace").count("\ufffd") > 1 + len(raw) // 400:
        return 0.0
    pairs = _PAIR.findall(raw)
    return sum(bool(_FREQUENT[encoding].match(pair)) for pair in pairs) / len(pairs) if pairs else 0.0
