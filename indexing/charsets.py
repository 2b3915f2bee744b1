"""Encodings that bytes give away by themselves: UTF-16 and UTF-32 without a mark, and Chinese ones."""

from __future__ import annotations

import codecs
import re
import struct

_HEAD_BYTES = 8192
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL_SHARE = 0.02
# NUL bytes at every second (or three of four) places are UTF-16 (UTF-32) text of mostly Latin letters.
_NUL_SHARE = 0.3
# Units of text in UTF-16: ASCII, Latin, Greek, Cyrillic, Hebrew, Arabic, CJK, Hangul, full-width forms.
_TEXT_UNITS = re.compile(
    r"[\t\n\r -~\u00a0-\u06ff\u2010-\u2044\u3000-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff00-\uffef]"
)
# Of these at least one stands in every text, and each holds a byte that no 8-bit text has.
_ANCHOR_UNITS = re.compile(r"[\t\n\r \u3001\u3002\uff0c]")
_UNIT_SHARE = 0.97
_FEWEST_UNITS = 4
_PAIR = re.compile(rb"[\x81-\xfe][\x40-\xfe]")
# Chinese text is all but whole made of the frequent characters and the punctuation, which both
# encodings keep in rows of their own; read in the other encoding they fall into rare rows.
_FREQUENT = {
    "gb18030": re.compile(rb"[\xb0-\xd7][\xa1-\xfe]|[\xa1-\xa3][\xa1-\xfe]"),
    "big5hkscs": re.compile(rb"[\xa4-\xc6][\x40-\x7e\xa1-\xfe]|[\xa1-\xa3][\x40-\x7e\xa1-\xfe]"),
}
_FREQUENT_SHARE = 0.9
# Korean and Cyrillic bytes fall into the frequent rows too, but not onto the most common characters.
_COMMON = frozenset(
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面"
    "而方后多定行学法所民得经十三之进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把"
    "性好应开它合还因由其些然前外天四日那事平形相全表间样与关各重新线内数正心反明看原又么利比或但质气第向道"
    "此变条只没结解问意建月公无系情者最立代想已通并提直题程展五果料象员位入常文总次品式活设及管特件长求头基资"
    "边流路级少图统接知较将组见计别手角期根论运指几九区强放决被干做必先回则任取据处给色光门即保规热领七口导器"
    "压金增极交受联什认六共收证改清再采转更单切打白速带安场身车例真务具每目至达示报完类八离名确才科信节整空元"
    "況這為個國時來們對會發動過說產種後學經進電裡現實體機當點從業應開還關線內數變條沒結無與樣間設備請按鍵顯"
)
_COMMON_SHARE = 0.15
_FEWEST_CHARACTERS = 24
_KANA = re.compile(r"[\u3040-\u30ff]")
_KANA_SHARE = 0.15
_FEWEST_KANA = 8


def wide_encoding(raw: bytes) -> str | None:
    """Return the encoding that a byte order mark or the units of UTF-16 or UTF-32 give away, else None."""
    for bom, encoding in _BOMS:
        if raw.startswith(bom):
            return encoding
    head = raw[:_HEAD_BYTES]
    guess = _guess_wide(head) or _guess_wide_units(head)
    if guess is None:
        return None
    text = head.decode(guess, "replace")
    unprintable = sum(not (letter.isprintable() or letter.isspace()) for letter in text)
    return guess if unprintable <= _CONTROL_SHARE * len(text) + 1 else None


def _guess_wide(head: bytes) -> str | None:
    quarter = max(len(head) // 4, 1)
    nuls = [head[place::4].count(0) / quarter for place in range(4)]
    if min(nuls[2:]) > 1 - _NUL_SHARE and nuls[0] < _NUL_SHARE:
        return "utf-32-le"
    if min(nuls[:2]) > 1 - _NUL_SHARE and nuls[3] < _NUL_SHARE:
        return "utf-32-be"
    even, odd = (nuls[0] + nuls[2]) / 2, (nuls[1] + nuls[3]) / 2
    if odd > _NUL_SHARE and even < odd / 4:
        return "utf-16-le"
    if even > _NUL_SHARE and odd < even / 4:
        return "utf-16-be"
    return None


def _guess_wide_units(head: bytes) -> str | None:
    """Tell UTF-16 of letters that hold few NUL bytes, Chinese above all, by what its units are."""
    count = len(head) // 2
    if count < _FEWEST_UNITS:
        return None
    for encoding, order in (("utf-16-le", "<"), ("utf-16-be", ">")):
        units = "".join(map(chr, struct.unpack_from(f"{order}{count}H", head)))
        if len(_TEXT_UNITS.findall(units)) >= _UNIT_SHARE * count and _ANCHOR_UNITS.search(units):
            return encoding
    return None


def chinese_encoding(raw: bytes) -> str | None:
    """Return the encoding of bytes that are surely Chinese text in GB18030 (GBK, GB2312) or Big5."""
    shares = {name: _frequent_share(raw, name) for name in _FREQUENT}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] < _FREQUENT_SHARE or _is_japanese(raw):
        return None
    han = [letter for letter in raw.decode(best, "ignore") if letter >= "\u3400"]
    common = sum(letter in _COMMON for letter in han)
    return best if len(han) < _FEWEST_CHARACTERS or common >= _COMMON_SHARE * len(han) else None


def _is_japanese(raw: bytes) -> bool:
    text = raw.decode("euc_jp", "replace")
    return "\ufffd" not in text and len(_KANA.findall(text)) > max(_KANA_SHARE * len(text), _FEWEST_KANA)


def _frequent_share(raw: bytes, encoding: str) -> float:
    """Return the share of two-byte characters that are frequent ones; 0 where the bytes do not fit."""
    if raw.decode(encoding, "replace").count("\ufffd") > 1 + len(raw) // 400:
        return 0.0
    pairs = _PAIR.findall(raw)
    return sum(bool(_FREQUENT[encoding].match(pair)) for pair in pairs) / len(pairs) if pairs else 0.0
