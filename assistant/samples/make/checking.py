"""Check that the suite and the shipped files agree, and that the suite is really held out."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from assistant.samples.make.extracting import extract_pages, squeeze
from assistant.samples.make.rows import LANGUAGES, load_dialogues, load_tickets
from assistant.samples.make.suite import Gold, SuiteRow, load_cases, load_suite

EXPECTED_COUNTS = {"factual": 9, "fault_code": 7, "colloquial": 7, "two_step": 4, "unanswerable": 5}
SIMILARITY_LIMIT = 0.6

Texts = dict[str, list[str]]


def check_collection(files_path: Path, suite_path: Path) -> list[str]:
    """Return what is wrong with the files and the suite, one line a fault; empty means that all is well."""
    rows = load_suite(suite_path)
    texts = {
        path.relative_to(files_path).as_posix(): [squeeze(page) for page in extract_pages(path)]
        for path in sorted(files_path.rglob("*"))
        if path.is_file()
    }
    return [*_check_rows(rows), *_check_gold(rows, texts), *_check_absent(texts), *_check_held_out(rows)]


def similarity(left: str, right: str) -> float:
    """Jaccard similarity of the character 5-grams of two texts, ignoring case and white space."""
    left_grams, right_grams = (_grams(squeeze(text).lower()) for text in (left, right))
    return len(left_grams & right_grams) / len(left_grams | right_grams)


def _grams(text: str) -> set[str]:
    return {text[start : start + 5] for start in range(max(1, len(text) - 4))}


def _check_rows(rows: list[SuiteRow]) -> Iterator[str]:
    for row_id, count in Counter(row.id for row in rows).items():
        if count > 1:
            yield f"id {row_id} is used {count} times"
    for language in LANGUAGES:
        counts = Counter(row.kind for row in rows if row.lang == language)
        if counts != EXPECTED_COUNTS:
            yield f"{language} has {dict(counts)} questions, expected {EXPECTED_COUNTS}"
    for row in rows:
        if len(row.paraphrases) != 2:
            yield f"{row.id} has {len(row.paraphrases)} paraphrases, expected 2"
        if not row.answerable == bool(row.gold) == bool(row.key_facts):
            yield f"{row.id}: answerable, gold and key_facts disagree"


def _check_gold(rows: list[SuiteRow], texts: Texts) -> Iterator[str]:
    for row in rows:
        for gold in row.gold:
            if gold.doc not in texts:
                yield f"{row.id}: no document {gold.doc}"
            elif not _stands_in(gold, texts[gold.doc]):
                yield f"{row.id}: {gold.doc} page {gold.page} lacks {gold.evidence!r}"
        evidence = squeeze(" ".join(gold.evidence for gold in row.gold))
        for forms in row.key_facts:
            if not any(squeeze(form) in evidence for form in forms):
                yield f"{row.id}: no form of {forms} is in the evidence"
            if not any(squeeze(form) in squeeze(row.answers[0]) for form in forms):
                yield f"{row.id}: no form of {forms} is in the reference answer"


def _stands_in(gold: Gold, pages: list[str]) -> bool:
    text = pages[gold.page - 1] if gold.page else "".join(pages)
    parts = [*gold.evidence.split(" | "), gold.heading or ""]
    return all(squeeze(part) in text for part in parts)


def _check_absent(texts: Texts) -> Iterator[str]:
    for word in chain.from_iterable(case.absent for language in LANGUAGES for case in load_cases(language)):
        for name, pages in texts.items():
            if squeeze(word) in "".join(pages):
                yield f"{name} contains {word!r}, which a question calls absent"


def _check_held_out(rows: list[SuiteRow]) -> Iterator[str]:
    for language in LANGUAGES:
        known = [ticket.question for ticket in load_tickets(language)]
        known += chain.from_iterable(dialogue.turns for dialogue in load_dialogues(language))
        for row in (row for row in rows if row.lang == language):
            for question in (row.question, *row.paraphrases):
                closest = max(known, key=lambda text: similarity(question, text))
                if similarity(question, closest) >= SIMILARITY_LIMIT:
                    yield f"{row.id}: {question!r} is close to {closest!r}"
