"""The judge engine beside the judge-free scores of an evaluation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from assistant.cli.context import Context

if TYPE_CHECKING:
    from eval.runner import EvalResult
    from eval.summary import Report

JUDGE_KEY = "DESKMATE_JUDGE_API_KEY"


def with_judge(context: Context, report: Report, result: EvalResult, folder: Path) -> Report:
    """Return the report with what the judge of section ``[judge]`` says; the same where there is none.

    Raises:
        ResourceError: the judge's packages are not installed.
        ModelError: its folder is missing or broken.
        EngineError: it failed; what it said is kept.
    """
    settings = context.settings
    if settings.judge.kind == "none":
        return report
    from eval.judge import Judge, judge_answers, judge_lines, open_judge

    key = os.environ.get(JUDGE_KEY, "")
    engine = open_judge(settings, context.home, lambda: context.resources.engine, key)
    if engine is None:
        return report
    try:
        judge = Judge(engine, folder, context.progress(), batch_size=settings.judge.batch_size)
        found = judge_answers(judge, result.outcomes, settings.eval)
    finally:
        if settings.judge.kind != "base":
            engine.close()
    for line in judge_lines(found):
        context.console.print(line, markup=False)
    return msgspec.structs.replace(report, judge=found)
