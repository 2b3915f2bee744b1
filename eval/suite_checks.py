"""What speaks against a suite that can be read: its size, its documents, what was trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal

from assistant.core.records import ARMS, Case, Example, Record
from eval.overlap import find_overlaps, overlap_lines
from eval.retrieval import is_same_document
from eval.suites import MAX_QUESTION_CHARACTERS, suite_problems

# below it no interval says anything; see eval.compare
LEAST_CASES = 5
FEW_CASES = 30
MANY_CASES = 2000
_NAMED = 5


class Finding(Record, frozen=True, kw_only=True):
    """Something to mend (``error``) or to know (``warning``)."""

    severity: Literal["error", "warning"]
    told: str


class TrainingSet(Record, frozen=True, kw_only=True):
    """A dataset that something was tuned on."""

    name: str
    examples: tuple[Example, ...]


def check_suite(
    suite: Sequence[Case],
    documents: Sequence[str] | None = None,
    trained: TrainingSet | None = None,
    max_question_characters: int = MAX_QUESTION_CHARACTERS,
) -> list[Finding]:
    """Return what speaks against a suite, errors first.

    Args:
        suite: the cases as they were read.
        documents: of the collection; None leaves out whether the golds are in it.
        trained: what the collection's adapter was or will be tuned on.
        max_question_characters: longer questions cannot be asked.
    """
    findings = [_error(told) for told in suite_problems(suite, max_question_characters)]
    findings += _about_scores(suite)
    if documents is not None:
        findings += _about_documents(suite, documents)
    if trained is not None:
        findings += _about_training(suite, trained)
    findings += _about_size(suite)
    return sorted(findings, key=lambda finding: finding.severity != "error")


def _about_scores(suite: Sequence[Case]) -> Iterator[Finding]:
    bare = [case.id for case in suite if case.answerable and not case.key_facts and not any(case.answers)]
    if bare:
        yield _warning(
            f"{len(bare)} answerable cases have neither key_facts nor answers: {_some(bare)}; "
            "only retrieval can be measured on the suite"
        )
    if suite and all(case.answerable for case in suite):
        yield _warning("no unanswerable case: abstention cannot be measured")
    if suite and not any(case.answerable for case in suite):
        yield _warning("no answerable case: neither answers nor citations can be measured")


def unknown_documents(suite: Sequence[Case], documents: Sequence[str]) -> dict[str, list[str]]:
    """Return the documents of golds that a collection does not hold, each with the cases that ask for it."""
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for document in documents:
        name = document.replace("\\", "/").rsplit("/", 1)[-1]
        for key in {name, name.rsplit(".", 1)[0]}:
            by_name[key].append(document)
    unknown: defaultdict[str, list[str]] = defaultdict(list)
    for case in suite:
        for gold in case.gold:
            name = gold.doc.replace("\\", "/").rsplit("/", 1)[-1]
            near = {*by_name.get(name, ()), *by_name.get(name.rsplit(".", 1)[0], ())}
            if not any(is_same_document(gold.doc, document) for document in near):
                unknown[gold.doc].append(case.id)
    return dict(unknown)


def _about_documents(suite: Sequence[Case], documents: Sequence[str]) -> Iterator[Finding]:
    for document, ids in unknown_documents(suite, documents).items():
        yield _error(f"document {document!r} is not in the collection; asked for by {_some(ids)}")


def _about_training(suite: Sequence[Case], trained: TrainingSet) -> Iterator[Finding]:
    found = find_overlaps(suite, trained.examples)
    if found:
        yield _error(
            f"{len(found)} questions stand in dataset {trained.name}, which is trained on:\n"
            f"{overlap_lines(found)}"
        )
    names = {name for example in trained.examples for name in example.documents}
    golds = {gold.doc for case in suite for gold in case.gold}
    both = {doc for doc in golds if any(is_same_document(doc, name) for name in names)}
    if both:
        yield _warning(
            f"{len(both)} of the suite's {len(golds)} documents are trained on: {_some(sorted(both))}; its "
            "questions are not, but the facts may be known by heart"
        )


def _about_size(suite: Sequence[Case]) -> Iterator[Finding]:
    count = len(suite)
    if count < LEAST_CASES:
        yield _warning(
            f"{count} case{'s' if count != 1 else ''}: from {LEAST_CASES} up an interval says anything"
        )
    elif count < FEW_CASES:
        yield _warning(f"{count} cases: only great differences will be clear, and the gate asks for more")
    elif count > MANY_CASES:
        yield _warning(
            f"{count} cases are {count * len(ARMS):,} answers in {len(ARMS)} arms; "
            "deskmate eval --limit 500 takes some evenly over the suite"
        )


def _error(told: str) -> Finding:
    return Finding(severity="error", told=told)


def _warning(told: str) -> Finding:
    return Finding(severity="warning", told=told)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown
