"""Question and answer pairs that rules make from the corpus: table rows, codes, tickets, dialogues.

Rules never invent: every value of an answer stands verbatim in its chunk. A small teacher is better
spent on wording questions than on facts.
"""

from __future__ import annotations

import random
import re
import string
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import NamedTuple

from assistant.core.errors import InputError
from assistant.core.language import Language
from assistant.core.records import Chunk, Message, Passage, Record
from training.cells import EMPTY, at_beginning, called_by, cell_form, told_of, with_unit, within_sentence

_CELL_BORDER = " · "
_CODE = re.compile(r"[A-Z]{1,4}-?\d{1,5}")
# "- E-14" and "E-14" alike; a cell is "header: value"
_CELL = re.compile(r"(?P<header>[^:：]{1,60})[:：]\s*(?P<value>.+)", re.DOTALL)
_TICKET_QUESTION = re.compile(
    r"^(?:question|customer|problem|subject|问题|客户|现象)[:：]\s*(.+)$", re.IGNORECASE | re.MULTILINE
)
_TICKET_ANSWER = re.compile(
    r"^(?:resolution|answer|solution|解决(?:方案|办法)?|处理|答复)[:：]\s*(.+)$", re.IGNORECASE | re.MULTILINE
)
MAX_VALUE_CHARACTERS = 220
# the teacher of what people wrote
PEOPLE = "people"
# stands for no chunk: general instructions come from none
NO_CHUNK = Chunk(id="", document="", version=0, position=0, text="")


class Pair(Record, frozen=True, kw_only=True):
    """A question whose answer stands in one chunk.

    Attributes:
        question: as a person may ask.
        answer: short, true by the chunk.
        chunk: where the answer stands.
        recipe: what made it: ``table``, ``ticket``, ``dialogue``, ``sentence``, or a recipe's name.
        teacher: ``rules``, ``tickets``, ``people`` or an engine's name.
        others: further chunks that the answer stands on.
        history: turns before the question; a system turn is added to the instructions.
        passages: the context it is asked about, None to be known by heart.
        is_covered: the context or the collection answers it; else the answer says that it does not.
        weight: how much it counts against a generated pair.
        recipe_version: of the recipe.
        added: words around the answer that no chunk has to hold: a greeting, a tone.
        is_reworded: another's question in other words, which is what it is for.
    """

    question: str
    answer: str
    chunk: Chunk
    recipe: str
    teacher: str = "rules"
    others: tuple[Chunk, ...] = ()
    history: tuple[Message, ...] = ()
    passages: tuple[Passage, ...] | None = None
    is_covered: bool = True
    weight: float = 1.0
    recipe_version: int = 1
    added: str = ""
    is_reworded: bool = False

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """The chunks that the answer stands on; none for general instructions."""
        return tuple(chunk for chunk in (self.chunk, *self.others) if chunk.id)


class Pattern(Record, frozen=True, kw_only=True):
    """Wording of a table question and its answer, with ``$key``, ``$header``, ``$value`` and others."""

    kind: str
    question: str
    answer: str


def load_patterns(language: Language) -> tuple[Pattern, ...]:
    """Read ``templates/table_patterns.LANGUAGE.txt``: ``kind | question | answer`` a line.

    Raises:
        InputError: a line is not of that form.
    """
    file = resources.files("training").joinpath("templates", f"table_patterns.{language}.txt")
    patterns = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split("|")]
        if len(parts) != 3:  # noqa: PLR2004 - the three columns of the file
            raise InputError(f"table_patterns.{language}.txt, line {number}: not 'kind | question | answer'")
        patterns.append(Pattern(kind=parts[0], question=parts[1], answer=parts[2]))
    return tuple(patterns)


class Cell(NamedTuple):
    """A cell of a row: the row's key, what people call the row, the column, and what stands there."""

    key: str
    label: str
    header: str
    value: str

    def names(self, language: Language) -> tuple[tuple[str, ...], str]:
        """Return what the row may be called in a question, and what it is called in an answer."""
        if not self.label:
            return (self.key,), self.key
        article = "the " if language == "en" else ""
        name, border, model = self.label.partition(" (")
        return (article + self.label, self.key), f"{article}{name} {self.key}{border}{model}"


def table_pairs(chunk: Chunk, rng: random.Random, wordings: int) -> Iterator[Pair]:
    """Yield pairs for each value of each row of a table chunk, in up to ``wordings`` wordings."""
    patterns = load_patterns(chunk.language)
    rows = table_rows(chunk.text)
    several = _told_differently(rows)
    for row in rows:
        (key_header, key), *cells = row
        label = _label(key, cells)
        spoken = key if len(key) > 1 else called_by(key_header, key, chunk.language)
        for header, value in cells:
            if (label and value in label) or header in several[key]:
                continue
            yield from _cell_pairs(chunk, Cell(spoken, label, header, value), patterns, rng, wordings)
        if _CODE.fullmatch(key) and not label and not several[key]:
            yield from _whole_row(chunk, key, cells, [p for p in patterns if p.kind == "code"], rng)


def _told_differently(rows: Sequence[Sequence[tuple[str, str]]]) -> dict[str, set[str]]:
    """Return by key the headers under which several rows of that key say different things.

    A price list has a row for each part of a machine: "the price of the M3" is none of them.
    """
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for (_, key), *cells in rows:
        for header, value in cells:
            values[key, header].add(value)
    found: dict[str, set[str]] = defaultdict(set)
    for (key, header), told in values.items():
        if len(told) > 1:
            found[key].add(header)
    return found


def _cell_pairs(
    chunk: Chunk, cell: Cell, patterns: Sequence[Pattern], rng: random.Random, wordings: int
) -> Iterator[Pair]:
    header, value = with_unit(cell.header, cell.value)
    kind = _code_kind(cell.key, header) or cell_form(cell.key, header, value)
    fitting = [pattern for pattern in patterns if pattern.kind == kind]
    called, full = cell.names(chunk.language)
    chosen = rng.sample(fitting, min(wordings, len(fitting)))
    for place, pattern in enumerate(chosen if cell.value not in EMPTY else ()):
        name = called[place % len(called)]
        filled = {
            "key": cell.key,
            "what": within_sentence(cell.key),
            "header": within_sentence(header),
            "Header": at_beginning(header),
            "told": told_of(header, name),
            "article": "an" if header[:1].lower() in set("aeiou") else "a",
            "value": value,
            "name": name,
            "Name": at_beginning(name),
            "full": full,
            "Full": at_beginning(full),
        }
        question, answer = _fill(pattern.question, filled), _fill(pattern.answer, filled)
        yield Pair(question=question, answer=answer, chunk=chunk, recipe="table")


def _whole_row(
    chunk: Chunk,
    key: str,
    cells: Sequence[tuple[str, str]],
    patterns: Sequence[Pattern],
    rng: random.Random,
) -> Iterator[Pair]:
    """Yield one pair that tells all that a row says of a code."""
    pattern = rng.choice(patterns)
    joint = "；" if chunk.language == "zh" else "; "
    value = joint.join(
        f"{within_sentence(header)}: {value.rstrip('。.')}" for header, value in cells if value not in EMPTY
    )
    filled = {"key": key, "value": value}
    if value and len(value) <= MAX_VALUE_CHARACTERS:
        question, answer = _fill(pattern.question, filled), _fill(pattern.answer, filled)
        yield Pair(question=question, answer=answer, chunk=chunk, recipe="table")


def _label(key: str, cells: Sequence[tuple[str, str]]) -> str:
    """Return what people call the row of a part number: its name and model; empty where it has no name."""
    named = {
        kind: value
        for kind, words in _NAME_COLUMNS.items()
        for header, value in cells
        if header.lower() in words
    }
    if not _CODE.fullmatch(key.replace("-", "", 1)) or "name" not in named:
        return ""
    return f"{named['name']} ({named['model']})" if "model" in named else named["name"]


_NAME_COLUMNS = {
    "name": ("name", "part", "designation", "名称", "品名", "零件名称"),
    "model": ("model", "for model", "fits", "机型", "型号", "适用机型"),
}


def table_rows(text: str) -> list[list[tuple[str, str]]]:
    """Return the rows of a table chunk as (header, value) cells; rows without a value are left out."""
    rows = []
    for line in text.splitlines():
        cells = []
        for piece in line.split(_CELL_BORDER):
            match = _CELL.fullmatch(piece.strip())
            if match and len(match["value"]) <= MAX_VALUE_CHARACTERS:
                cells.append((match["header"].strip(), match["value"].strip()))
        if len(cells) > 1:
            rows.append(cells)
    return rows


def _code_kind(key: str, header: str) -> str:
    """Return which patterns fit a column of a fault code's row: meaning, cause, remedy, reset; else empty."""
    if _CODE.fullmatch(key):
        for kind, words in _CODE_COLUMNS.items():
            if any(word in header.lower() for word in words):
                return kind
    return ""


_CODE_COLUMNS = {
    "meaning": ("meaning", "description", "fault", "含义", "说明", "故障名"),
    "cause": ("cause", "reason", "原因"),
    "remedy": ("remedy", "action", "solution", "fix", "措施", "处理", "排除", "解决"),
    "reset": ("reset", "clear", "复位", "清除"),
}


def ticket_pairs(chunk: Chunk) -> Iterator[Pair]:
    """Yield the pair of a ticket chunk, or of a dialogue: the customer's first words and the resolution."""
    question, answer = _TICKET_QUESTION.search(chunk.text), _TICKET_ANSWER.search(chunk.text)
    if question and answer:
        yield Pair(
            question=question.group(1).strip(),
            answer=answer.group(1).strip(),
            chunk=chunk,
            recipe=chunk.kind,
            teacher="tickets",
        )


def rule_pairs(chunks: Sequence[Chunk], seed: int, wordings: int = 2) -> list[Pair]:
    """Return all pairs that rules make from the chunks, in the chunks' order."""
    rng = random.Random(seed)
    pairs: list[Pair] = []
    for chunk in chunks:
        if chunk.kind in {"ticket", "dialogue"}:
            pairs.extend(ticket_pairs(chunk))
        else:
            pairs.extend(table_pairs(chunk, rng, wordings))
    return pairs


def _fill(text: str, values: dict[str, str]) -> str:
    return string.Template(text).substitute({name: value.rstrip("。.") for name, value in values.items()})
