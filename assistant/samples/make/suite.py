"""Build the held-out suite: find where each piece of evidence stands and write `suite.jsonl`."""

import re
from functools import cache
from pathlib import Path

import msgspec

from assistant.samples.make.blocks import CONTENT_PATH, load_documents
from assistant.samples.make.extracting import extract_pages, squeeze
from assistant.samples.make.rows import LANGUAGES, document_paths
from assistant.samples.make.sheets import load_prices

_UNIT_SPACE = re.compile(r"(?<=\d) (?=\S)")


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question as written in `content/suite_*.toml`.

    Attributes:
        gold: Pairs of a document's short name and the evidence; table cells are joined by " | ".
        absent: For an unanswerable question, strings that no document may contain.
    """

    kind: str
    question: str
    answer: str
    paraphrases: list[str]
    gold: list[tuple[str, str]] = []
    facts: list[list[str]] = []
    absent: list[str] = []


class Gold(msgspec.Struct, frozen=True, kw_only=True):
    """Where the answer stands; `page` counts from 1."""

    doc: str
    page: int | None
    heading: str | None
    evidence: str


class SuiteRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `suite.jsonl`."""

    id: str
    lang: str
    kind: str
    question: str
    answers: list[str]
    gold: list[Gold]
    key_facts: list[list[str]]
    answerable: bool
    paraphrases: list[str]


def load_cases(language: str) -> list[Case]:
    """Read the questions of one language."""
    text = (CONTENT_PATH / f"suite_{language}.toml").read_bytes()
    return msgspec.toml.decode(text, type=dict[str, list[Case]])["case"]


def load_suite(path: Path) -> list[SuiteRow]:
    """Read a written suite."""
    return [msgspec.json.decode(line, type=SuiteRow) for line in path.read_bytes().splitlines()]


def write_suite(path: Path, files_path: Path) -> None:
    """Write the suite for the documents below `files_path`."""
    rows = []
    for language in LANGUAGES:
        counts: dict[str, int] = {}
        for case in load_cases(language):
            counts[case.kind] = counts.get(case.kind, 0) + 1
            rows.append(_row(case, language, counts[case.kind], files_path))
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def _row(case: Case, language: str, number: int, files_path: Path) -> SuiteRow:
    return SuiteRow(
        id=f"{language}-{case.kind}-{number:02}",
        lang=language,
        kind=case.kind,
        question=case.question,
        answers=[case.answer],
        gold=[_locate(language, key, evidence, files_path) for key, evidence in case.gold],
        key_facts=[_forms(forms) for forms in case.facts],
        answerable=case.kind != "unanswerable",
        paraphrases=case.paraphrases,
    )


def _forms(forms: list[str]) -> list[str]:
    """Add the spellings that need no thought: no space before the unit, one sign for degrees Celsius."""
    signs = [*forms, *(form.replace("°C", "℃") for form in forms)]
    return list(dict.fromkeys([*signs, *(_UNIT_SPACE.sub("", form) for form in signs)]))


def _locate(language: str, key: str, evidence: str, files_path: Path) -> Gold:
    """Find heading and page of a piece of evidence.

    Raises:
        LookupError: If no block of the document contains it.
    """
    doc = document_paths()[language, key]
    for heading, texts in _passages(language, key):
        if _holds(texts, evidence.split(" | ")):
            page = _find_page(files_path / doc, "".join(texts)) if doc.endswith(".pdf") else None
            return Gold(doc=doc, page=page, heading=heading, evidence=evidence)
    raise LookupError(f"{doc} does not contain the evidence {evidence!r}")


def _holds(texts: tuple[str, ...], parts: list[str]) -> bool:
    if len(parts) == 1:
        return any(parts[0] in text for text in texts)
    return all(part in texts for part in parts)


def _passages(language: str, key: str) -> list[tuple[str | None, tuple[str, ...]]]:
    """The (heading, texts) of every block or table row of a document, in order."""
    if key == "prices":
        sheet = load_prices()[LANGUAGES.index(language)]
        return [(sheet.sheet, tuple(f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in row))
                for row in sheet.rows]  # fmt: skip
    spec = next(spec for spec in load_documents() if (spec.language, spec.key) == (language, key))
    return [
        (block.heading, texts)
        for block in spec.blocks
        for texts in (block.rows if block.rows else ((block.text,),))
    ]


@cache
def _squeezed_pages(path: Path) -> list[str]:
    return [squeeze(page) for page in extract_pages(path)]


def _find_page(path: Path, text: str) -> int:
    wanted = squeeze(text)
    for number, page in enumerate(_squeezed_pages(path), start=1):
        if wanted in page:
            return number
    raise LookupError(f"no single page of {path.name} contains {text!r}")
