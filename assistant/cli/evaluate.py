"""``deskmate eval``: the four arms, or retrieval alone, on a suite of questions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from assistant.cli.context import Context, pass_context, print_json
from assistant.cli.jobs import background_option, enqueue
from assistant.core.errors import InputError
from assistant.core.ids import content_id
from assistant.core.records import ARMS, Arm, Case, Record
from assistant.core.runs import Run
from assistant.jobs.records import Job, Outcome

if TYPE_CHECKING:
    from assistant.answering.pipeline import Pipeline
    from eval.fingerprints import Fingerprint
    from eval.retrieval import RetrievalScores
    from eval.summary import Report

_SEARCHES_AT_ONCE = 64
_PASSAGES = 10
_NOT_FILE_NAME = re.compile(r"[^\w.-]+")


class Evaluation(Record, frozen=True, kw_only=True):
    """A finished evaluation and where it lies."""

    report: Report
    json_path: Path
    page_path: Path


@click.command()
@click.option("--collection", default="default", show_default=True, help="Name of the collection.")
@click.option(
    "--suite",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A JSON Lines file of questions; default for the demo collection: the suite that ships.",
)
@click.option(
    "--arms",
    "named",
    metavar="ARM,…",
    help="Some of base,rag,ft,rag+ft; default: all that the collection has.",
)
@click.option("--retrieval-only", is_flag=True, help="Only look whether the right passages are found.")
@click.option("--limit", type=click.IntRange(1), help="Ask this many cases, taken evenly over the suite.")
@background_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_context
def evaluate(
    context: Context,
    collection: str,
    file: Path | None,
    named: str | None,
    limit: int | None,
    *,
    retrieval_only: bool,
    background: bool,
    as_json: bool,
) -> None:
    """Measure a collection's answers on a suite of held-out questions.

    Writes report.json and report.html, and prints a table. An interrupted evaluation goes on where it
    was, and answers that nothing has changed for are kept.
    """
    if named is not None and retrieval_only:
        raise click.UsageError("--retrieval-only asks no arm: leave --arms out")
    arms = read_arms(named) if named is not None else None
    path = suite_path(collection, file)
    if background:
        arguments = EvalArguments(
            suite=str(path.absolute()), arms=arms, limit=limit, retrieval_only=retrieval_only
        )
        enqueue(context, "eval", collection, msgspec.to_builtins(arguments), as_json=as_json)
        return
    suite = read_suite(context, path, limit)
    if retrieval_only:
        _print_retrieval(evaluate_retrieval(context, collection, suite), as_json=as_json)
        return
    _print_evaluation(_evaluate(context, collection, path, suite, arms), as_json=as_json)


class EvalArguments(Record, frozen=True, kw_only=True):
    """Arguments of a job ``eval``, as the options of the command; ``suite`` is an absolute path."""

    suite: str
    arms: tuple[Arm, ...] | None = None
    limit: int | None = None
    retrieval_only: bool = False


def evaluate_job(context: Context, job: Job) -> Outcome:
    """Do the work of a job ``eval``."""
    arguments = msgspec.convert(job.arguments, EvalArguments)
    path = Path(arguments.suite)
    suite = read_suite(context, path, arguments.limit)
    if arguments.retrieval_only:
        scores = evaluate_retrieval(context, job.collection, suite)
        return Outcome(result={"retrieval": msgspec.to_builtins(scores)})
    evaluation = _evaluate(context, job.collection, path, suite, arguments.arms)
    return Outcome(result=msgspec.to_builtins(_summary(evaluation)))


def _evaluate(
    context: Context, collection: str, path: Path, suite: tuple[Case, ...], arms: tuple[Arm, ...] | None
) -> Evaluation:
    from eval.suites import require_scores

    require_scores(suite)
    return evaluate_arms(context, collection, path, suite, arms)


def read_arms(named: str) -> tuple[Arm, ...]:
    """Return the arms that a comma-separated list names.

    Raises:
        InputError: one is unknown or stands twice.
    """
    from eval.runner import check_arms

    names = [name.strip() for name in named.split(",")]
    check_arms(names)
    return tuple(arm for name in names for arm in ARMS if arm == name)


def suite_path(collection: str, file: Path | None) -> Path:
    """Return the suite's path: the file named, or the sample's for the demo collection.

    Raises:
        InputError: no file is named for another collection.
    """
    from eval.suites import SAMPLE_COLLECTION, sample_suite_path

    if file is None and collection != SAMPLE_COLLECTION:
        raise InputError(
            f"only collection {SAMPLE_COLLECTION!r} has a suite of its own; name one for {collection!r}",
            next_command=f"deskmate eval --collection {collection} --suite FILE",
        )
    return file or sample_suite_path()


def read_suite(context: Context, path: Path, limit: int | None = None) -> tuple[Case, ...]:
    """Read a suite, or ``limit`` cases taken evenly over it."""
    from eval.suites import load_suite, spread

    suite = load_suite(path, context.settings.answer.max_question_characters)
    return spread(suite, limit or len(suite))


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

    cases = [case for case in suite if case.gold]
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
) -> Evaluation:
    """Ask a suite in each arm, write the report and return it.

    Args:
        context: of the command; its engine stays open.
        collection: name.
        path: of the suite, for names.
        suite: the cases.
        arms: to ask; None asks all that the collection has.

    Raises:
        NotFoundError: the collection has no index, or no adapter, and an arm needs it.
    """
    from eval.report import write_report
    from eval.runner import run_arms
    from eval.summary import summarise
    from indexing.snapshots import open_current

    needs_index = arms is None or not {"rag", "rag+ft"}.isdisjoint(arms)
    if needs_index:
        open_current(context.home.collection(collection))  # as above
    pipeline = context.resources.pipeline(collection, needs_index=needs_index)
    asked = tuple(arms or (ARMS if pipeline.adapter else ("base", "rag")))
    stem = _NOT_FILE_NAME.sub("-", path.stem)
    run = Run.start(context.home.runs, "eval", f"{collection}-{stem}", context.settings)
    fingerprint = _fingerprint(context, collection)
    result = run_arms(pipeline, suite, asked, run.folder, fingerprint, context.progress())
    report = summarise(result, _about(context, collection, path, suite, pipeline), context.settings.eval)
    for row in report.summaries:
        run.log(arm=row.arm, score=row.score.mean, low=row.score.low, high=row.score.high)
    json_path, page_path = write_report(report, run.folder)
    return Evaluation(report=report, json_path=json_path, page_path=page_path)


def _fingerprint(context: Context, collection: str) -> Fingerprint:
    from assistant.models.folders import model_fingerprint, resolve_model
    from eval.fingerprints import fingerprint_of
    from indexing.snapshots import MANIFEST, current_name

    settings, home = context.settings, context.home
    model = ""
    if settings.engine.kind == "local":
        folder = resolve_model(settings.engine.base_model, "generator", home, settings.models)
        model = model_fingerprint(folder, home)
    name = current_name(home.collection(collection))
    manifest = home.collection(collection) / "snapshots" / name / MANIFEST if name else None
    adapter = context.resources.active_adapter(collection)
    return fingerprint_of(
        settings,
        model=model,
        index=content_id(manifest.read_text("utf-8")) if manifest else "",
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
        "intervals": f"bootstrap, {settings.bootstrap_samples} samples, seed {settings.seed}",
    }


def _print_evaluation(evaluation: Evaluation, *, as_json: bool) -> None:
    from eval.report import terminal_table

    if as_json:
        print_json(_summary(evaluation))
        return
    click.echo(terminal_table(evaluation.report))
    click.echo(f"\nreport: {evaluation.page_path}")


def _summary(evaluation: Evaluation) -> dict[str, object]:
    report = evaluation.report
    return {
        "about": report.about,
        "arms": report.summaries,
        "differences": report.differences,
        "report": str(evaluation.json_path),
        "page": str(evaluation.page_path),
    }


def _print_retrieval(scores: dict[str, RetrievalScores], *, as_json: bool) -> None:
    from eval.report import retrieval_table

    if as_json:
        print_json({"retrieval": scores})
    else:
        click.echo(retrieval_table(scores))
