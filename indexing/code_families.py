"""Families of codes, by letters and number of digits: those of faults, and the names of models and parts."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping

from assistant.core.records import Record

Family = tuple[str, int]
# family → number → the code as it is written
Families = Mapping[Family, Mapping[int, str]]

_CODE = re.compile(r"([A-Z]*)(\d+)")
_HEX = re.compile(r"(0X)([0-9A-F]{3,8})")
# so few digits are a code only where documents explain several of their kind
_FEW_DIGITS = 3
_FAULTS = 3
# Names count where several of a family stand in several chunks each; so measured on 2,984 questions of eight
# collections, none of a product is taken for unknown that the documents answer.
_NAMES, _NAME_CHUNKS = 2, 3
_NUMBERED_NAMES, _NUMBERED_DIGITS = 3, 3
# pins, standards, versions and figures are counted through, not named
_COUNTED = frozenset(
    re.findall(
        r"\w+",
        "GPIO IO PIN PORT COM UART SPI I2C ADC DAC PWM USB HTTP TLS SSL IPV WPA UTF SHA AES MD MP V VER"
        " VERSION REV NO STEP TAB TABLE FIG PAGE CH LEVEL DAY WEEK ISO IEC DIN RFC IEEE IP CAT G H",
    )
)


class CodeEntry(Record, frozen=True, kw_only=True):
    """A code of the collection.

    Attributes:
        surface: as it is mostly written.
        chunks: numbers of the chunks that hold it.
        cued: chunks in which a word such as "error" or "故障" stands near it.
        defining: numbers of the chunks that explain it: it begins a title, or stands as an entry of its own
            at the beginning of a line ("Code: E-45 · Meaning: …").
    """

    surface: str
    chunks: tuple[int, ...]
    cued: int = 0
    defining: tuple[int, ...] = ()


def family_of(code: str) -> Family | None:
    """Return letters and digit count of a plain code such as E47, 8001 or 0X8007, None for other shapes."""
    match = _CODE.fullmatch(code) or _HEX.fullmatch(code)
    return (match.group(1), len(match.group(2))) if match else None


def number_of(code: str) -> int:
    """Return the number of a code that has a family."""
    letters, _ = family_of(code) or ("", 0)
    return int(code[len(letters) :], 16 if letters == "0X" else 10)


def is_few(family: Family | None) -> bool:
    """Return whether a family's codes are plain numbers of one to three digits."""
    return family is not None and not family[0] and family[1] <= _FEW_DIGITS


def fault_families(entries: Mapping[str, CodeEntry]) -> Families:
    """Return the families of fault codes: several members, mostly with a word such as "error" nearby.

    One part number, "ESP32" or the interfaces GPIO1 to GPIO9 make no family of fault codes.
    """
    cued: Counter[Family] = Counter()
    explained: Counter[Family] = Counter()
    for code, entry in entries.items():
        family = family_of(code)
        if family:
            cued[family] += 2 * entry.cued >= len(entry.chunks)
            explained[family] += bool(entry.defining)
    return {
        family: members
        for family, members in _families(entries).items()
        if len(members) >= _FAULTS
        and 2 * cued[family] >= len(members)
        and (not is_few(family) or explained[family] >= _FAULTS)
    }


def name_families(entries: Mapping[str, CodeEntry], faults: Families) -> Families:
    """Return the families of names: Q5 and Q7, T3 and T6, the part numbers QP-2208 to QP-7050.

    Short names must stand in several chunks each, so that a screw or a connector makes no family.
    """
    found: dict[Family, Mapping[int, str]] = {}
    for family, members in _families(entries).items():
        letters, digits = family
        if not letters or letters == "0X" or letters in _COUNTED or family in faults:
            continue
        common = sum(
            len(entries[f"{letters}{number:0{digits}}"].chunks) >= _NAME_CHUNKS for number in members
        )
        is_numbered = digits >= _NUMBERED_DIGITS and len(members) >= _NUMBERED_NAMES
        if is_numbered or common >= _NAMES:
            found[family] = members
    return found


def _families(entries: Mapping[str, CodeEntry]) -> dict[Family, dict[int, str]]:
    families: defaultdict[Family, dict[int, str]] = defaultdict(dict)
    for code, entry in entries.items():
        family = family_of(code)
        if family:
            families[family][number_of(code)] = entry.surface
    return families
