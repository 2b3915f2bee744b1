"""The exact-code lane: fault codes, part and model numbers, looked up instead of resembled.

A code is letters with digits (``E-47``, ``F03``, ``HQ-1204``, ``ERR_1234``, ``ESP32-S3``) or a
hexadecimal number (``0x1A``); a plain number of four to six digits is one where a document says so
(``Error 8001``, ``#31-202``, or a title that begins with it), one of one to three where documents explain
several right behind a word that calls them codes (``Error 12``, ``故障03``). Case, separators and full-width
forms do not matter: ``e47`` is ``E-47``.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path

import msgspec

from assistant.core.errors import IndexBroken
from assistant.core.records import Record
from indexing.code_families import (
    CodeEntry,
    Families,
    Family,
    family_of,
    fault_families,
    is_few,
    name_families,
    number_of,
)
from indexing.code_patterns import (
    CODE,
    CUE,
    ENTRY_SPACED,
    NAMING,
    NUMBER,
    NUMBER_REACH,
    SPACED,
    asked_codes,
    asked_names,
    asked_numbers,
    called_in_question,
    called_numbers,
    folded,
)

CODES_FILE = "codes.json"

_PLACEHOLDER = re.compile(r"X{2,}")
_ENTRY_BEFORE = re.compile(r"[\s*•|#-]*(?:[^\d:：·|。.!?！？]{1,24}[:：]\s*)?\Z")
_ENTRY_AFTER = re.compile(r"\s*(?:[·|:：,，;；)）\]]|[-–—=]\s|\Z)")
_CUE_REACH = 60
_CUE_HEAD = 120
_NEAREST = 3
# A code leads to its chunks, ahead of any resemblance, only where it says where to look. Measured on 500
# questions about a chip family: when "I2C", "GPIO0" or "ESP32-C5" lead, hit@5 falls by 2 to 4 points.
_TELLING_DIGITS = re.compile(r"[A-Z]\d{3,}")
_COMMON_SHARE = 0.03
_COMMON_COUNT = 12


class UnknownCode(Record, frozen=True, kw_only=True):
    """A code of a question that looks like the collection's fault codes and is none of them.

    Attributes:
        code: as asked.
        nearest: the known codes closest to it, as they are written.
        is_name: it looks like the name of a model or part, not like a fault code.
    """

    code: str
    nearest: tuple[str, ...]
    is_name: bool = False


class CodeIndex:
    """The codes of a collection.

    Args:
        entries: normalised code → entry.
        chunk_count: chunks in the collection.

    Attributes:
        dead: numbers of chunks that count no more.
    """

    def __init__(self, entries: Mapping[str, CodeEntry], chunk_count: int) -> None:
        self.entries = dict(entries)
        self.dead: Set[int] = frozenset()
        self._families = fault_families(self.entries)
        self._names = name_families(self.entries, self._families)
        most = max(_COMMON_COUNT, int(_COMMON_SHARE * chunk_count))
        self._telling = {code for code, entry in self.entries.items() if self._is_telling(code, entry, most)}

    def without(self, dead: Set[int]) -> CodeIndex:
        """Return the same codes with chunks gone; a code that stands in no other is unknown then."""
        fewer = copy.copy(self)
        fewer.dead = self.dead | dead
        return fewer

    def only(self, allowed: Set[int]) -> CodeIndex:
        """Return the same codes as if no chunks but the allowed ones were there."""
        numbers = itertools.chain.from_iterable(entry.chunks for entry in self.entries.values())
        return self.without(set(numbers) - allowed)

    def chunks_of(self, codes: Iterable[str]) -> dict[int, int]:
        """Return chunk number → how many of a question's known codes stand in it verbatim."""
        found: Counter[int] = Counter()
        for code in codes:
            found.update(number for number in self.entries[code].chunks if number not in self.dead)
        return dict(found)

    def defining(self, codes: Iterable[str]) -> set[int]:
        """Return the numbers of the chunks that explain one of a question's known codes."""
        return {number for code in codes for number in self.entries[code].defining}

    def known(self, question: str) -> list[str]:
        """Return the question's codes that the collection holds and that say where to look."""
        return [code for code in self._candidates(question) if code in self._telling and self._holds(code)]

    def beside(self, code: str, lines: Iterable[str]) -> set[str]:
        """Return the telling codes of other families that stand in a line with a code.

        That is the part in the row of a fault, not the fault in the row below.

        Args:
            code: normalised.
            lines: of chunks that hold the code.
        """
        named = (codes_of(line) for line in lines)
        together = {other for line in named if code in line for other in line if other in self._telling}
        return {other for other in together if family_of(other) != family_of(code)}

    def explaining(self, code: str) -> set[int]:
        """Return the numbers of the chunks that explain a code, normalised."""
        return {number for number in self.entries[code].defining if number not in self.dead}

    def _holds(self, code: str) -> bool:
        entry = self.entries.get(code)
        return entry is not None and any(number not in self.dead for number in entry.chunks)

    def unknown(self, question: str) -> tuple[UnknownCode, ...]:
        """Return the question's codes that belong to a family of the collection's and are not known.

        That is a family of fault codes, or of names of models and parts.
        """
        found: dict[str, UnknownCode] = {}
        text = folded(question)
        numbers = [] if self._names_fault(question) else [*asked_numbers(text), *called_in_question(text)]
        for surface in [*asked_codes(text), *numbers]:
            code = normalise_code(surface)
            if family_of(code) not in self._families or self._holds(code):
                continue
            if nearest := self._nearest(code, self._families):  # none where the whole family is gone
                found[code] = UnknownCode(code=surface, nearest=nearest)
        for surface in self._unknown_names(text):
            code = normalise_code(surface)
            if code not in found and (nearest := self._nearest(code, self._names)):
                found[code] = UnknownCode(code=surface, nearest=nearest, is_name=True)
        return tuple(found.values())

    def _unknown_names(self, text: str) -> list[str]:
        """Return names of families of which the question names no known one.

        "Is the Q9 larger than the Q7?" is answered from what is said of the Q7.
        """
        surfaces: defaultdict[Family, list[str]] = defaultdict(list)
        known: set[Family] = set()
        for surface in asked_names(text):
            code = normalise_code(surface)
            family = family_of(code)
            if family in self._names and family is not None:
                surfaces[family].append(surface)
                known |= {family} if self._holds(code) else set()
        return [surface for family, rows in surfaces.items() if family not in known for surface in rows]

    def _names_fault(self, question: str) -> bool:
        """Tell whether a known fault code is asked for: then a number beside it is a count or a process."""
        codes = self._candidates(question)
        return any(family_of(code) in self._families and self._holds(code) for code in codes)

    def _is_telling(self, code: str, entry: CodeEntry, most: int) -> bool:
        """Tell whether a code is a fault code, or a part number that is not what the manual is about."""
        if len(entry.chunks) > most or (is_few(family_of(code)) and family_of(code) not in self._families):
            return False
        is_fault_code = family_of(code) in self._families or 2 * entry.cued >= len(entry.chunks)
        return is_fault_code or _TELLING_DIGITS.search(code) is not None

    def _candidates(self, question: str) -> list[str]:
        text = folded(question)
        codes = codes_of(text)
        # "E 47" is a code only where the collection has it: "step 3" and "top 5" are none
        spaced = [(letters + digits).upper() for letters, digits in SPACED.findall(text)]
        numbers = map(normalise_code, NUMBER.findall(text))
        return list(dict.fromkeys([*codes, *spaced, *numbers, *called_in_question(text)]))

    def _nearest(self, code: str, families: Families) -> tuple[str, ...]:
        number = number_of(code)
        members = families[family_of(code) or ("", 0)]
        ranked = sorted(members, key=lambda other: (abs(other - number), other))
        surfaces = [*self._patterns_of(code), *(members[member] for member in ranked)]
        held = (surface for surface in surfaces if self._holds(normalise_code(surface)))
        return tuple(itertools.islice(held, _NEAREST))

    def _patterns_of(self, code: str) -> list[str]:
        """Return the codes with a placeholder that a number may be meant by: XX101 for 31101."""
        patterns = [
            letters + code[len(letters) :]
            for letters, digits in self._families
            if _PLACEHOLDER.fullmatch(letters) and len(letters) + digits == len(code)
        ]
        return [self.entries[pattern].surface for pattern in patterns if pattern in self.entries]


def normalise_code(code: str) -> str:
    """Return the form under which spellings of one code are equal."""
    return re.sub(r"[-_ ]", "", folded(code)).upper()


def codes_of(text: str) -> list[str]:
    """Return the codes that stand in a text, normalised."""
    return [normalise_code(match.group()) for match in CODE.finditer(folded(text))]


def find_codes(text: str) -> list[tuple[str, int]]:
    """Return the codes of a document's text as written, with their offsets in the folded text.

    In documents a code's first letter is a capital: "item2" and "covid-19" are words.
    """
    return [
        (match.group(), match.start())
        for match in CODE.finditer(folded(text))
        if match.group()[0].isupper() or match.group()[:2] in {"0x", "0X"}
    ]


def build_codes(texts: Iterable[tuple[int, str, str]]) -> CodeIndex:
    """Collect the codes of (number, titles above, text)."""
    surfaces: defaultdict[str, Counter[str]] = defaultdict(Counter)
    chunks: defaultdict[str, dict[int, bool]] = defaultdict(dict)
    defining: defaultdict[str, set[int]] = defaultdict(set)
    count = 0
    for number, titles, text in texts:
        count += 1
        for surface in _defined_codes(titles, text):
            defining[normalise_code(surface)].add(number)
        for surface, is_cued in _cued_codes(titles, text):
            code = normalise_code(surface)
            surfaces[code][surface] += 1
            chunks[code][number] = chunks[code].get(number, False) or is_cued
    entries = {
        code: CodeEntry(
            surface=surfaces[code].most_common(1)[0][0],
            chunks=tuple(sorted(held)),
            cued=sum(held.values()),
            defining=tuple(sorted(defining[code])),
        )
        for code, held in chunks.items()
    }
    return CodeIndex(entries, count)


def _defined_codes(titles: str, text: str) -> Iterator[str]:
    """Yield the codes that a chunk explains."""
    for line in titles.splitlines()[-1:]:
        yield from (match.group() for find in (CODE, NUMBER) if (match := find.match(folded(line))))
        yield from (match["number"] for match in called_numbers(folded(line)) if not match.start())
    for line in folded(text).splitlines():
        yield from _set_apart(line)
        for match in (*CODE.finditer(line), *NUMBER.finditer(line)):
            if _ENTRY_BEFORE.match(line[: match.start()]) and _ENTRY_AFTER.match(line[match.end() :]):
                yield match.group()


def _set_apart(line: str) -> Iterator[str]:
    """Yield the code that a line, folded, begins with and explains, as "Err 12:" or "E 38 Heater" does."""
    start = len(line) - len(line.lstrip(" *•|#-"))
    spaced = ENTRY_SPACED.match(line, start)
    if spaced:
        yield spaced.group()
    for match in called_numbers(line):
        if match.start() == start and _ENTRY_AFTER.match(line[match.end() :]):
            yield match["number"]


def _cued_codes(titles: str, text: str) -> Iterator[tuple[str, bool]]:
    """Yield each code with whether titles, the chunk's beginning or what stands near it speak of faults."""
    whole = folded(text)
    cues = [match.start() for match in CUE.finditer(whole)]
    all_cued = bool(CUE.search(titles)) or any(cue < _CUE_HEAD for cue in cues)
    for surface, place in find_codes(text):
        yield surface, all_cued or any(abs(cue - place) <= _CUE_REACH for cue in cues)
    yield from ((surface, all_cued) for line in whole.splitlines() for surface in _set_apart(line))
    yield from ((match["number"], True) for match in called_numbers(whole))
    for match in NUMBER.finditer(whole):
        before = whole[max(match.start() - NUMBER_REACH, 0) : match.start()]
        if before.endswith("#") or CUE.search(before):
            yield match.group(), bool(NAMING.search(before))
    for title in titles.splitlines():
        for surface, _ in find_codes(title):
            yield surface, all_cued
        yield from ((match["number"], True) for match in called_numbers(folded(title)))
        number = NUMBER.match(folded(title))
        if number:
            yield number.group(), True


def write_codes(folder: Path, codes: CodeIndex) -> None:
    """Write the codes into a segment's folder."""
    (folder / CODES_FILE).write_bytes(msgspec.json.encode(codes.entries, order="sorted"))


def merge_codes(parts: Sequence[Mapping[str, CodeEntry]]) -> dict[str, CodeEntry]:
    """Return the codes of several segments together, each written as the first that holds it has it."""
    merged = dict(parts[0]) if parts else {}
    for code, entry in ((code, entry) for part in parts[1:] for code, entry in part.items()):
        first = merged.get(code)
        merged[code] = entry if first is None else _together(first, entry)
    return merged


def _together(first: CodeEntry, second: CodeEntry) -> CodeEntry:
    chunks = first.chunks + second.chunks
    return CodeEntry(
        surface=first.surface,
        chunks=chunks,
        cued=first.cued + second.cued,
        defining=first.defining + second.defining,
    )


def read_codes(folder: Path) -> dict[str, CodeEntry]:
    """Read the codes of a segment.

    Raises:
        IndexBroken: the file is damaged.
    """
    file = folder / CODES_FILE
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, CodeEntry])
    except (OSError, msgspec.DecodeError) as error:
        raise IndexBroken(f"snapshot file {file} cannot be read: {error}") from error
