"""Suites: question sets with gold passages, reference answers and key facts, checked when they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec

from assistant.answering.json_schemas import check_schema
from assistant.answering.pipeline import check_question
from assistant.core.errors import InputError
from assistant.core.jsonl import read_jsonl
from assistant.core.language import Language
from assistant.core.records import Case, Gold, Message, Record
from eval.normalisation import tokens

PROBLEMS_SHOWN = 10
MAX_QUESTION_CHARACTERS = 4000
# the collection that `deskmate demo` makes; the suite that ships asks about its documents
SAMPLE_COLLECTION = "demo"
_ANSWERABLE = frozenset({"ANSWERABLE", "PARTIAL"})


class _GoldRow(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A gold as suites write it: foreign ones have nulls, and name a section by title or anchor."""

    doc: str | None = None
    passage: str | None = None
    evidence: str | None = None
    page: int | None = None
    heading: str | None = None
    title: str | None = None
    anchor: str | None = None
    grade: Annotated[int, msgspec.Meta(ge=1)] = 1

    def as_gold(self) -> Gold:
        return Gold(
            doc=self.doc or self.passage or "",
            evidence=self.evidence or "",
            page=self.page,
            heading=self.heading or self.title or self.anchor or None,
            grade=self.grade,
        )


class _CaseRow(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A case as suites write it."""

    id: str
    lang: Language
    question: str
    kind: str | None = None
    answers: tuple[str, ...] = ()
    gold: tuple[_GoldRow, ...] = ()
    key_facts: tuple[tuple[str, ...], ...] = ()
    answerable: bool | None = None
    answerability: str = "ANSWERABLE"
    history: tuple[Message, ...] = ()
    paraphrases: tuple[str, ...] = ()
    schema: dict[str, object] | None = None
    hides_evidence: bool = False

    def as_case(self) -> Case:
        answerable = self.answerability.upper() in _ANSWERABLE if self.answerable is None else self.answerable
        return Case(
            id=self.id,
            lang=self.lang,
            question=self.question,
            kind=self.kind or ("factual" if answerable else "unanswerable"),
            answers=self.answers,
            gold=tuple(gold.as_gold() for gold in self.gold),
            key_facts=self.key_facts,
            answerable=answerable,
            history=self.history,
            paraphrases=self.paraphrases,
            schema=self.schema,
            hides_evidence=self.hides_evidence,
        )


def sample_suite_path() -> Path:
    """Return the path of the suite that ships."""
    return Path(str(resources.files("assistant.samples").joinpath("suite.jsonl")))


def load_suite(path: Path, max_question_characters: int = MAX_QUESTION_CHARACTERS) -> tuple[Case, ...]:
    """Read a suite.

    Args:
        path: a JSON Lines file, one case a line.
        max_question_characters: longer questions cannot be asked.

    Raises:
        InputError: the file cannot be read, a line is no case, there is no case, or cases cannot be
            measured; the message names the file, the line or the ids, and each reason.
    """
    rows = read_cases(path)
    problems = list(suite_problems(rows, max_question_characters))
    if problems:
        shown = problems[:PROBLEMS_SHOWN]
        if len(problems) > len(shown):
            shown.append(f"and {len(problems) - len(shown)} more")
        raise InputError(f"{path}: not a usable suite:\n  " + "\n  ".join(shown))
    return rows


def read_cases(path: Path) -> tuple[Case, ...]:
    """Read a suite's cases as they are, usable or not.

    Raises:
        InputError: the file cannot be read, a line is no case, or there is none.
    """
    try:
        rows = tuple(row.as_case() for row in read_jsonl(path, _CaseRow))
    except RecursionError as error:
        raise InputError(f"{path}: a line is nested too deeply") from error
    if not rows:
        raise InputError(f"{path}: holds no cases")
    return rows


def case_of(row: Mapping[str, object]) -> Case:
    """Return a case from its fields.

    Raises:
        InputError: a field is missing or of the wrong kind.
    """
    try:
        return msgspec.convert(row, _CaseRow).as_case()
    except msgspec.ValidationError as error:
        raise InputError(str(error)) from error


def suite_problems(suite: Sequence[Case], max_question_characters: int) -> Iterator[str]:
    """Yield why cases cannot be asked or measured, with their ids."""
    yield from _duplicates(suite)
    for case in suite:
        yield from _problems(case, max_question_characters)


def require_scores(suite: tuple[Case, ...]) -> None:
    """Check that every answer could be scored.

    Raises:
        InputError: an answerable case has neither key facts nor a reference answer.
    """
    bare = [case.id for case in suite if case.answerable and not case.key_facts and not any(case.answers)]
    if bare:
        raise InputError(
            f"{len(bare)} answerable cases have neither key_facts nor answers, so that only retrieval can "
            f"be measured on this suite, first: {bare[0]!r}",
            next_command="deskmate eval --retrieval-only",
        )


def _duplicates(rows: Sequence[Case]) -> Iterator[str]:
    counts = Counter(row.id for row in rows)
    return (f"id {name!r} stands {count} times" for name, count in counts.items() if count > 1)


def _problems(row: Case, max_question_characters: int) -> Iterator[str]:
    if not row.id.strip():
        yield f"a case without an id asks {row.question[:60]!r}"
    try:
        check_question(row.question, max_question_characters)
        if row.schema is not None:
            check_schema(row.schema)
    except InputError as error:
        yield f"{row.id!r}: {error.message}"
    if row.answerable and not row.gold:
        yield f"{row.id!r}: answerable, and has no gold"
    if row.hides_evidence and (row.answerable or not row.gold):
        yield f"{row.id!r}: hides its evidence, so it needs a gold and is not answerable"
    if any(not gold.doc.strip() for gold in row.gold):
        yield f"{row.id!r}: a gold names no doc"
    if any(not forms or not all(tokens(form) for form in forms) for forms in row.key_facts):
        yield f"{row.id!r}: a key fact has no form, or a form without a letter or digit"


def spread(suite: tuple[Case, ...], limit: int) -> tuple[Case, ...]:
    """Return ``limit`` cases taken evenly over the suite, so that every language and kind is there."""
    if limit >= len(suite):
        return suite
    return tuple(suite[place * len(suite) // limit] for place in range(limit))
