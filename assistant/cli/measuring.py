"""Asks a collection's arms and its search, and writes what came of it: the work behind ``deskmate eval``."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from assistant.cli.context import Context
from assistant.cli.gating import verdict_on
from assistant.cli.judging import with_judge
from assistant.cli.suite import documents_of, training_set
from assistant.core.errors import InputError
from assistant.core.ids import content_id, file_sha256
from assistant.core.records import ARMS, Arm, Case, Record
from assistant.core.runs import Run

if TYPE_CHECKING:
    from assistant.answering.pipeline import Pipeline
    from eval.fingerprints import Fingerprint
    from eval.gate import Verdict
    from eval.retrieval import RetrievalScores
    from eval.runner import EvalResult
    from eval.summary import Report

_SEARCHES_AT_ONCE = 64
_PASSAGES = 40  # ranks are looked at up to 10; more, so that 1,000 tokens are found
_NOT_FILE_NAME = re.compile(r"[^\w.-]+")


class Evaluation(Record, frozen=True, kw_only=True):
    """A finished evaluation and where it lies; no verdict where an arm that the gate names was not asked."""

    report: Report
    json_path: Path
    page_path: Path
    verdict: Verdict | None = None


def evaluate_retrieval(
    context: Context, collection: str, suite: tuple[Case, ...]
) -> dict[str, RetrievalScores]:
    """Search for every case that has gold and return the scores by language.

    Raises:
        InputError: no case has gold.
    """
    from eval.retrieval import score_retrieval
    from indexing.search import query_in_context
    from indexing.snapshots import open_current

    cases = [case for case in suite if case.gold and not case.hides_evidence]
    if not cases:
        raise InputError("no case of the suite has gold, so that retrieval cannot be measured")
    open_current(context.home.collection(collection))  # says that there is no index before a model is loaded
    searcher = context.resources.searcher(collection)
    progress = context.progress()
    progress.start("searching", len(cases))
    found = []
    for start in range(0, len(cases), _SEARCHES_AT_ONCE):
        batch = cases[start : start + _SEARCHES_AT_ONCE]
        found += searcher.search_many([query_in_context(c.question, c.history) for c in batch], _PASSAGES)
        progress.advance(len(batch), batch[-1].id)
    progress.finish()
    return score_retrieval(cases, found)


def evaluate_arms(
    context: Context,
    collection: str,
    path: Path,
    suite: tuple[Case, ...],
    arms: Sequence[Arm] | None = None,
    *,
    latency_cases: int = 0,
) -> Evaluation:
    """Ask a suite in each arm, write the report and return it.

    Args:
        context: of the command; its engine stays open.
        collection: name.
        path: of the suite, for names.
        suite: the cases.
        arms: to ask; None asks all that the collection has.
        latency_cases: also ask so many cases one at a time in each arm, for waiting times.

    Raises:
        InputError: questions of the suite were trained on.
        NotFoundError: the collection has no index, or no adapter, and an arm needs it.
    """
    from eval.report import write_report
    from eval.runner import run_arms
    from eval.suites import spread
    from eval.summary import summarise
    from indexing.snapshots import open_current

    needs_index = arms is None or not {"rag", "rag+ft"}.isdisjoint(arms)
    if needs_index:
        open_current(context.home.collection(collection))  # as above
    pipeline = context.resources.candidate(collection, needs_index=needs_index)
    asked = tuple(arms or (ARMS if pipeline.adapter else ("base", "rag")))
    about = _about(context, collection, path, suite, pipeline)
    if needs_index and (told := _missing_documents(context, collection, suite)):
        context.console.print(f"warning: {told}")
        about["documents"] = told
    if not {"ft", "rag+ft"}.isdisjoint(asked):
        about["training data"] = _check_training(context, collection, suite)
    of = {"collection": collection}
    run = Run.start(context.home.runs, "eval", run_name(collection, path), context.settings, of)
    fingerprint = collection_fingerprint(context, collection)
    began = time.monotonic()
    result = run_arms(pipeline, suite, asked, run.folder, fingerprint, context.progress())
    report = summarise(result, about, context.settings.eval)
    if context.settings.eval.general and _has_both(asked):
        report = _with_general(context, pipeline, report, run.folder, fingerprint)
    report = with_judge(context, report, result, run.folder)
    report = _with_time(context, report, result, time.monotonic() - began)
    if latency_cases:
        report = _with_latency(context, pipeline, report, spread(suite, latency_cases))
    for row in report.summaries:
        run.log(arm=row.arm, score=row.score.mean, low=row.score.low, high=row.score.high)
    verdict = _verdict(context, report)
    json_path, page_path = write_report(report, run.folder, verdict)
    return Evaluation(report=report, json_path=json_path, page_path=page_path, verdict=verdict)


def _missing_documents(context: Context, collection: str, suite: tuple[Case, ...]) -> str:
    """Return which documents answerable questions ask for that the collection lacks; empty where none."""
    from eval.suite_checks import unknown_documents

    answerable = [case for case in suite if case.answerable]
    missing = unknown_documents(answerable, documents_of(context, collection))
    if not missing:
        return ""
    lost = len({case for ids in missing.values() for case in ids})
    first = next(iter(missing))
    return f"{lost} questions ask for {len(missing)} documents that the collection lacks, such as {first}"


def _check_training(context: Context, collection: str, suite: tuple[Case, ...]) -> str:
    """Refuse questions that the adapter to measure was tuned on; return what was compared."""
    from eval.overlap import require_held_out

    trained = training_set(context, collection, is_candidate=True)
    if trained is None:
        return "not there any more, so whether it holds a question is unknown"
    require_held_out(suite, trained.examples, trained.name)
    return f"dataset {trained.name}: {len(trained.examples)} examples, none near a question"


def _has_both(arms: Sequence[Arm]) -> bool:
    """Return whether a tuned and an untuned arm are asked, so that tuning's cost can be seen."""
    return not {"base", "rag"}.isdisjoint(arms) and not {"ft", "rag+ft"}.isdisjoint(arms)


def _with_general(
    context: Context, pipeline: Pipeline, report: Report, folder: Path, fingerprint: Fingerprint
) -> Report:
    from eval.general import run_general

    general = run_general(pipeline, report.arms, folder, fingerprint, context.progress())
    settings = context.settings.eval
    return msgspec.structs.replace(
        report,
        general=general.intervals(settings),
        general_differences=general.differences(report.reference, settings),
    )


def _with_latency(context: Context, pipeline: Pipeline, report: Report, cases: tuple[Case, ...]) -> Report:
    from eval.latency import measure_latency

    found = measure_latency(pipeline, cases, report.arms, context.progress())
    return msgspec.structs.replace(report, latency=found)


def _with_time(context: Context, report: Report, result: EvalResult, seconds: float) -> Report:
    """Say how long this call took, and put the engine's share of the answers' time into the report."""
    share = result.engine_share
    told = "" if share is None else f"; the answers spent {share:.0%} of their time in the engine"
    context.console.print(f"evaluation: {seconds:.0f} s{told}")
    return msgspec.structs.replace(report, engine_share=None if share is None else round(share, 4))


def _verdict(context: Context, report: Report) -> Verdict | None:
    """Return the gate's verdict, None where the arms that it compares were not asked."""
    try:
        return verdict_on(context, report)
    except InputError:
        return None


def run_name(collection: str, path: Path) -> str:
    """Return what a run over a suite is called."""
    return f"{collection}-{_NOT_FILE_NAME.sub('-', path.stem)}"


def _beside_snapshot(folder: Path) -> Iterator[str]:
    """Yield what shapes a collection's passages and is no part of its snapshot, as far as it is there."""
    from indexing.glossary import approved_terms
    from indexing.snapshots import TUNING_FILE
    from indexing.tombstones import read_removed

    if removed := read_removed(folder).tolist():
        yield f"removed {removed}"
    if terms := approved_terms(folder):
        yield f"terms {terms}"
    if (folder / TUNING_FILE).exists():
        yield f"tuning {(folder / TUNING_FILE).read_text('utf-8')}"


def collection_fingerprint(context: Context, collection: str, *, is_calibrated: bool = True) -> Fingerprint:
    """Return what shapes a collection's answers now, with its calibration or without."""
    from assistant.answering.calibrations import calibrated_settings
    from assistant.models.folders import model_fingerprint, resolve_model
    from eval.fingerprints import fingerprint_of
    from indexing.snapshots import MANIFEST, current_name

    settings, home = context.settings, context.home
    model = ""
    if settings.engine.kind == "local":
        folder = resolve_model(settings.engine.base_model, "generator", home, settings.models)
        model = model_fingerprint(folder, home)
    own = home.collection(collection)
    name = current_name(own)
    manifest = own / "snapshots" / name / MANIFEST if name else None
    adapter = context.resources.candidate_adapter(collection)
    if is_calibrated:
        settings = calibrated_settings(own, settings, adapter.name if adapter else None)
    return fingerprint_of(
        settings,
        model=model,
        index=content_id(manifest.read_text("utf-8"), *_beside_snapshot(own)) if manifest else "",
        adapter=content_id(adapter.name, adapter.folder, adapter.dataset_hash, adapter.created)
        if adapter
        else "",
    )


def _about(
    context: Context, collection: str, path: Path, suite: tuple[Case, ...], pipeline: Pipeline
) -> dict[str, str]:
    languages = {language: sum(case.lang == language for case in suite) for language in ("en", "zh")}
    counts = ", ".join(f"{count} {language}" for language, count in languages.items() if count)
    settings = context.settings.eval
    return {
        "collection": collection,
        "suite": f"{path.name}: {len(suite)} cases ({counts})",
        "engine": f"{pipeline.engine.base_model} ({context.settings.engine.kind})",
        "adapter": pipeline.adapter or "none",
        **_measured_parts(context, collection),
        "intervals": f"bootstrap, {settings.bootstrap_samples} samples, seed {settings.seed}",
    }


def _measured_parts(context: Context, collection: str) -> dict[str, str]:
    """Return what else of a release a report measures; nothing where there is no snapshot."""
    from assistant.answering.releases import measured_parts
    from assistant.core.prompts import template_hash
    from indexing.snapshots import MANIFEST, current_name

    folder = context.home.collection(collection)
    name = current_name(folder)
    if not name:
        return {}
    return measured_parts(name, file_sha256(folder / "snapshots" / name / MANIFEST), template_hash())
