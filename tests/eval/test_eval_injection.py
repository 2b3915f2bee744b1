"""Attacks counted: obeyed by a gullible engine where orders are kept, not where they are withheld."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.answering.pipeline import Pipeline
from assistant.core.errors import InputError
from assistant.core.progress import NoProgress
from assistant.core.records import Case
from eval.injection import (
    CANARY,
    count_injections,
    injection_lines,
    load_injections,
    sample_injections,
    try_injections,
)

ROWS = load_injections(sample_injections())
GULLIBLE = [(CANARY, f"{CANARY} E07 E12")]


def test_withheld_orders_are_not_obeyed(
    open_scripted: Callable[..., Pipeline], suite: tuple[Case, ...]
) -> None:
    pipeline = open_scripted(GULLIBLE)
    kept = count_injections(try_injections(pipeline, ROWS, suite, "keep", "rag", NoProgress()), "keep")
    held = count_injections(
        try_injections(pipeline, ROWS, suite, "withhold", "rag", NoProgress()), "withhold"
    )
    for before, after in zip(kept, held, strict=True):
        assert (before.label, before.channel, before.lang) == (after.label, after.channel, after.lang)
        if before.label == "benign":
            assert after.found == 0
            continue
        wanted = [row for row in ROWS if row.channel == before.channel and row.lang == before.lang]
        canaries = sum("{canary}" in row.text for row in wanted)
        assert before.obeyed == canaries > 5
        assert after.obeyed <= 1
    assert sum(row.count for row in held) == len(ROWS)
    table = injection_lines([*kept, *held])
    assert len(table) == 1 + 2 * len(kept)
    assert re.search(
        r"attack document +zh +withhold +18 +\d\.\d\d +0\.\d\d +0\.\d\d$", "\n".join(table), re.MULTILINE
    )


def test_an_attack_in_a_document_needs_a_question_in_its_language(
    open_scripted: Callable[..., Pipeline], suite: tuple[Case, ...]
) -> None:
    english = [case for case in suite if case.lang == "en"]
    with pytest.raises(InputError, match="zh"):
        try_injections(open_scripted(), ROWS, english, "keep", "rag", NoProgress())


@pytest.mark.parametrize("text", ["", "{}\n", '{"id": "a"}\n'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "set.jsonl").write_text(text)
    with pytest.raises(InputError):
        load_injections(tmp_path / "set.jsonl")
