"""From bytes to text: byte order mark, UTF-8, what the file declares, then a restricted guess."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from assistant.core.errors import FileRefused
from indexing.charsets import chinese_encoding, wide_encoding

_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w-]{3,20})""", re.I)
_DECLARED_WITHIN = 4096
_GUESS_BYTES = 1 << 18
_OTHERS = ["cp1252", "cp1250", "cp1251", "shift_jis", "euc_jp", "euc_kr", "koi8_r", "cp866", "cp1256"]
# One bad byte in a long UTF-8 file is a slip, not another encoding.
_GOOD_PER_BAD = 20


def decode(raw: bytes, path: Path, declared: str = "") -> str:
    """Return a file's text; its lines end with line feeds.

    Args:
        raw: its bytes.
        path: the file.
        declared: encoding that stands outside the bytes, as in the header of a mail's part.

    Raises:
        FileRefused: no plausible encoding fits.
    """
    text = _decode_wide(raw) or _decode_utf8(raw) or _decode_chinese(raw)
    text = text or _decode_as(raw, declared or _declared(raw)) or _decode_guessed(raw)
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


def _declared(raw: bytes) -> str:
    match = _DECLARED.search(raw[:_DECLARED_WITHIN])
    return match[1].decode("ascii") if match else ""


def _decode_as(raw: bytes, name: str) -> str | None:
    """Decode as declared; None where that is no encoding or does not fit."""
    name = name.lower()
    name = "gb18030" if name in {"gb2312", "gbk", "gb_2312-80"} else name
    name = "cp1252" if name in {"iso-8859-1", "latin1", "latin-1"} else name
    try:
        if not name or codecs.lookup(name).name.startswith("utf"):
            return None
        text = raw.decode(name, "replace")
    except (LookupError, UnicodeError):
        return None
    return text if text.count("\ufffd") <= len(text) // 500 else None


def _decode_chinese(raw: bytes) -> str | None:
    """Decode what is surely Chinese, whatever the file declares."""
    encoding = chinese_encoding(raw[:_GUESS_BYTES])
    return raw.decode(encoding, "replace") if encoding else None


def _decode_guessed(raw: bytes) -> str | None:
    from charset_normalizer import from_bytes

    guess = from_bytes(raw[:_GUESS_BYTES], cp_isolation=[*_OTHERS, "gb18030", "big5"]).best()
    return raw.decode(guess.encoding, "replace") if guess else None
